"""Memory that clients make the server hold has bounds, is not kept from others, and goes back to the system."""

import contextlib
import json
import socket
import time

import pytest
from clients import sqs_client
from conftest import eventually, queue_factory

MIB = 1 << 20
# The budgets of bodies and of answers are 256 MiB each; a debug build and the log's own memory come on top.
MOST_RSS_BYTES = 900 * MIB


def request(action, body: dict, *, announced=None) -> bytes:
    text = json.dumps(body)
    return (
        f"POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: AmazonSQS.{action}\r\n"
        f"content-type: application/x-amz-json-1.0\r\ncontent-length: {announced or len(text)}\r\n\r\n{text}"
    ).encode()


@pytest.fixture()
def stage(own_server):
    server = own_server()
    return server, queue_factory(sqs_client(server.url))


def connect(stack, server):
    return stack.enter_context(socket.create_connection(server.address, timeout=30))


@pytest.mark.parametrize("sent_bytes", [0, 1_000, 60_000])
def test_bodies_announced_and_not_sent_delay_nobody(stage, sent_bytes):
    """64 connections that announced 8 MiB each stopped everybody's larger sends for 30 s, before a byte of theirs
    was there and before they had said who they are."""
    server, new_queue = stage
    queue = new_queue()
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            stalled = connect(stack, server)
            stalled.sendall(request("SendMessage", {}, announced=8 * MIB)[:-2] + b" " * sent_bytes)
        for n in range(5):
            queue.send(f"{n}" + "x" * (MIB - 1))
        assert server.metrics()["kyu_http_bodies_refused_total"] == 0
    assert len(queue.drain(5)) == 5


def test_answers_that_nobody_reads_have_a_bound(stage):
    """300 receives of ten messages of 1 MB each, never read: 3 GB, and other clients waited for up to 53 s."""
    server, new_queue = stage
    queue = new_queue()
    for _ in range(20):
        queue.send("x" * MIB)
    with contextlib.ExitStack() as stack:
        receive = request("ReceiveMessage", {"QueueUrl": queue.url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0})
        # Enough for 1.6 GB.
        for _ in range(80):
            connect(stack, server).sendall(receive)
        began, most = time.monotonic(), 0
        while time.monotonic() - began < 3:
            most = max(most, server.rss_bytes())
            time.sleep(0.05)
        assert most < MOST_RSS_BYTES
        # Another client is served meanwhile: those who read nothing of theirs make room.
        other = new_queue()
        other.send("y" * MIB)
        assert other.one(wait=20)["Body"] == "y" * MIB
    # Given back: nothing of it is held, by the budget or by the process.
    eventually(lambda: server.metrics()["kyu_http_answers_bytes"] == 0)
    eventually(lambda: server.rss_bytes() < 600 * MIB, 20)


def test_a_client_that_sends_no_more_gets_its_answer(stage):
    """The request and the end of the client's side: the connection was closed without a word."""
    server, new_queue = stage
    queue = new_queue()
    with socket.create_connection(server.address, timeout=30) as half:
        half.sendall(request("SendMessage", {"QueueUrl": queue.url, "MessageBody": "half"}))
        half.shutdown(socket.SHUT_WR)
        assert b"200 OK" in read_all(half)
    with socket.create_connection(server.address, timeout=30) as half:
        half.sendall(request("ReceiveMessage", {"QueueUrl": queue.url}))
        half.shutdown(socket.SHUT_WR)
        assert b'"half"' in read_all(half)
    with socket.create_connection(server.address, timeout=10) as half:
        # Nobody can tell whether it is still there, so that it is not waited for.
        half.sendall(request("ReceiveMessage", {"QueueUrl": queue.url, "WaitTimeSeconds": 20}))
        half.shutdown(socket.SHUT_WR)
        assert b"200 OK" in read_all(half)


def test_a_long_poll_whose_client_has_gone_leases_nothing(stage):
    server, new_queue = stage
    queue = new_queue(VisibilityTimeout="600")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            gone = connect(stack, server)
            gone.sendall(request("ReceiveMessage", {"QueueUrl": queue.url, "WaitTimeSeconds": 20}))
        eventually(lambda: server.metrics()["kyu_waiting_receives"] == 20)
    eventually(lambda: server.metrics()["kyu_waiting_receives"] == 0, 2)
    queue.send("for somebody who is there")
    assert queue.one(wait=0)["Body"] == "for somebody who is there"


def read_all(connection) -> bytes:
    answer = b""
    # Keep-alive: the server ends when it has read our end.
    while piece := connection.recv(65536):
        answer += piece
    return answer
