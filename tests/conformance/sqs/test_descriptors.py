"""File descriptors: idle connections take none that the log needs."""

import contextlib
import socket

import pytest
from clients import sqs_client
from conftest import eventually, queue_factory

from kyu_server import NotReady, Server

MAX_OPEN_FILES = 200


@pytest.fixture()
def small():
    """A server that may open few files, with segments that are full soon."""
    with Server("--segment-bytes", "1MiB", pgmq=True, max_open_files=MAX_OPEN_FILES) as server:
        yield server
        server.stop()


def test_idle_connections_up_to_the_limit_leave_the_log_its_descriptors(small):
    """A client opened connections until none was left, and did nothing with them. The next sends needed a new
    segment: preparing it failed with EMFILE, and that ended the process."""
    queue = queue_factory(sqs_client(small.url))()
    queue.send("a connection of the pool, before the others come")
    with contextlib.ExitStack() as idle:
        for port in (small.port, small.pgmq_port) * (2 * MAX_OPEN_FILES):
            idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        # Several segments, and what is prepared ahead of them.
        body = "x" * 250_000
        for n in range(40):
            queue.send(f"{n} {body}")
    assert len(queue.drain(41)) == 41


def test_connections_are_accepted_again_when_others_have_ended(small):
    with contextlib.ExitStack() as idle:
        for _ in range(2 * MAX_OPEN_FILES):
            idle.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=5))

    def served():
        with contextlib.suppress(Exception):
            return sqs_client(small.url).list_queues() is not None

    assert eventually(served)


def test_too_few_descriptors_are_told_at_the_start():
    with contextlib.closing(Server(max_open_files=64)) as tiny:
        with pytest.raises(NotReady, match="64 open files.*ulimit -n"):
            tiny.start()
