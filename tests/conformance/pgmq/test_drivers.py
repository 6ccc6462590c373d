"""Drivers by themselves: psycopg 3, psycopg2, asyncpg, SQLAlchemy."""

import asyncio
import json

import asyncpg
import psycopg
import psycopg2
import psycopg2.extensions
import pytest
import sqlalchemy
from psycopg.types.json import Jsonb


def test_psycopg_parameters_and_binary_results(connection, queue):
    connection.execute("SELECT pgmq.create(%s)", (queue,))
    for n in range(8):  # From the sixth on, psycopg uses a prepared statement.
        sent = connection.execute("SELECT * FROM pgmq.send(%s, %s)", (queue, Jsonb({"n": n}))).fetchone()
        assert sent == (n + 1,)
    cursor = connection.cursor(binary=True)
    row = cursor.execute("SELECT msg_id, read_ct, vt, message FROM pgmq.read(%s, %s, %s)", (queue, 30, 1)).fetchone()
    assert (row[0], row[1], row[3]) == (1, 1, {"n": 0})
    assert row[2].tzinfo is not None
    assert connection.execute("SELECT pgmq.delete(%s, %s)", (queue, [1, 2, 99])).fetchall() == [(1,), (2,)]


def test_psycopg_pipeline(server, queue):
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.create(%s)", (queue,))
        with connection.pipeline():
            cursors = [connection.execute("SELECT pgmq.send(%s, %s)", (queue, Jsonb(n))) for n in range(50)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(1, 51))


def test_psycopg_transactions(server, queue):
    with psycopg.connect(server.pgmq_conninfo) as one, psycopg.connect(server.pgmq_conninfo) as other:
        one.execute("SELECT pgmq.create(%s)", (queue,))
        one.commit()
        one.execute("SELECT pgmq.send(%s, '1')", (queue,))
        assert other.execute("SELECT * FROM pgmq.read(%s, 30, 1)", (queue,)).fetchall() == []
        other.rollback()
        one.rollback()
        with one.transaction():
            one.execute("SELECT pgmq.send(%s, '2')", (queue,))
            with pytest.raises(psycopg.errors.UndefinedColumn), one.transaction():
                one.execute("SELECT nonsense")
        row = other.execute("SELECT message FROM pgmq.read(%s, 30, 1)", (queue,)).fetchone()
        assert row == (2,)


def test_psycopg_errors_have_their_classes(connection):
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT pgmq.send('no_such_queue', '{}')")
    with pytest.raises(psycopg.errors.SyntaxError):
        connection.execute("SELEC 1")
    with pytest.raises(psycopg.errors.UndefinedFunction):
        connection.execute("SELECT pgmq.no_such_function()")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        connection.execute("SELECT pgmq.send('q', 'no json')")


def test_psycopg_server_cursor_and_copy(server, queue):
    with psycopg.connect(server.pgmq_conninfo) as connection:
        connection.execute("SELECT pgmq.create(%s)", (queue,))
        connection.execute("SELECT pgmq.send(%s, to_jsonb(i)) FROM generate_series(1, 250) AS i", (queue,))
        with connection.cursor(name="all") as cursor:
            cursor.execute(f"SELECT msg_id FROM pgmq.q_{queue} ORDER BY msg_id")
            assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
            assert len(cursor.fetchall()) == 247
        with connection.cursor() as cursor, cursor.copy(f"COPY (SELECT msg_id FROM pgmq.q_{queue}) TO STDOUT") as copy:
            assert len(list(copy.rows())) == 250


def test_notifications_reach_a_listener(server, connection, queue):
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as listener:
        connection.execute("SELECT pgmq.create(%s)", (queue,))
        connection.execute("SELECT pgmq.enable_notify_insert(%s, 0)", (queue,))
        listener.execute(f'LISTEN "pgmq.q_{queue}.INSERT"')
        connection.execute("SELECT pgmq.send(%s, '{}')", (queue,))
        heard = list(listener.notifies(timeout=10, stop_after=1))
        assert [n.channel for n in heard] == [f"pgmq.q_{queue}.INSERT"]


def test_a_long_poll_can_be_cancelled(server, connection, queue):
    connection.execute("SELECT pgmq.create(%s)", (queue,))
    connection.execute("SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT * FROM pgmq.read_with_poll(%s, 30, 1, 60, 100)", (queue,))
    connection.execute("RESET statement_timeout")
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_psycopg2(server, queue):
    connection = psycopg2.connect(server.pgmq_conninfo)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pgmq.create(%s)", (queue,))
        cursor.execute("SELECT * FROM pgmq.send(%s, %s::jsonb)", (queue, json.dumps({"it's": "quoted"})))
        assert cursor.fetchone() == (1,)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT msg_id, message FROM pgmq.read(%s, %s, %s)", (queue, 30, 1))
        assert cursor.fetchall() == [(1, {"it's": "quoted"})]
        cursor.execute("SELECT pgmq.archive(%s, ARRAY[1]::bigint[])", (queue,))
        assert cursor.fetchall() == [(1,)]
    connection.close()


def test_asyncpg(server, queue):
    async def main():
        connection = await asyncpg.connect(server.pgmq_url)
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pgmq CASCADE;")
        await connection.execute("SELECT pgmq.create($1)", queue)
        sent = await connection.fetchval("SELECT * FROM pgmq.send($1::text, $2::jsonb)", queue, '{"n": 1}')
        assert sent == 1
        batch = await connection.fetch(
            "SELECT * FROM pgmq.send_batch($1::text, $2::jsonb[])", queue, ['{"n": 2}', '{"n": 3}']
        )
        assert [row[0] for row in batch] == [2, 3]
        rows = await connection.fetch("SELECT * FROM pgmq.read($1::text, $2::integer, $3::integer)", queue, 30, 2)
        assert [(row["msg_id"], json.loads(row["message"])) for row in rows] == [(1, {"n": 1}), (2, {"n": 2})]
        assert rows[0]["enqueued_at"].tzinfo is not None
        async with connection.transaction():
            await connection.fetchval("SELECT pgmq.delete($1::text, $2::bigint)", queue, 1)
        assert await connection.fetchval("SELECT count(*) FROM pgmq.q_" + queue) == 2
        await connection.close()

    asyncio.run(main())


def test_sqlalchemy(server, queue):
    url = server.pgmq_url.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pgmq.create(:q)"), {"q": queue})
        sent = connection.execute(
            sqlalchemy.text("SELECT pgmq.send(:q, cast(:m AS jsonb))"), {"q": queue, "m": '{"a": 1}'}
        )
        assert sent.scalar() == 1
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("SELECT * FROM pgmq.read(:q, 30, 1)"), {"q": queue}).one()
        assert (row.msg_id, row.message) == (1, {"a": 1})
        assert connection.get_isolation_level() == "READ COMMITTED"
