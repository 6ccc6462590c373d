"""Kills the real server under pgmq load, again and again, and checks that nothing acknowledged is lost.

    pgmq/kill9.py [--rounds N] [--seed N] [--control-rounds N]

Each round starts the server on the same data, lets psycopg clients send (one by one, in batches, in
transactions that commit or roll back), read, delete and archive, and sends SIGKILL at a random moment.
At the end the queue is read to its end and a set checker compares:

- every message whose send, or whose COMMIT, was acknowledged is there until its delete was attempted;
- nothing whose delete was acknowledged comes back;
- nothing that was rolled back ever appears, nor anything unknown;
- a transaction is there as a whole or not at all, also when nobody knows whether its COMMIT arrived;
- what was acknowledged as archived is in the archive.

A checker that never fails proves nothing: the same rounds run once more against a server that
acknowledges before it writes ($KYU_TEST_BREAK_SYNC=1), and the checker must find losses.
"""

import argparse
import pathlib
import random
import sys
import threading
import time

import psycopg
from psycopg.types.json import Jsonb

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kyu_server import Server  # noqa: E402

SENDERS, READERS = 3, 3
LIFE_SECONDS = (0.3, 1.2)
QUEUE = "kill9"


class Ledger:
    """What clients know. Every method locks."""

    def __init__(self):
        self.lock = threading.Lock()
        self.attempted, self.sent, self.rolled_back = set(), set(), set()
        self.delete_attempted, self.deleted, self.archived = set(), set(), set()
        self.blocks: list[list[str]] = []
        self.violations: list[str] = []

    def note(self, where: str, keys):
        with self.lock:
            getattr(self, where).update(keys)

    def block(self, keys):
        with self.lock:
            self.blocks.append(keys)

    def surprise(self, what: str):
        with self.lock:
            self.violations.append(what)

    def read(self, keys, deleted_before):
        with self.lock:
            for key in keys:
                if key not in self.attempted:
                    self.violations.append(f"unknown message {key}")
                if key in self.rolled_back:
                    self.violations.append(f"{key} was rolled back, and came")
                if key in deleted_before:
                    self.violations.append(f"{key} was deleted, and came back")


class Load:
    """The clients of one round: threads that work until the server dies under them."""

    def __init__(self, server, ledger, seed, number):
        self.server, self.ledger, self.seed, self.number = server, ledger, seed, number
        self.over = threading.Event()
        self.threads = []

    def start(self):
        for work, count in ((self.send, SENDERS), (self.read, READERS)):
            for index in range(count):
                rng = random.Random(f"{self.seed}/{self.number}/{work.__name__}/{index}")
                self.threads.append(threading.Thread(target=self.run, args=(work, rng)))
        for thread in self.threads:
            thread.start()
        return self

    def join(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, work, rng):
        try:
            with psycopg.connect(self.server.pgmq_conninfo, autocommit=True) as connection:
                while not self.over.is_set():
                    work(connection, rng)
        except psycopg.OperationalError:
            pass  # The server is gone; what was under way has an unknown outcome.
        except psycopg.Error as error:
            self.ledger.surprise(f"{work.__name__}: {error.sqlstate} {error}")

    def send(self, connection, rng):
        keys = [f"{self.number}-{rng.getrandbits(60):x}" for _ in range(rng.choice([1, 1, 2, 5]))]
        self.ledger.note("attempted", keys)
        if rng.random() < 0.4:
            self.send_block(connection, rng, keys)
            return
        if len(keys) == 1:
            connection.execute("SELECT pgmq.send(%s, %s)", (QUEUE, Jsonb(keys[0])))
        else:
            self.ledger.block(keys)
            connection.execute("SELECT pgmq.send_batch(%s, %s::jsonb[])", (QUEUE, [Jsonb(key) for key in keys]))
        self.ledger.note("sent", keys)

    def send_block(self, connection, rng, keys):
        self.ledger.block(keys)
        connection.execute("BEGIN")
        for key in keys:
            connection.execute("SELECT pgmq.send(%s, %s)", (QUEUE, Jsonb(key)))
        if rng.random() < 0.3:
            self.ledger.note("rolled_back", keys)
            connection.execute("ROLLBACK")
        else:
            connection.execute("COMMIT")
            self.ledger.note("sent", keys)

    def read(self, connection, rng):
        with self.ledger.lock:
            deleted = set(self.ledger.deleted | self.ledger.archived)
        rows = connection.execute("SELECT msg_id, message FROM pgmq.read(%s, 2, %s)", (QUEUE, rng.randint(1, 5))).fetchall()
        self.ledger.read([key for _, key in rows], deleted)
        for msg_id, key in rows:
            fate = rng.random()
            if fate < 0.3:
                continue
            self.ledger.note("delete_attempted", [key])
            verb, where = ("archive", "archived") if fate < 0.5 else ("delete", "deleted")
            if connection.execute(f"SELECT pgmq.{verb}(%s, %s)", (QUEUE, msg_id)).fetchone()[0]:
                self.ledger.note(where, [key])


def check(server, ledger):
    """Reads everything that is left and compares."""
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        left = [row[0] for row in connection.execute(f"SELECT message FROM pgmq.q_{QUEUE}").fetchall()]
        archived = {row[0] for row in connection.execute(f"SELECT message FROM pgmq.a_{QUEUE}").fetchall()}
    found = list(ledger.violations)
    ledger.violations.clear()
    ledger.read(left, ledger.deleted | ledger.archived)
    found += ledger.violations
    if len(left) != len(set(left)):
        found.append(f"{len(left) - len(set(left))} messages are there twice")
    there = set(left) | archived | ledger.delete_attempted
    if lost := ledger.sent - there:
        found.append(f"lost {len(lost)} acknowledged messages, such as {sorted(lost)[:3]}")
    if lost := ledger.archived - archived:
        found.append(f"lost {len(lost)} archived messages, such as {sorted(lost)[:3]}")
    for block in ledger.blocks:
        present = [key for key in block if key in there]
        if 0 < len(present) < len(block):
            found.append(f"half a transaction: {present} of {block}")
    return found


def run(rounds, seed, env):
    ledger = Ledger()
    rng = random.Random(seed)
    server = Server(pgmq=True, env=env)
    try:
        for number in range(rounds):
            server.start()
            with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
                connection.execute("SELECT pgmq.create(%s)", (QUEUE,))
            load = Load(server, ledger, seed, number).start()
            time.sleep(rng.uniform(*LIFE_SECONDS))
            server.kill()
            load.join()
        server.start()
        found = check(server, ledger)
        print(f"  {len(ledger.sent)} sent, {len(ledger.deleted)} deleted, {len(ledger.archived)} archived, "
              f"{len(ledger.rolled_back)} rolled back", flush=True)
        return found
    finally:
        server.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--control-rounds", type=int, default=3, help="0 leaves the positive control out")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    print(f"pgmq kill9: {options.rounds} rounds, repeat with --seed {options.seed}", flush=True)
    if found := run(options.rounds, options.seed, {}):
        print(f"pgmq kill9: FAILED with {len(found)} findings:", *found[:20], sep="\n  ")
        return 1
    print("pgmq kill9: nothing acknowledged was lost")
    if options.control_rounds:
        found = run(options.control_rounds, options.seed, {"KYU_TEST_BREAK_SYNC": "1"})
        if not any("lost" in finding for finding in found):
            print("pgmq kill9: FAILED, the checker found no loss with $KYU_TEST_BREAK_SYNC=1:", *found[:5], sep="\n  ")
            return 1
        print(f"pgmq kill9: the checker sees it: {next(f for f in found if 'lost' in f)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
