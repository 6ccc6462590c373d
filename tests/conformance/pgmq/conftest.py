"""Fixtures: one server a worker with the pgmq door open, and unique queue names."""

import pathlib
import subprocess
import sys
import uuid

import psycopg
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kyu_server import Server, shared_server  # noqa: E402


@pytest.fixture(scope="session")
def server(request):
    """The server that the tests of one worker share."""
    with shared_server(request.session, pgmq=True) as shared:
        yield shared


@pytest.fixture()
def own_server():
    """A factory of servers that belong to one test, which may kill, restart or configure them."""
    servers = []

    def start(*args, env=None, **more):
        servers.append(Server(*args, env=env, pgmq=True, **more))
        return servers[-1].start()

    yield start
    for one in servers:
        one.close()


@pytest.fixture()
def queue():
    """A queue name that nobody else uses; the queue is the test's to make."""
    return f"q_{uuid.uuid4().hex[:12]}"


@pytest.fixture()
def connection(server):
    """psycopg in autocommit."""
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        yield connection


@pytest.fixture()
def psql(server):
    """Runs a script through psql, unaligned and without the user's settings; gives its output."""

    def run(script, *options, check=True):
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", server.pgmq_conninfo, *options]
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout
        return done

    return run
