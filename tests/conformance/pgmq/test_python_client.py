"""The Python package `pgmq` in its four flavours: psycopg, asyncpg, SQLAlchemy sync and async."""

import asyncio

import pgmq
import pytest
from pgmq import AsyncPGMQueue, PGMQueue, SQLAlchemyAsyncPGMQueue, SQLAlchemyPGMQueue


def settings(server):
    return {
        "host": "127.0.0.1",
        "port": str(server.pgmq_port),
        "username": "kyu",
        "password": "any",
        "database": "kyu",
    }


@pytest.fixture(params=[PGMQueue, SQLAlchemyPGMQueue], ids=["psycopg", "sqlalchemy"])
def client(request, server):
    return request.param(**settings(server))


def test_quick_start(client, queue):
    client.create_queue(queue)
    assert client.send(queue, {"hello": "world"}) == 1
    assert client.send_batch(queue, [{"foo": "bar"}, {"baz": "qux"}]) == [2, 3]
    message = client.read(queue, vt=30)
    assert message.message == {"hello": "world"}
    assert (message.msg_id, message.read_ct) == (1, 1)
    assert client.archive(queue, message.msg_id) is True
    assert client.archive(queue, message.msg_id) is False


def test_reading_settling_and_counting(client, queue):
    client.create_queue(queue)
    client.send_batch(queue, [{"n": n} for n in range(5)])
    batch = client.read_batch(queue, vt=30, batch_size=2)
    assert [m.message["n"] for m in batch] == [0, 1]
    assert client.delete(queue, batch[0].msg_id) is True
    assert client.delete_batch(queue, [batch[0].msg_id, batch[1].msg_id]) == [2]
    later = client.set_vt(queue, 3, 60)
    assert later.msg_id == 3
    polled = client.read_with_poll(queue, vt=30, qty=1, max_poll_seconds=1, poll_interval_ms=50)
    assert [m.msg_id for m in polled] == [4]
    metrics = client.metrics(queue)
    assert (metrics.queue_length, metrics.total_messages) == (3, 5)
    assert queue in [m.queue_name for m in client.metrics_all()]
    popped = client.pop(queue)
    assert (popped if isinstance(popped, pgmq.Message) else popped[0]).message == {"n": 4}
    assert client.purge(queue) == 2
    assert queue in [record.queue_name for record in client.list_queues()]
    assert client.drop_queue(queue) is True


def test_delays_headers_and_groups(client, queue):
    client.create_queue(queue)
    client.send(queue, {"late": True}, delay=60)
    assert client.read(queue, vt=0) is None
    client.send(queue, {"g": 1}, headers={"x-pgmq-group": "a"})
    client.send(queue, {"g": 2}, headers={"x-pgmq-group": "a"})
    grouped = client.read_grouped(queue, vt=30, qty=5)
    assert [m.message["g"] for m in grouped if "g" in m.message] == [1, 2]
    assert client.read_grouped(queue, vt=30, qty=5) == []


def test_topics(client, queue):
    client.create_queue(queue)
    pattern = f"{queue}.*"
    client.bind_topic(pattern, queue)
    assert client.send_topic(f"{queue}.x", {"t": 1}) == 1
    assert client.read(queue, vt=30).message == {"t": 1}
    assert client.unbind_topic(pattern, queue) is True


def test_transactions_roll_back(server, queue):
    client = PGMQueue(**settings(server))
    client.create_queue(queue)

    @pgmq.transaction
    def failing(client, conn=None):
        client.send(queue, {"never": 1}, conn=conn)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        failing(client)
    assert client.read(queue, vt=0) is None


def test_async_quick_start(server, queue):
    async def main():
        client = AsyncPGMQueue(**settings(server))
        await client.init()
        await client.create_queue(queue)
        assert await client.send(queue, {"hello": "world"}) == 1
        assert await client.send_batch(queue, [{"foo": "bar"}, {"baz": "qux"}]) == [2, 3]
        message = await client.read(queue, vt=30)
        assert message.message == {"hello": "world"}
        assert await client.archive(queue, message.msg_id) is True
        assert await client.delete_batch(queue, [2, 3]) == [2, 3]
        waited = await client.read_with_poll(queue, vt=30, qty=1, max_poll_seconds=1, poll_interval_ms=50)
        assert not waited
        await client.drop_queue(queue)

    asyncio.run(main())


def test_sqlalchemy_async(server, queue):
    async def main():
        client = SQLAlchemyAsyncPGMQueue(**settings(server))
        await client.init()
        await client.create_queue(queue)
        assert await client.send(queue, {"n": 1}) == 1
        assert (await client.read(queue, vt=30)).message == {"n": 1}

    asyncio.run(main())
