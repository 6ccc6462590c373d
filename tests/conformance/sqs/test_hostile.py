"""Clients that are broken, slow, silent or greedy: a clear error for them, nothing lost for others."""

import contextlib
import json
import resource
import socket
import time

import pytest
from clients import json_call, send, sqs_client
from conftest import queue_factory

MIB = 1 << 20


@pytest.fixture()
def stage(own_server):
    server = own_server()
    return server, queue_factory(sqs_client(server.url))()


def assert_well(server, queue):
    """An honest client is served as ever."""
    queue.send("still well")
    message = queue.one()
    assert message["Body"] == "still well"
    queue.delete(message)
    assert server.process.poll() is None


def head(length, target="SendMessage"):
    return (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.{target}\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def read_until(connection, enough):
    """Reads until `enough(what came so far)`, or the end."""
    answer = b""
    while not enough(answer) and (chunk := connection.recv(65536)):
        answer += chunk
    return answer


def exchange(server, data, timeout=30):
    """Sends bytes and the end of the stream; gives what came until the server closed."""
    with socket.create_connection(server.address, timeout) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                answer += chunk
        return answer


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # A TLS client on the plain port.
        b"\x00" * 4096,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: minus\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET /%00%ff/..%2f../etc HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_bytes_that_are_no_request(stage, data):
    server, queue = stage
    answer = exchange(server, data)
    assert answer == b"" or b" 4" in answer[:16] or b" 5" in answer[:16], answer[:200]
    assert_well(server, queue)


@pytest.mark.parametrize("sent", [0, 1, 10, 500])
def test_a_half_sent_request(stage, sent):
    """The connection ends in the middle of the body: nothing was sent, nothing is stored."""
    server, queue = stage
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": "x" * 1000}).encode()
    with socket.create_connection(server.address) as connection:
        connection.sendall(head(len(body)) + body[:sent])
    assert queue.counts() == (0, 0, 0)
    assert_well(server, queue)


def test_slow_clients_do_not_hold_up_others(stage):
    """200 connections that send a byte now and then, while an honest client works beside them."""
    server, queue = stage
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": "slow"}).encode()
    request = head(len(body)) + body
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(server.address)) for _ in range(200)]
        for i in range(20):
            for connection in slow:
                connection.sendall(request[i : i + 1])
            assert_well(server, queue)
        slow[0].sendall(request[20:])
        assert b"200 OK" in slow[0].recv(65536), "slow, but valid"


def test_pipelined_requests_are_answered_in_order(stage):
    server, queue = stage
    bodies = [json.dumps({"QueueUrl": queue.url, "MessageBody": str(i)}).encode() for i in range(20)]
    with socket.create_connection(server.address, 30) as connection:
        connection.sendall(b"".join(head(len(body)) + body for body in bodies))
        read_until(connection, lambda answer: answer.count(b"HTTP/1.1 200") == 20)
    assert queue.drain(20) == [str(i) for i in range(20)]


def test_expect_100_continue(stage):
    server, queue = stage
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": "x"}).encode()
    with socket.create_connection(server.address, 10) as connection:
        connection.sendall(head(len(body)).replace(b"Host: localhost", b"Host: localhost\r\nExpect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_chunked_body(stage):
    server, queue = stage
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": "chunked"}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
    request = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + chunks
    with socket.create_connection(server.address, 30) as connection:
        connection.sendall(request)
        read_until(connection, lambda answer: answer.startswith(b"HTTP/1.1 200"))
    assert queue.bodies() == ["chunked"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_64_mib(stage, chunked):
    """More than any valid request: refused early, and never held in memory."""
    server, queue = stage
    before = server.rss_bytes()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (64 * MIB)
    with socket.create_connection(server.address, 30) as connection:
        connection.sendall(head(0).replace(b"Content-Length: 0", framing))
        piece = b"x" * MIB
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                connection.sendall(b"%x\r\n%s\r\n" % (MIB, piece) if chunked else piece)
        answer = b""
        with contextlib.suppress(ConnectionError):
            connection.settimeout(10)
            answer = connection.recv(65536)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")), answer[:100]
    assert server.rss_bytes() - before < 32 * MIB
    assert_well(server, queue)


def test_1_mib_written_with_escapes_is_not_too_long(stage):
    """1 MiB of characters that JSON writes as six bytes for two is still a valid message."""
    server, queue = stage
    text = "é" * (MIB // 2)
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": text}).encode()
    assert len(body) > 3 * MIB
    assert json_call(server.url, "SendMessage", body).status == 200
    assert queue.one()["Body"] == text


@pytest.mark.slow
def test_ten_thousand_idle_connections(stage):
    """As many as the limit on open files allows, up to 10,000; an honest client is served meanwhile."""
    server, queue = stage
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(10_000, hard - 1_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, wanted + 1_000)), hard))
    before = server.rss_bytes()
    with contextlib.ExitStack() as stack:
        idle = []
        for i in range(wanted):
            connection = stack.enter_context(socket.create_connection(server.address, 10))
            if i % 2:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n")  # Half of a head.
            idle.append(connection)
            if i % 1_000 == 0:
                assert_well(server, queue)
        assert_well(server, queue)
        grown = server.rss_bytes() - before
        assert grown < wanted * 32 * 1024, f"{grown / wanted:.0f} bytes a connection"
    assert_well(server, queue)


def test_clients_that_vanish_in_the_middle_of_answers(stage):
    server, queue = stage
    queue.send("x" * MIB)
    body = json.dumps({"QueueUrl": queue.url, "VisibilityTimeout": 0}).encode()
    for _ in range(50):
        with socket.create_connection(server.address) as connection:
            connection.sendall(head(len(body), "ReceiveMessage") + body)
            connection.recv(10)
    message = queue.one()
    assert len(message["Body"]) == MIB
    queue.delete(message)
    assert_well(server, queue)


def test_thousands_of_abandoned_long_polls_cost_nothing_that_stays(stage):
    server, queue = stage
    body = json.dumps({"QueueUrl": queue.url, "WaitTimeSeconds": 20}).encode()
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                connection = stack.enter_context(socket.create_connection(server.address))
                connection.sendall(head(len(body), "ReceiveMessage") + body)
    time.sleep(0.5)
    assert_well(server, queue)


def test_a_queue_name_in_every_field(stage):
    """Values of a megabyte where a name is expected: refused, not stored and not echoed without end."""
    server, _ = stage
    for action, member in [
        ("CreateQueue", "QueueName"),
        ("GetQueueUrl", "QueueName"),
        ("DeleteMessage", "ReceiptHandle"),
        ("ListQueues", "QueueNamePrefix"),
        ("ListQueues", "NextToken"),
        ("CancelMessageMoveTask", "TaskHandle"),
    ]:
        answer = json_call(server.url, action, {member: "x" * MIB, "MaxResults": 1})
        assert answer.status in (200, 400, 404), answer.text[:200]


def test_a_server_without_credentials_serves_unsigned_loopback_clients(stage):
    server, _ = stage
    assert send(server.url + "/", headers={"X-Amz-Target": "AmazonSQS.ListQueues"}, body=b"{}").status == 200
