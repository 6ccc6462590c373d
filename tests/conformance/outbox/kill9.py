"""The transactional outbox under kill -9 of the relay, of Postgres and of Kyu.

    kill9.py [--kills N] [--seed N] [--capture polling|replication|both]

Writers run transactions on a real Postgres: a business row and its message, in one commit, or a
rollback. `kyu outbox` relays; now and then a second relay takes over, with `both` perhaps in the other
way of reading the outbox. Random processes are killed and started again. At the end everything is read from Kyu and held against the business rows:

- a message is there if and only if its transaction committed, once;
- the messages of one writer, whose transactions follow each other, are in order.
"""

import argparse
import collections
import logging
import pathlib
import random
import sys
import threading
import time

import psycopg

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "pgmq")]

from kyu_server import Server  # noqa: E402
from outbox.relay import Relay, eventually  # noqa: E402
from outbox.source import source_postgres  # noqa: E402
from real_postgres import RealPostgres  # noqa: E402

WRITERS = 3
PAUSE_SECONDS = (0.05, 0.35)
DRAIN_SECONDS = 60
CAPTURES = {"polling": [[]], "replication": [["--replication"]], "both": [[], ["--replication"]]}


class ChangingRelay(Relay):
    """Each start reads the outbox in one of these ways."""

    def __init__(self, source: RealPostgres, server: Server, ways: list[list[str]], dice: random.Random):
        super().__init__(source.url, server, "--batch-rows", "7", has_metrics=False)
        self.ways, self.dice, self.base = ways, dice, self.command

    def start(self) -> "ChangingRelay":
        self.command = [*self.base, *self.dice.choice(self.ways)]
        return super().start()


class Writer(threading.Thread):
    """One transaction after the other; keeps no books, because the business table does."""

    def __init__(self, number: int, source: RealPostgres, seed: int, stop: threading.Event):
        super().__init__(daemon=True)
        self.number, self.source, self.stop = number, source, stop
        self.random = random.Random(seed)
        self.transactions = 0

    def run(self) -> None:
        n = 0
        while not self.stop.is_set():
            try:
                with psycopg.connect(self.source.conninfo, autocommit=True, connect_timeout=5) as connection:
                    while not self.stop.is_set():
                        n = self.transaction(connection, n)
            except psycopg.Error:
                time.sleep(0.05)

    def transaction(self, connection: psycopg.Connection, n: int) -> int:
        with connection.transaction(force_rollback=self.random.random() < 0.2):
            for _ in range(self.random.randint(1, 3)):
                n += 1  # a number is never used again, whatever becomes of its transaction
                connection.execute("INSERT INTO business VALUES (%s, %s)", (self.number, n))
                body = f'{{"writer": {self.number}, "n": {n}}}'
                connection.execute("SELECT pgmq.send('orders', %s::jsonb)", (body,))
            # Long transactions are what a cursor by number would lose.
            time.sleep(self.random.choice([0, 0, 0.002, 0.05]))
        self.transactions += 1
        return n


def drain(server: Server, expected: int) -> list[tuple[int, int]]:
    """Everything in the queue, in order."""
    read: list[tuple[int, int]] = []
    deadline = time.monotonic() + DRAIN_SECONDS
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        while time.monotonic() < deadline and len(read) < expected:
            rows = connection.execute("SELECT message FROM pgmq.pop('orders', 500)").fetchall()
            read.extend((row[0]["writer"], row[0]["n"]) for row in rows)
            if not rows:
                time.sleep(0.1)
        time.sleep(0.5)  # whatever is too much has time to come
        rows = connection.execute("SELECT message FROM pgmq.pop('orders', 500)").fetchall()
        read.extend((row[0]["writer"], row[0]["n"]) for row in rows)
    return read


def check(read: list[tuple[int, int]], committed: set[tuple[int, int]]) -> None:
    counts = collections.Counter(read)
    lost = committed - counts.keys()
    unknown = counts.keys() - committed
    doubled = {message for message, count in counts.items() if count > 1}
    assert not lost and not unknown and not doubled, (
        f"lost {sorted(lost)[:9]} ({len(lost)}), rolled back but sent {sorted(unknown)[:9]} ({len(unknown)}), "
        f"doubled {sorted(doubled)[:9]} ({len(doubled)}) of {len(committed)}"
    )
    for writer in range(WRITERS):
        numbers = [n for w, n in read if w == writer]
        assert numbers == sorted(numbers), f"writer {writer} is out of order"


def main() -> None:
    # Connections break all the time here; psycopg would tell of each.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments.add_argument("--capture", choices=CAPTURES, default="both")
    arguments = arguments.parse_args()
    print(f"outbox kill -9: --kills {arguments.kills} --seed {arguments.seed} --capture {arguments.capture}", flush=True)
    dice = random.Random(arguments.seed)
    stop = threading.Event()
    relay_of = [CAPTURES[arguments.capture], dice]
    with source_postgres(wal_level="logical") as source, Server(pgmq=True) as server:
        with psycopg.connect(source.conninfo, autocommit=True) as connection:
            connection.execute("CREATE TABLE business (writer int, n int, PRIMARY KEY (writer, n))")
        with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
            connection.execute("SELECT pgmq.create('orders')")
        writers = [Writer(number, source, dice.randrange(1 << 32), stop) for number in range(WRITERS)]
        relay = ChangingRelay(source, server, *relay_of)
        relay.start()
        for writer in writers:
            writer.start()
        kills = collections.Counter()
        for _ in range(arguments.kills):
            time.sleep(dice.uniform(*PAUSE_SECONDS))
            victim = dice.choices(["relay", "Postgres", "Kyu", "take-over"], [4, 2, 3, 1])[0]
            kills[victim] += 1
            if victim == "relay":
                relay.kill()
                relay.start()
            elif victim == "Postgres":
                source.crash()
            elif victim == "Kyu":
                server.crash()
            else:
                older, newer = relay, ChangingRelay(source, server, *relay_of)
                newer.start()
                # Usually the newer one. One that has not reached Kyu since it started is newest when
                # it does.
                eventually(lambda: {older.process.poll(), newer.process.poll()} != {None})
                fenced, relay = (older, newer) if newer.process.poll() is None else (newer, older)
                said = fenced.fails()
                assert "another relay" in said, f"it was not fenced: {said}"
        stop.set()
        for writer in writers:
            writer.join()
        with psycopg.connect(source.conninfo) as connection:
            committed = set(connection.execute("SELECT writer, n FROM business").fetchall())
        try:
            check(drain(server, len(committed)), committed)
        except AssertionError:
            # What was not relayed, and where the relay stands: lost, or only late?
            print("".join(relay.lines), f"relay: {relay.process.poll()}")
            with psycopg.connect(source.conninfo) as connection:
                print(connection.execute(
                    "SELECT count(*), min(xid::text::bigint), max(xid::text::bigint), min(id), max(id),"
                    " pg_snapshot_xmin(pg_current_snapshot())::text FROM pgmq.outbox"
                ).fetchone())
            with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
                print(connection.execute("SELECT pgmq.outbox_position('default')").fetchone())
            raise
        finally:
            relay.kill()
        with psycopg.connect(source.conninfo) as connection:
            parked = connection.execute("SELECT count(*) FROM pgmq.outbox_parked").fetchone()[0]
        assert parked == 0, f"{parked} rows were parked"
    print(f"{len(committed)} messages of {sum(w.transactions for w in writers)} transactions, {dict(kills)}: "
          "nothing lost, nothing doubled, order kept")


if __name__ == "__main__":
    main()
