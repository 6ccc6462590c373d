"""To whom a cursor belongs, what a row may be, and who may send: the sources of an outbox."""

import pathlib
import subprocess
import sys

import psycopg
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "pgmq")]

from kyu_server import binary, shared_server  # noqa: E402
from outbox.relay import Relay, eventually, messages, wait_for  # noqa: E402
from outbox.source import source_postgres  # noqa: E402


@pytest.fixture(scope="module")
def source():
    with source_postgres(wal_level="logical") as source:
        yield source


@pytest.fixture(scope="module")
def server(request):
    with shared_server(request.session, pgmq=True) as server:
        yield server


def print_sql(*arguments: str) -> str:
    return subprocess.check_output([binary(), "outbox", "--print-sql", *arguments], text=True)


@pytest.fixture
def database(request, source):
    """A database of its own, with an outbox; a way to make more."""
    made = []

    def make(name: str, sql: str | None = None, template: str | None = None):
        with psycopg.connect(source.conninfo, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        made.append(name)
        conninfo = source.conninfo.replace("dbname=postgres", f"dbname={name}")
        connection = psycopg.connect(conninfo, autocommit=True)
        request.addfinalizer(connection.close)
        if template is None:
            connection.execute(print_sql() if sql is None else sql)
        return connection, f"{source.url.rsplit('/', 1)[0]}/{name}"

    yield make
    with psycopg.connect(source.conninfo, autocommit=True) as admin:
        for name in made:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def count(connection, table="pgmq.outbox"):
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def without_slot(connection, url, server, name):
    """A relay that polls drops the slot of the one before it."""
    with Relay(url, server, "--name", name):
        eventually(lambda: count(connection, "pg_replication_slots WHERE database = current_database()") == 0)


@pytest.mark.parametrize("way", [[], ["--replication"]], ids=["polling", "replication"])
def test_a_second_database_under_one_name_is_refused_and_loses_nothing(database, server, way):
    """Rows of the second database that were older, by transaction number, than the cursor of the first
    were taken for relayed: deleted, and never sent. Nothing was logged."""
    kind = "wal" if way else "poll"
    billing, billing_url = database(f"billing_{kind}")
    shop, shop_url = database(f"shop_{kind}")
    for n in (1, 2):
        billing.execute("SELECT pgmq.send(%s, to_jsonb(%s::int))", (f"invoices_{kind}", n))
    shop.execute("SELECT pgmq.send(%s, '0')", (f"orders_{kind}",))
    name = f"two_{kind}"
    with Relay(shop_url, server, "--name", name, *way) as first:
        wait_for(server, f"orders_{kind}", 1)
        # The one that works is not disturbed.
        said = Relay(billing_url, server, "--name", name, *way).start().fails()
        assert "belongs to the outbox" in said and "--name" in said, said
        assert count(billing) == 2
        shop.execute("SELECT pgmq.send(%s, '1')", (f"orders_{kind}",))
        assert messages(server, f"orders_{kind}", 1) == [1]
        assert first.process.poll() is None
    with Relay(billing_url, server, "--name", f"{name}_billing", *way):
        assert messages(server, f"invoices_{kind}", 2) == [1, 2]
    for connection, url, name in ((shop, shop_url, name), (billing, billing_url, f"{name}_billing")) if way else ():
        without_slot(connection, url, server, name)


def test_an_outbox_of_before_gets_its_identity_at_the_first_start(database, server):
    shop, url = database("older")
    shop.execute("DROP TABLE pgmq.outbox_source")
    # And its cursor is one of before: without an identity.
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as kyu:
        kyu.execute("SELECT pgmq.outbox_take_over('older', 'before')")
    for n in (1, 2, 3):
        shop.execute("SELECT pgmq.send('older', to_jsonb(%s::int))", (n,))
    with Relay(url, server, "--name", "older"):
        assert messages(server, "older", 3) == [1, 2, 3]
    identity = shop.execute("SELECT identity::text FROM pgmq.outbox_source").fetchone()[0]
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as kyu:
        assert kyu.execute("SELECT pgmq.outbox_position('older')").fetchone()[0].endswith(f" source:{identity}")


def test_a_copy_of_the_database_is_not_taken_for_the_original(database, server):
    shop, url = database("original")
    shop.execute("SELECT pgmq.send('copies', '1')")
    with Relay(url, server, "--name", "copies"):
        assert messages(server, "copies", 1) == [1]
        eventually(lambda: count(shop) == 0)
    shop.close()
    copy, copy_url = database("the_copy", template="original")
    copy.execute("SELECT pgmq.send('copies', '2')")
    assert "is a copy" in Relay(copy_url, server, "--name", "copies").start().fails()
    assert count(copy) == 1


def test_a_cursor_ahead_of_the_source_is_refused(database, server):
    """A source that was restored to an older state counts its transactions from there again."""
    shop, url = database("restored")
    with Relay(url, server, "--name", "restored"):
        shop.execute("SELECT pgmq.send('restored', '1')")
        assert messages(server, "restored", 1) == [1]
        eventually(lambda: count(shop) == 0)
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as kyu:
        position = kyu.execute("SELECT pgmq.outbox_position('restored')").fetchone()[0]
        relay, xid, row, identity = position.split(" ")
        ahead = f"{relay} {int(xid) + 1000000} {row} {identity}"
        kyu.execute("SELECT pgmq.outbox_advance('restored', %s, %s)", (position, ahead))
    shop.execute("SELECT pgmq.send('restored', '2')")
    assert "has not reached" in Relay(url, server, "--name", "restored").start().fails()
    assert count(shop) == 1


@pytest.mark.parametrize("way", [[], ["--replication"]], ids=["polling", "replication"])
def test_whatever_is_refused_about_a_row_parks_it_and_the_others_go_on(database, server, way):
    """A name of 48 characters is refused by pgmq.create, not by pgmq.send: the relay ended, at every
    start, and all that stood behind the row waited."""
    kind = "wal" if way else "poll"
    shop, url = database(f"refused_{kind}")
    good = f"good_{kind}"
    for queue in ("x" * 48, good, "a;b", good, "", good):
        shop.execute("SELECT pgmq.send(%s, '1')", (queue,))
    # What the source could not even compute a delay from.
    for at in ("infinity", "-infinity", "9999-12-31", "0044-03-15 BC"):
        shop.execute("SELECT pgmq.send(%s, '2'::jsonb, %s::timestamptz)", (f"times_{kind}", at))
    shop.execute("SELECT pgmq.send(%s, '3')", (good,))
    with Relay(url, server, "--name", f"refused_{kind}", *way) as relay:
        assert messages(server, good, 4) == [1, 1, 1, 3]
        eventually(lambda: count(shop) == 0)
        assert relay.process.poll() is None
    parked = shop.execute("SELECT queue_name, sqlstate FROM pgmq.outbox_parked").fetchall()
    assert ("x" * 48, "P0001") in parked and ("a;b", "P0001") in parked
    if way:
        without_slot(shop, url, server, f"refused_{kind}")


def test_the_outbox_is_not_put_over_the_real_pgmq(database, server):
    """`--print-sql` replaced fifteen functions of the extension without a word; send_batch_topic stayed."""
    from pgmq.install import get_embedded_install_sql

    shop, url = database("over", sql=get_embedded_install_sql())
    shop.execute("SELECT pgmq.create('live')")
    shop.execute("SELECT pgmq.send('live', '{\"n\": 1}'::jsonb)")
    with pytest.raises(psycopg.errors.RaiseException, match="the extension pgmq is installed") as refused:
        shop.execute(print_sql())
    assert "--schema" in refused.value.diag.message_hint
    shop.execute("SELECT pgmq.send('live', '{\"n\": 2}'::jsonb)")
    assert len(shop.execute("SELECT * FROM pgmq.read('live', 0, 10)").fetchall()) == 2
    # Beside it, in a schema of its own.
    shop.execute(print_sql("--schema", "kyu_outbox"))
    shop.execute(print_sql("--schema", "kyu_outbox"))
    shop.execute("SELECT kyu_outbox.send('beside', '5'::jsonb)")
    for way in ([], ["--replication"], []):
        with Relay(url, server, "--name", "beside", "--schema", "kyu_outbox", *way):
            assert messages(server, "beside", 1) == [5]
            shop.execute("SELECT kyu_outbox.send('beside', '5'::jsonb)")
            assert messages(server, "beside", 1) == [5]
        shop.execute("SELECT kyu_outbox.send('beside', '5'::jsonb)")
    with Relay(url, server, "--name", "beside", "--schema", "kyu_outbox"):
        messages(server, "beside", 1)
    assert len(shop.execute("SELECT * FROM pgmq.read('live', 0, 10)").fetchall()) == 2


def test_the_grants_that_the_file_names_are_enough(database, server):
    shop, url = database("grants")
    said = [line.removeprefix("--").strip() for line in print_sql().splitlines() if "GRANT " in line]
    assert len(said) == 6
    for role in ("app", "relay"):
        shop.execute(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    shop.execute("".join(said))
    as_role = lambda role: url.replace("postgres@", f"{role}@")  # noqa: E731
    with psycopg.connect(as_role("app"), autocommit=True) as app:
        app.execute("SELECT pgmq.send('granted', '1'::jsonb)")
        app.execute("SELECT pgmq.send_batch('granted', ARRAY['2', '3']::jsonb[], 0)")
        app.execute("SELECT pgmq.send_topic('nobody.listens', '4'::jsonb)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT message FROM pgmq.outbox")
    with Relay(as_role("relay"), server, "--name", "grants"):
        assert messages(server, "granted", 3) == [1, 2, 3]
        shop.execute("SELECT pgmq.send('a;b', '1'::jsonb)")
        eventually(lambda: count(shop, "pgmq.outbox_parked") == 1)
        eventually(lambda: count(shop) == 0)
    shop.execute("DROP OWNED BY app, relay")
