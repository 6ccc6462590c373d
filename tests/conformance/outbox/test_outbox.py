"""The outbox with its relay, as a user sets it up: polling, and by logical replication."""

import json
import pathlib
import sys
import time

import psycopg
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "pgmq")]

from kyu_server import shared_server  # noqa: E402
from outbox.relay import Relay, eventually, messages, outbox_rows, wait_for  # noqa: E402
from outbox.source import source_postgres  # noqa: E402


@pytest.fixture(scope="module")
def source():
    with source_postgres(wal_level="logical") as source:
        yield source


@pytest.fixture(scope="module")
def server(request):
    with shared_server(request.session, pgmq=True) as server:
        yield server


@pytest.fixture(params=[[], ["--replication"]], ids=["polling", "replication"])
def relay(request, source, server):
    """A relay for the time of a test. Each takes over from the one before, whatever way that took."""
    with Relay(source.url, server, *request.param) as relay:
        yield relay


def test_a_message_goes_with_its_transaction(source, server, relay):
    with psycopg.connect(source.conninfo) as connection:
        connection.execute("SELECT pgmq.send('mails', '{\"to\": \"ann\"}'::jsonb)")
        connection.rollback()
        connection.execute("SELECT pgmq.send('mails', '{\"to\": \"bob\"}'::jsonb, '{\"x-pgmq-group\": \"b\"}'::jsonb)")
        connection.commit()
    assert wait_for(server, "mails", 1) == [({"to": "bob"}, {"x-pgmq-group": "b"})]


def test_batches_topics_and_delays(source, server, relay):
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.create('audit')")
        connection.execute("SELECT pgmq.bind_topic('orders.*', 'audit')")
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.send_batch('batch', ARRAY['1','2','3']::jsonb[])")
        connection.execute("SELECT pgmq.send_topic('orders.new', '{\"order\": 7}'::jsonb)")
        connection.execute("SELECT pgmq.send('batch', '4'::jsonb, 1)")
        with pytest.raises(psycopg.errors.RaiseException, match="msgs cannot be NULL or empty"):
            connection.execute("SELECT pgmq.send_batch('batch', '{}'::jsonb[])")
    assert messages(server, "batch", 4) == [1, 2, 3, 4]
    assert wait_for(server, "audit", 1)[0][0] == {"order": 7}


def test_transactions_keep_their_order_when_their_numbers_get_a_digit_more(source, server):
    """Found by kill9.py: rows were sorted by the text of their transaction's number."""
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        for xid in (98, 99, 100, 101):
            connection.execute(
                "INSERT INTO pgmq.outbox (xid, queue_name, message) VALUES (%s::text::xid8, 'digits', %s::jsonb)",
                (str(xid), str(xid)),
            )
        # The cursor of this relay is new, whatever the database's transactions are numbered by now.
        with Relay(source.url, server, "--name", "digits", "--batch-rows", "2"):
            assert messages(server, "digits", 4) == [98, 99, 100, 101]


def test_a_row_that_kyu_refuses_is_parked_and_the_others_go_on(source, server, relay):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.send('after', '1'::jsonb)")
        connection.execute("SELECT pgmq.send('after', '2'::jsonb, '{\"x-pgmq-priority\": \"often\"}'::jsonb)")
        connection.execute("SELECT pgmq.send('after', '3'::jsonb)")
        assert messages(server, "after", 2) == [1, 3]
        parked = connection.execute("DELETE FROM pgmq.outbox_parked RETURNING message, sqlstate, error").fetchall()
    assert [(message, sqlstate) for message, sqlstate, _ in parked] == [(2, "22023")]
    assert "x-pgmq-priority" in parked[0][2]


def test_a_row_that_is_far_too_large_is_parked_and_the_others_go_on(source, server, relay):
    """A statement of 64 MiB ends the connection to Kyu: such a row was tried for ever."""
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.send('large', '1'::jsonb)")
        connection.execute("SELECT pgmq.send('large', to_jsonb(repeat('x', 70000000)))")
        connection.execute("SELECT pgmq.send('large', to_jsonb(repeat('y', 1000000)))")
        assert messages(server, "large", 2) == [1, "y" * 1000000]
        parked = connection.execute("DELETE FROM pgmq.outbox_parked RETURNING length(message::text), sqlstate").fetchall()
    assert parked == [(70000002, "54000")]


def test_lag_is_a_metric_and_relayed_rows_are_deleted(source, server, relay):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.send('lag', '1'::jsonb)")
    wait_for(server, "lag", 1)
    eventually(lambda: outbox_rows(source) == 0)
    values = relay.metrics()
    assert values["kyu_outbox_relayed_rows_total"] >= 1
    lags = {"kyu_outbox_lag_rows", "kyu_outbox_lag_seconds", "kyu_outbox_lag_bytes", "kyu_outbox_parked_rows_total"}
    assert lags <= values.keys()


@pytest.mark.parametrize("way", [[], ["--replication"]], ids=["polling", "replication"])
def test_the_lag_of_a_large_backlog_is_an_estimate(source, server, way):
    """Counting it all, once a second, took the source's time from those who waited for it."""
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("INSERT INTO pgmq.outbox (queue_name, message) SELECT 'none', '1' FROM generate_series(1, 20000)")
        connection.execute("ANALYZE pgmq.outbox")
        connection.execute("SELECT pgmq.send_batch('none', ARRAY['1', '2']::jsonb[])")
        with Relay(source.url, server, "--name", "many", "--no-create-queues", *way) as relay:
            # What the planner knows of; the last two came later.
            eventually(lambda: relay.metrics()["kyu_outbox_lag_rows"] == 20000)
            assert relay.metrics()["kyu_outbox_lag_seconds"] > 0
        connection.execute("DELETE FROM pgmq.outbox")
        connection.execute("VACUUM ANALYZE pgmq.outbox")
        for (slot,) in connection.execute("SELECT slot_name FROM pg_replication_slots WHERE NOT active").fetchall():
            connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))


def test_what_was_relayed_is_seen_by_sqs(source, server, relay):
    import boto3

    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.send('shared', '{\"n\": 1}'::jsonb)")
    sqs = boto3.client("sqs", endpoint_url=server.url, region_name="us-east-1",
                       aws_access_key_id="any", aws_secret_access_key="any")
    deadline = time.monotonic() + 30
    while not (urls := sqs.list_queues(QueueNamePrefix="shared").get("QueueUrls")):
        assert time.monotonic() < deadline
    received = sqs.receive_message(QueueUrl=urls[0], WaitTimeSeconds=10)["Messages"]
    assert json.loads(received[0]["Body"]) == {"n": 1}
    sqs.delete_message(QueueUrl=urls[0], ReceiptHandle=received[0]["ReceiptHandle"])
