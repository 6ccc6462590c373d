"""The door itself: the same queue through other doors, restarts, crashes, passwords, ports."""

import concurrent.futures
import contextlib
import os
import socket
import time

import boto3
import psycopg
import pytest
from psycopg.types.json import Jsonb

from kyu_server import Server


def sqs_client(server):
    return boto3.client(
        "sqs",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


def test_what_boto3_sends_psql_reads(server, psql, queue):
    sqs = sqs_client(server)
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody='{"from": "boto3"}')
    assert psql(f"SELECT message FROM pgmq.read('{queue}', 30, 1)") == '{"from": "boto3"}\n'
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert psql(f"SELECT pgmq.delete('{queue}', msg_id) FROM pgmq.q_{queue}") == "t\n"
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_what_psql_sends_boto3_receives(server, psql, queue):
    psql(f"SELECT pgmq.create('{queue}'); SELECT pgmq.send('{queue}', '{{\"from\": \"psql\"}}')")
    sqs = sqs_client(server)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    message = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]
    assert message["Body"] == '{"from": "psql"}'
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert psql(f"SELECT count(*) FROM pgmq.q_{queue}") == "0\n"


@pytest.mark.parametrize("end", ["restart", "crash"])
def test_what_was_acknowledged_is_there_afterwards(own_server, queue, end):
    server = own_server()
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        connection.execute("SELECT pgmq.create(%s)", (queue,))
        for n in range(20):
            connection.execute("SELECT pgmq.send(%s, %s)", (queue, Jsonb(n)))
        connection.execute("SELECT pgmq.delete(%s, 1)", (queue,))
        connection.execute("SELECT pgmq.archive(%s, 2)", (queue,))
        open_block = psycopg.connect(server.pgmq_conninfo)
        open_block.execute("SELECT pgmq.send(%s, '\"never\"')", (queue,))
    getattr(server, end)()
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        rows = connection.execute("SELECT message FROM pgmq.read(%s, 30, 100)", (queue,)).fetchall()
        assert [row[0] for row in rows] == list(range(2, 20))
        assert connection.execute(f"SELECT message FROM pgmq.a_{queue}").fetchall() == [(1,)]


def test_a_dead_connection_gives_its_claims_back(server, connection, queue):
    connection.execute("SELECT pgmq.create(%s)", (queue,))
    connection.execute("SELECT pgmq.send(%s, '1')", (queue,))
    claimant = psycopg.connect(server.pgmq_conninfo)
    assert claimant.execute("SELECT message FROM pgmq.read(%s, 600, 1)", (queue,)).fetchone() == (1,)
    socket.socket(fileno=os.dup(claimant.fileno())).shutdown(socket.SHUT_RDWR)
    polled = connection.execute("SELECT message FROM pgmq.read_with_poll(%s, 0, 1, 10, 50)", (queue,)).fetchone()
    assert polled == (1,)


def test_a_password_is_demanded_and_the_right_one_accepted(own_server, queue):
    server = own_server(env={"KYU_PGMQ_USER": "worker", "KYU_PGMQ_PASSWORD": "pa ss"})
    with pytest.raises(psycopg.OperationalError, match="no password supplied|password authentication failed"):
        psycopg.connect(server.pgmq_conninfo)
    wrong = {"user": "worker", "password": "wrong"}
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "worker"'):
        psycopg.connect(server.pgmq_conninfo, **wrong)
    with psycopg.connect(server.pgmq_conninfo, user="worker", password="pa ss") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("worker",)


def test_tls_is_spoken_when_a_certificate_is_given(own_server, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    tests = "crates/kyu-pgmq/src/wire/tests"
    for name, path in (("certificate.pem", certificate), ("key.pem", key)):
        with open(f"{os.path.dirname(__file__)}/../../../{tests}/{name}", encoding="ascii") as source:
            path.write_text(source.read())
    server = own_server("--tls-cert", str(certificate), "--tls-key", str(key))
    with psycopg.connect(server.pgmq_conninfo, sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(server.pgmq_conninfo, sslmode="disable") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_port_in_use_is_an_error_that_names_the_flag(server):
    with pytest.raises(RuntimeError, match=f"--pgmq 127.0.0.1:{server.pgmq_port}: the port is in use"):
        Server("--pgmq", f"127.0.0.1:{server.pgmq_port}").start()


def test_beyond_loopback_only_with_a_user():
    with pytest.raises(RuntimeError, match="--pgmq 0.0.0.0:"):
        Server("--pgmq", "0.0.0.0:0").start()


@pytest.mark.parametrize("user, password", [("", ""), ("worker", ""), ("", "long enough"), ("worker", "abc")])
def test_a_user_that_is_set_and_empty_is_none(user, password):
    env = {"KYU_PGMQ_USER": user, "KYU_PGMQ_PASSWORD": password}
    for host in ("127.0.0.1", "0.0.0.0"):
        with contextlib.closing(Server("--pgmq", f"{host}:0", env=env)) as empty:
            with pytest.raises(RuntimeError, match="KYU_PGMQ_PASSWORD.*(empty|fewer)"):
                empty.start()


def test_two_hundred_sessions_at_once(server):
    sockets = [psycopg.connect(server.pgmq_conninfo) for _ in range(200)]
    assert all(s.execute("SELECT 1").fetchone() == (1,) for s in sockets)
    for s in sockets:
        s.close()


def test_hostile_bytes_leave_memory_alone(server):
    before = server.rss_bytes()
    for _ in range(50):
        for bytes_ in (b"\x7f\xff\xff\xff\x00\x03\x00\x00", b"\x40\x00\x00\x00\x00\x03\x00\x00", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.pgmq_port)) as raw:
                raw.sendall(bytes_)
                raw.settimeout(10)
                assert raw.recv(100) == b""
    assert server.rss_bytes() - before < 20 << 20


def test_memory_of_large_statements_goes_back_to_the_system(server):
    """Four sorts side by side once left 600 MB with the process for ever."""
    before = server.rss_bytes()
    sort = "SELECT count(*) FROM (SELECT g, repeat('x', 200) r FROM generate_series(1, 100000) g ORDER BY r, g DESC) x"
    peaks = []

    def one(_) -> None:
        with psycopg.connect(server.pgmq_conninfo) as session:
            assert session.execute(sort).fetchone() == (100_000,)
            peaks.append(server.rss_bytes())

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    held = max(peaks) - before
    assert held > 40 << 20
    deadline = time.monotonic() + 60
    while server.rss_bytes() - before > held / 3:
        assert time.monotonic() < deadline, f"{(server.rss_bytes() - before) >> 20} of {held >> 20} MiB are still there"
        time.sleep(0.5)


def test_a_deeply_nested_statement_is_refused_and_the_session_lives(connection):
    for text in ("SELECT " + "(" * 10_000 + "1" + ")" * 10_000, "SELECT " + "NOT " * 10_000 + "true"):
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(text)
        assert refused.value.sqlstate in ("54001", "54000")
    assert connection.execute("SELECT 1").fetchone() == (1,)
