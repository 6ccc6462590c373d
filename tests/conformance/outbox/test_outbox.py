"""The outbox with its relay, as a user sets it up."""

import json
import pathlib
import subprocess
import sys
import time
import urllib.request

import psycopg
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "pgmq")]

from kyu_server import Server, binary, free_port  # noqa: E402
from outbox.source import source_postgres  # noqa: E402


@pytest.fixture(scope="module")
def source():
    with source_postgres() as source:
        yield source


@pytest.fixture(scope="module")
def server():
    with Server(pgmq=True) as server:
        yield server


@pytest.fixture()
def relay(source, server):
    """A relay for the time of a test; gives the URL of its metrics."""
    port = free_port()
    command = [binary(), "outbox", "--source", source.url, "--target", server.pgmq_url,
               "--poll-ms", "10", "--metrics", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}/metrics"
    process.terminate()
    assert process.wait(timeout=30) == 0


def wait_for(server, queue, count):
    """Pops until so many messages came."""
    rows, deadline = [], time.monotonic() + 30
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        while len(rows) < count and time.monotonic() < deadline:
            try:
                rows += connection.execute("SELECT message, headers FROM pgmq.pop(%s, 100)", (queue,)).fetchall()
            except psycopg.errors.UndefinedTable:
                pass  # the relay makes it with the first row
            time.sleep(0.02)
    assert len(rows) == count, rows
    return rows


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
    assert [message for message, _ in wait_for(server, "batch", 4)] == [1, 2, 3, 4]
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
        command = [binary(), "outbox", "--source", source.url, "--target", server.pgmq_url,
                   "--name", "digits", "--batch-rows", "2", "--poll-ms", "10"]
        relay = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            assert [message for message, _ in wait_for(server, "digits", 4)] == [98, 99, 100, 101]
        finally:
            relay.terminate()
            relay.wait()


def test_a_row_that_kyu_refuses_is_parked_and_the_others_go_on(source, server, relay):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.send('after', '1'::jsonb)")
        connection.execute("SELECT pgmq.send('after', '2'::jsonb, '{\"x-pgmq-priority\": \"often\"}'::jsonb)")
        connection.execute("SELECT pgmq.send('after', '3'::jsonb)")
        assert [message for message, _ in wait_for(server, "after", 2)] == [1, 3]
        parked = connection.execute("SELECT message, sqlstate, error FROM pgmq.outbox_parked").fetchall()
    assert [(message, sqlstate) for message, sqlstate, _ in parked] == [(2, "22023")]
    assert "x-pgmq-priority" in parked[0][2]


def test_lag_is_a_metric_and_relayed_rows_are_deleted(source, server, relay):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.send('lag', '1'::jsonb)")
        wait_for(server, "lag", 1)
        deadline = time.monotonic() + 30
        while connection.execute("SELECT count(*) FROM pgmq.outbox").fetchone()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    page = urllib.request.urlopen(relay).read().decode()
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert float(values["kyu_outbox_relayed_rows_total"]) >= 1
    assert {"kyu_outbox_lag_rows", "kyu_outbox_lag_seconds", "kyu_outbox_parked_rows_total"} <= values.keys()


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
