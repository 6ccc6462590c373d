"""The same statements on real pgmq and on Kyu; the answers must be the same.

    differential.py                 Kyu against what was recorded (this runs in CI)
    differential.py --record        record anew from real pgmq on real Postgres, then compare
    differential.py --scene NAME    one scene only; -v shows every difference of wording, too

A scene is a file `differential/NAME.sql`. Statements are separated by blank lines. A statement may
begin with lines of comments that say how it is run:

    -- @b               on another connection (each name is a connection of the scene)
    -- @parse           through Parse and Describe: types of parameters and columns are compared
    -- @params ["q",1]  as an extended query with these parameters as text, types left open
    -- @types [25,23]   declared types of the parameters
    -- @binary          results in binary form
    -- @unordered       rows are compared as a set
    -- @script          several statements as one simple query
    -- @psql            psql's own commands (`\d`); what it prints is compared
    -- @differs WHY     a difference that is meant and written down in docs/gaps.md: not compared

Compared: command tag, columns with their type ids, rows, SQLSTATE, severity and SQLSTATE of notices,
notifications. Wording of messages is recorded and shown with -v, not compared. Normalised: times
(their form is compared), ids of the extension's own types, process ids.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

import psycopg
from psycopg import pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kyu_server import Server  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "differential"
FIRST_USER_OID = 16384
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?([+-]\d\d(:\d\d)?)?")


def statements(text: str):
    """The statements of a scene, each with its directives."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().splitlines()
        directives, sql = {}, []
        for line in lines:
            if found := re.match(r"-- @(\w+)\s*(.*)", line):
                directives[found[1]] = found[2]
            elif not line.startswith("--") or sql:
                sql.append(line)
        if sql:
            yield directives, "\n".join(sql)


class Connection:
    """A raw libpq connection that keeps what it is told."""

    def __init__(self, conninfo: str):
        self.conninfo = conninfo
        self.raw = pq.PGconn.connect(conninfo.encode())
        if self.raw.status != pq.ConnStatus.OK:
            raise RuntimeError(self.raw.error_message.decode())
        self.notices = []
        self.raw.notice_handler = self._notice

    def _notice(self, result):
        field = pq.DiagnosticField
        severity, state = result.error_field(field.SEVERITY), result.error_field(field.SQLSTATE)
        self.notices.append(f"{(severity or b'').decode()} {(state or b'').decode()}")

    def run(self, directives, sql):
        """One statement; gives what it answered, ready for comparison."""
        self.notices.clear()
        if "parse" in directives:
            results = [self._described(sql, directives)]
        elif "params" in directives or "binary" in directives:
            parameters = [None if p is None else str(p).encode() for p in json.loads(directives.get("params") or "[]")]
            types = json.loads(directives.get("types") or "[]") or None
            form = 1 if "binary" in directives else 0
            results = [self.raw.exec_params(sql.encode(), parameters, types, None, form)]
        elif "script" in directives:
            results = self._script(sql)
        elif "psql" in directives:
            return [self._psql(sql)]
        else:
            results = [self.raw.exec_(sql.encode())]
        answers = [self._answer(result, directives) for result in results]
        if self.notices:
            answers[-1]["notices"] = list(self.notices)
        if told := self._notifications():
            answers[-1]["notifications"] = told
        return answers

    def _described(self, sql, directives):
        types = json.loads(directives.get("types") or "[]") or None
        prepared = self.raw.prepare(b"", sql.encode(), types)
        return prepared if prepared.status == pq.ExecStatus.FATAL_ERROR else self.raw.describe_prepared(b"")

    def _script(self, sql):
        self.raw.send_query(sql.encode())
        results = []
        while result := self.raw.get_result():
            results.append(result)
        return results

    def _psql(self, sql):
        command = ["psql", "-X", "-A", "-q", "-v", "VERBOSITY=sqlstate", "-d", self.conninfo]
        done = subprocess.run(command, input=sql + "\n", capture_output=True, text=True, timeout=60, check=False)
        errors = re.sub(r"psql:<stdin>:\d+: ", "", done.stderr)
        return {"printed": [value(line.encode(), 0) for line in (done.stdout + errors).splitlines()]}

    def _notifications(self):
        self.raw.consume_input()
        told = []
        while notification := self.raw.notifies():
            told.append(f"{notification.relname.decode()} {notification.extra.decode()}")
        return told

    def _answer(self, result, directives):
        field = pq.DiagnosticField
        if result.status == pq.ExecStatus.FATAL_ERROR:
            return {
                "error": (result.error_field(field.SQLSTATE) or b"").decode(),
                "message": (result.error_field(field.MESSAGE_PRIMARY) or b"").decode(),
            }
        if result.status == pq.ExecStatus.COPY_OUT:
            return self._copied()
        answer = {"tag": (result.command_status or b"").decode()}
        if result.status == pq.ExecStatus.EMPTY_QUERY:
            answer["tag"] = "<empty>"
        if result.nparams:
            answer["parameters"] = [oid(result.param_type(i)) for i in range(result.nparams)]
        if result.nfields:
            columns = range(result.nfields)
            answer["columns"] = [f"{result.fname(i).decode()} {oid(result.ftype(i))}" for i in columns]
            rows = [[value(result.get_value(r, i), result.fformat(i)) for i in columns] for r in range(result.ntuples)]
            answer["rows"] = sorted(rows, key=repr) if "unordered" in directives else rows
        return answer

    def _copied(self):
        lines = []
        while True:
            length, data = self.raw.get_copy_data(0)
            if length < 0:
                break
            lines.append(value(bytes(data), 0))
        done = self.raw.get_result()
        answer = {"tag": (done.command_status or b"").decode(), "lines": lines}
        while self.raw.get_result():
            pass
        return answer

    def close(self):
        self.raw.finish()


def oid(number: int):
    return number if number < FIRST_USER_OID else "pgmq"


def value(raw: bytes | None, form: int):
    if raw is None:
        return None
    if form == 1:
        # Times differ from run to run: only their length is compared.
        return f"<{len(raw)} bytes>" if len(raw) == 8 and raw[0] == 0 and raw[1] in (2, 3) else raw.hex()
    return TIME.sub(lambda found: "<time>" + (found[2] or ""), raw.decode())


def play(scene: pathlib.Path, conninfo: str):
    """Every statement of a scene with its answers."""
    connections: dict[str, Connection] = {}
    played = []
    try:
        for directives, sql in statements(scene.read_text()):
            name = next((d for d in directives if len(d) == 1), "a")
            if name not in connections:
                connections[name] = Connection(conninfo)
            answers = connections[name].run(directives, sql)
            more = {"on": name} if name != "a" else {}
            if "differs" in directives:
                more["differs"] = directives["differs"]
            played.append({"sql": sql, **more, "answers": answers})
    finally:
        for connection in connections.values():
            connection.close()
    return played


def without_words(answers):
    return [{key: value for key, value in answer.items() if key != "message"} for answer in answers]


def differences(recorded, played, verbose):
    for want, got in zip(recorded, played, strict=True):
        if "differs" in got:
            if without_words(want["answers"]) == without_words(got["answers"]):
                yield False, want, {**got, "answers": "no difference: take @differs away"}
            continue
        same = without_words(want["answers"]) == without_words(got["answers"])
        if not same or (verbose and want["answers"] != got["answers"]):
            yield same, want, got


def record(scenes):
    # Its authors ship pgmq's SQL in the Python package.
    from pgmq.install import get_embedded_install_sql
    from real_postgres import RealPostgres

    with RealPostgres(get_embedded_install_sql()) as real:
        for scene in scenes:
            with psycopg.connect(real.conninfo, autocommit=True) as connection:
                for (name,) in connection.execute("select queue_name from pgmq.meta").fetchall():
                    connection.execute("select pgmq.drop_queue(%s::text)", (name,))
            played = play(scene, real.conninfo)
            scene.with_suffix(".json").write_text(json.dumps(played, indent=1, ensure_ascii=False) + "\n")
            print(f"recorded {scene.stem}: {len(played)} statements")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--scene")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    scenes = sorted(s for s in HERE.glob("*.sql") if options.scene in (None, s.stem))
    if options.record:
        record(scenes)
    wrong = total = meant = 0
    for scene in scenes:
        recorded = json.loads(scene.with_suffix(".json").read_text())
        with Server(pgmq=True) as server:
            played = play(scene, f"host=127.0.0.1 port={server.pgmq_port} user=postgres dbname=postgres")
        total += len(played)
        meant += sum("differs" in statement for statement in played)
        if [s["sql"] for s in recorded] != [s["sql"] for s in played]:
            print(f"{scene.stem}: the scene is not what was recorded; run with --record")
            wrong += 1
            continue
        for same, want, got in differences(recorded, played, options.verbose):
            wrong += not same
            print(f"--- {scene.stem}{' (wording)' if same else ''}: {want['sql']}")
            print(f"    pgmq: {json.dumps(want['answers'], ensure_ascii=False)}")
            print(f"    kyu:  {json.dumps(got['answers'], ensure_ascii=False)}")
    print(f"differential: {total} statements in {len(scenes)} scenes, {wrong} differ, {meant} as written down")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
