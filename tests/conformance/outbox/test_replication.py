"""Logical replication: what goes wrong with slots, and changing between the two ways."""

import itertools
import pathlib
import sys
import time

import psycopg
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "pgmq")]

from kyu_server import shared_server  # noqa: E402
from outbox.relay import Relay, eventually, messages, outbox_rows, send  # noqa: E402
from outbox.source import source_postgres  # noqa: E402

MIB = 1 << 20
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def source():
    with source_postgres(wal_level="logical", min_wal_size="32MB", max_wal_size="32MB") as source:
        yield source


@pytest.fixture(scope="module")
def server(request):
    with shared_server(request.session, pgmq=True) as server:
        yield server


@pytest.fixture()
def relay_of(source, server):
    """Makes relays of a source of their own; afterwards nothing of them is left."""
    name = f"source{next(NUMBERS)}"

    def relay_of(*args):
        return Relay(source.url, server, "--name", name, *args)

    yield relay_of
    # Postgres may still be ending the connection of a relay that has stopped; a slot in use cannot be dropped.
    eventually(lambda: not active_slots(source))
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        connection.execute("DROP PUBLICATION IF EXISTS kyu_outbox")
        connection.execute("DELETE FROM pgmq.outbox")


def active_slots(source) -> int:
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        return connection.execute("SELECT count(*) FROM pg_replication_slots WHERE active").fetchone()[0]


def slots(source):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        return connection.execute("SELECT slot_name, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)"
                                  " FROM pg_replication_slots").fetchall()


def test_what_was_there_before_the_slot_comes_before_what_the_slot_brings(source, server, relay_of):
    send(source, "first", 1, 2)
    with psycopg.connect(source.conninfo) as slow:
        slow.execute("SELECT pgmq.send('first', '4'::jsonb)")  # the slot waits for it
        with relay_of("--replication"):
            eventually(lambda: slots(source))
            send(source, "first", 3)
            slow.commit()
            got = messages(server, "first", 4)
    assert got[:2] == [1, 2] and sorted(got) == [1, 2, 3, 4]
    assert outbox_rows(source) == 0


def test_rows_go_in_the_order_of_commits(source, server, relay_of):
    """Polling would wait for the older transaction."""
    with relay_of("--replication"), psycopg.connect(source.conninfo) as older:
        send(source, "order", 0)
        assert messages(server, "order", 1) == [0]
        older.execute("SELECT pgmq.send('order', '2'::jsonb)")
        send(source, "order", 1)
        assert messages(server, "order", 1) == [1]
        older.commit()
        assert messages(server, "order", 1) == [2]


def test_changing_between_polling_and_replication_loses_and_doubles_nothing(source, server, relay_of):
    n = 0
    for way in [[], ["--replication"], [], ["--replication"], ["--replication"], []]:
        send(source, "change", n, n + 1)
        relay = relay_of("--batch-rows", "1", *way).start()
        send(source, "change", n + 2)
        eventually(lambda: relay.metrics()["kyu_outbox_relayed_rows_total"] >= 1)
        relay.kill()
        n += 3
    with relay_of():
        assert messages(server, "change", n) == list(range(n))
        eventually(lambda: outbox_rows(source) == 0)
    assert slots(source) == [], "a slot that nobody reads fills the disk"


def test_a_transaction_larger_than_a_step_takes_little_memory(source, server, relay_of):
    with relay_of("--replication", "--batch-rows", "1000") as relay:
        send(source, "huge", 0)
        assert messages(server, "huge", 1) == [0]
        before = relay.peak_rss_bytes()
        with psycopg.connect(source.conninfo, autocommit=True) as connection:
            # Not compressible, so that it is in the log as it is.
            connection.execute(
                "INSERT INTO pgmq.outbox (queue_name, message) SELECT 'huge', jsonb_build_array(n,"
                " (SELECT string_agg(md5(n::text || m::text), '') FROM generate_series(1, 16384) AS m))"
                " FROM generate_series(1, 100) AS n"
            )
        numbers = [number for number, body in messages(server, "huge", 100) if len(body) == 512 * 1024]
        assert numbers == list(range(1, 101))
        # Of 50 MiB: three steps of 4 MiB gather, wait or are on their way.
        assert relay.peak_rss_bytes() - before < 30 * MIB


def test_an_idle_outbox_does_not_hold_the_log_of_others_back(source, server, relay_of):
    with relay_of("--replication") as relay, psycopg.connect(source.conninfo, autocommit=True) as connection:
        eventually(lambda: slots(source))
        connection.execute("CREATE TABLE others AS SELECT repeat(md5(n::text), 20) FROM generate_series(1, 5000) AS n")
        eventually(lambda: slots(source)[0][2] < 64 * 1024)
        eventually(lambda: relay.metrics()["kyu_outbox_lag_bytes"] < 64 * 1024)
        connection.execute("DROP TABLE others")
        assert relay.process.poll() is None


def lose(source, name):
    """Log goes on until the slot is behind by more than may be kept."""
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '4MB'")
        connection.execute("SELECT pg_reload_conf()")
        for _ in range(30):
            connection.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)), pg_switch_wal()")
            connection.execute("CHECKPOINT")
            status = [status for slot, status, _ in slots(source) if slot == name]
            if status == ["lost"]:
                connection.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
                connection.execute("SELECT pg_reload_conf()")
                return
    raise AssertionError(slots(source))


@pytest.mark.parametrize("how", ["lost", "dropped", "publication dropped"])
def test_without_its_slot_it_ends_and_a_new_one_loses_and_doubles_nothing(source, server, how):
    name = f"gone_{how.replace(' ', '_')}"
    slot = f"kyu_outbox_{name}"

    def relay_of(*args):
        return Relay(source.url, server, "--name", name, "--replication", "--batch-rows", "2", *args)

    relay = relay_of().start()
    send(source, name, 1, 2, 3)
    assert messages(server, name, 3) == [1, 2, 3]
    relay.kill()
    eventually(lambda: not active_slots(source))
    send(source, name, 4, 5, 6)
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        match how:
            case "lost":
                lose(source, slot)
            case "dropped":
                connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
            case _:
                connection.execute("DROP PUBLICATION kyu_outbox")
    said = relay_of().start().fails()
    assert "--new-slot" in said, said
    with relay_of("--new-slot"):
        assert messages(server, name, 3) == [4, 5, 6]
        send(source, name, 7)
        assert messages(server, name, 1) == [7]
    # The next one finds the slot that was made.
    send(source, name, 8)
    with relay_of():
        assert messages(server, name, 1) == [8]
    eventually(lambda: not active_slots(source))
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def test_a_publication_without_the_outbox_is_refused(source, server, relay_of):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE other (n int)")
        connection.execute("CREATE PUBLICATION elsewhere FOR TABLE other")
    said = relay_of("--replication", "--publication", "elsewhere").start().fails()
    assert "ALTER PUBLICATION elsewhere ADD TABLE pgmq.outbox" in said


def test_a_slot_of_somebody_else_is_left_alone(source, server, relay_of):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('theirs', 'test_decoding')")
    said = relay_of("--replication", "--slot", "theirs").start().fails()
    assert "theirs" in said and "--slot" in said
    assert [slot for slot, _, _ in slots(source)] == ["theirs"]


def test_a_source_that_cannot_do_it_says_what_to_change(server):
    with source_postgres() as source:
        said = Relay(source.url, server, "--name", "level", "--replication").start().fails()
        assert "wal_level = logical" in said
        with psycopg.connect(source.conninfo, autocommit=True) as connection:
            connection.execute("DROP TABLE pgmq.outbox CASCADE")
        for way in [[], ["--replication"]]:
            said = Relay(source.url, server, "--name", "level", *way).start().fails()
            assert "--print-sql" in said


def test_a_role_without_replication_says_what_to_change(source, server, relay_of):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA pgmq TO plain")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA pgmq TO plain")
    url = source.url.replace("postgres@", "plain@")
    said = Relay(url, server, "--name", "plain", "--replication").start().fails()
    assert "ALTER ROLE" in said
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("ALTER ROLE plain REPLICATION")
    said = Relay(url, server, "--name", "plain", "--replication").start().fails()
    assert "CREATE PUBLICATION kyu_outbox FOR TABLE pgmq.outbox" in said


def test_an_idle_relay_notices_that_another_has_come(source, server, relay_of):
    for first, second in [([], []), (["--replication"], []), ([], ["--replication"])]:
        older = relay_of(*first).start()
        eventually(lambda: any("relaying" in line for line in older.lines))
        with relay_of(*second):
            assert "another relay" in older.fails()


def test_a_source_that_shuts_down_is_not_held_up(source, server, relay_of):
    with relay_of("--replication") as relay:
        send(source, "restart", 1)
        assert messages(server, "restart", 1) == [1]
        began = time.monotonic()
        source.stop()
        assert time.monotonic() - began < 20
        source.start()
        send(source, "restart", 2)
        assert messages(server, "restart", 1) == [2]
        assert relay.process.poll() is None
