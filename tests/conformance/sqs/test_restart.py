"""What survives a clean restart and a kill -9: messages, leases, receipts, deduplication, tasks."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import pytest
from clients import sqs_client
from conftest import eventually, queue_factory, refused

from kyu_server import Server

CONFORMANCE = pathlib.Path(__file__).resolve().parents[1]
HOW = pytest.mark.parametrize("how", ["restart", "crash"])


@pytest.fixture()
def stage(own_server):
    """(server, queue factory) of a server that the test may stop."""
    server = own_server()
    return server, queue_factory(sqs_client(server.url))


@HOW
def test_messages_and_attributes_survive(stage, how):
    server, new_queue = stage
    queue = new_queue(VisibilityTimeout="77", tags={"team": "bank"})
    attributes = {"a": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    sent = [queue.send(f"m{i}", MessageAttributes=attributes)["MessageId"] for i in range(25)]
    big = "x" * (1 << 20)
    queue.send(big)
    before = queue.attributes()
    getattr(server, how)()
    assert queue.attributes() == before
    assert queue.sqs.list_queue_tags(QueueUrl=queue.url)["Tags"] == {"team": "bank"}
    messages = [m for _ in range(3) for m in queue.receive(10, MessageAttributeNames=["All"])]
    assert [m["MessageId"] for m in messages[:25]] == sent
    assert messages[0]["MessageAttributes"] == attributes
    assert messages[25]["Body"] == big


@HOW
def test_deleted_messages_stay_deleted(stage, how):
    server, new_queue = stage
    queue = new_queue()
    queue.send_batch(*"abcdef")
    for message in queue.receive(3):
        queue.delete(message)
    getattr(server, how)()
    assert sorted(queue.drain(3)) == ["d", "e", "f"]
    assert queue.counts() == (0, 0, 0)


@HOW
def test_a_purge_and_a_deleted_queue_stay(stage, how):
    server, new_queue = stage
    purged, deleted = new_queue(), new_queue()
    for queue in (purged, deleted):
        queue.send_batch(*"abc")
    purged.sqs.purge_queue(QueueUrl=purged.url)
    deleted.sqs.delete_queue(QueueUrl=deleted.url)
    getattr(server, how)()
    assert purged.counts() == (0, 0, 0)
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        deleted.receive()


@HOW
def test_a_receipt_from_before_still_works(stage, how):
    server, new_queue = stage
    queue = new_queue()
    queue.send_batch("to delete", "to change", "to keep")
    first, second, _ = queue.receive(10, VisibilityTimeout=600)
    getattr(server, how)()
    queue.delete(first)
    queue.change(second, 0)
    assert queue.one()["Body"] in ("to change", "to keep")
    assert sum(queue.counts()) == 2


def test_leases_survive_a_clean_restart(stage):
    """A crash may forget a lease (at least once); a clean stop may not."""
    server, new_queue = stage
    queue = new_queue()
    queue.send("leased")
    queue.one(VisibilityTimeout=600)
    server.restart()
    assert queue.receive() == []
    assert queue.counts() == (0, 1, 0)


def test_a_lease_ends_on_time_across_a_restart(stage):
    server, new_queue = stage
    queue = new_queue()
    queue.send("leased")
    queue.one(VisibilityTimeout=2)
    server.restart()
    again = queue.one(wait=10, AttributeNames=["ApproximateReceiveCount"])
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


@HOW
def test_fifo_leases_keep_their_group_locked(stage, how):
    """FIFO waits for the disk before it hands out: exactly these messages stay locked."""
    server, new_queue = stage
    queue = new_queue(fifo=True, ContentBasedDeduplication="true")
    for i in range(3):
        queue.send(f"m{i}", MessageGroupId="g")
    message = queue.one(VisibilityTimeout=600)
    getattr(server, how)()
    assert queue.receive(10) == []
    queue.delete(message)
    assert queue.bodies() == ["m1", "m2"]


@HOW
def test_deduplication_over_a_restart(stage, how):
    server, new_queue = stage
    queue = new_queue(fifo=True)
    same = {"MessageGroupId": "g", "MessageDeduplicationId": "same"}
    first = queue.send("first", **same)
    queue.delete(queue.one())
    getattr(server, how)()
    second = queue.send("second", **same)
    assert second["MessageId"] == first["MessageId"]
    assert second["SequenceNumber"] == first["SequenceNumber"]
    assert queue.counts() == (0, 0, 0)
    later = queue.send("third", MessageGroupId="g", MessageDeduplicationId="other")
    assert later["SequenceNumber"] > first["SequenceNumber"]


@HOW
def test_a_receive_attempt_over_a_restart(stage, how):
    server, new_queue = stage
    queue = new_queue(fifo=True, ContentBasedDeduplication="true")
    queue.send("m", MessageGroupId="g")
    (message,) = queue.receive(ReceiveRequestAttemptId="attempt")
    getattr(server, how)()
    (again,) = queue.receive(ReceiveRequestAttemptId="attempt")
    assert again["ReceiptHandle"] == message["ReceiptHandle"]


@HOW
def test_delays_survive(stage, how):
    server, new_queue = stage
    queue = new_queue()
    queue.send("soon", DelaySeconds=2)
    queue.send("far", DelaySeconds=900)
    getattr(server, how)()
    assert sum(queue.counts()) == 2
    assert queue.bodies(wait=10) == ["soon"]
    assert queue.counts() == (0, 1, 1)


@HOW
def test_dead_letters_and_receive_counts(stage, how):
    server, new_queue = stage
    dead = new_queue()
    queue = new_queue(RedrivePolicy={"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2})
    queue.send("m")
    queue.one(VisibilityTimeout=0)
    queue.one(VisibilityTimeout=0)
    queue.receive()
    getattr(server, how)()
    found = dead.one(AttributeNames=["All"])["Attributes"]
    assert found["DeadLetterQueueSourceArn"] == queue.arn
    assert found["ApproximateReceiveCount"] == "3"


def test_a_move_task_goes_on(stage):
    server, new_queue = stage
    dead, target = new_queue(), new_queue()
    queue = new_queue(RedrivePolicy={"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    queue.send_batch("a", "b", "c", "d")
    queue.receive(10, VisibilityTimeout=0)
    assert queue.receive(10) == []
    sqs = queue.sqs
    sqs.start_message_move_task(SourceArn=dead.arn, DestinationArn=target.arn, MaxNumberOfMessagesPerSecond=1)
    server.restart()

    def state():
        return sqs.list_message_move_tasks(SourceArn=dead.arn)["Results"][0]["Status"]

    eventually(lambda: state() != "RUNNING", 20)
    assert state() in ("COMPLETED", "FAILED"), "never forgotten: it goes on, or says that it does not"
    assert dead.counts()[0] + target.counts()[0] == 4


def test_many_restarts(stage):
    server, new_queue = stage
    queue = new_queue()
    for i in range(5):
        queue.send(f"m{i}")
        (server.crash if i % 2 else server.restart)()
    assert queue.drain(5) == [f"m{i}" for i in range(5)]


def test_a_second_server_on_the_same_data_is_refused(stage):
    server, new_queue = stage
    second = Server(data=server.data)
    with pytest.raises(RuntimeError, match="(?i)lock|in use|already"):
        second.start()
    second.close()
    new_queue().send("the first is unharmed")


def test_a_port_in_use_is_a_clear_error(stage):
    server, _ = stage
    second = Server("--http", f"127.0.0.1:{server.port}")
    with pytest.raises(RuntimeError, match="--http"):
        second.start()
    second.close()


def test_a_restarted_server_has_its_port_back_whatever_others_bind(stage):
    """One of four workers lost the race for a port that "was free a moment ago", and 400 of 616 tests ended in
    errors. Now a server binds port 0, and between its end and its next start the port is held for it: thousands
    of other sockets that ask for any port are given others."""
    server, new_queue = stage
    queue, port = new_queue(), server.port
    server.kill()
    with contextlib.ExitStack() as others:
        for _ in range(2_000):
            other = others.enter_context(socket.socket())
            other.bind(("127.0.0.1", 0))
            assert other.getsockname()[1] != port
        server.start()
    assert server.port == port
    queue.send("still here")


def test_a_suite_whose_server_does_not_come_up_ends_at_once_with_its_words(tmp_path):
    """Not with one error for each test."""
    broken = tmp_path / "kyu"
    broken.write_text("#!/bin/sh\necho the words of the server\nexit 1\n")
    broken.chmod(0o755)
    suite = [sys.executable, "-m", "pytest", "-q", "sqs/test_messages.py", "sqs/test_queues.py"]
    done = subprocess.run(
        suite, cwd=CONFORMANCE, env={**os.environ, "KYU_BIN": str(broken)}, capture_output=True, text=True, check=False
    )
    assert done.returncode not in (0, 5), done.stdout
    assert "the words of the server" in done.stdout
    assert re.search(r"\b1 error", done.stdout) and "passed" not in done.stdout, done.stdout


def test_a_stop_during_a_long_poll_answers_it(stage):
    """SIGTERM: waiters get an answer, not a broken connection after 20 seconds."""
    server, new_queue = stage
    queue = new_queue()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        poll = pool.submit(queue.receive, wait=20)
        time.sleep(0.3)
        server.stop()
        error = poll.exception(10)
        assert error is None or "closed" in str(error) or "Connection" in str(error) or "503" in str(error)
