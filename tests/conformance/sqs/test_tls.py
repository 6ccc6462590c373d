"""TLS that ends on the HTTP port itself: `--tls-cert` and `--tls-key`."""

import contextlib
import socket
import ssl

import boto3
import pytest
from botocore.config import Config

from kyu_server import REPOSITORY, NotReady, Server

CERTIFICATES = REPOSITORY / "crates/kyu-pgmq/src/wire/tests"
TLS = ["--tls-cert", str(CERTIFICATES / "certificate.pem"), "--tls-key", str(CERTIFICATES / "key.pem")]


@pytest.fixture(scope="module")
def secure():
    with Server(*TLS) as server:
        yield server
        server.stop()


def test_boto3_over_https(secure):
    sqs = boto3.client(
        "sqs",
        endpoint_url=f"https://127.0.0.1:{secure.port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        verify=False,
        config=Config(retries={"max_attempts": 0}),
    )
    url = sqs.create_queue(QueueName="secure")["QueueUrl"]
    assert url.startswith(f"https://127.0.0.1:{secure.port}/"), "and a client may go on with that URL"
    body = "x" * 1_000_000
    sqs.send_message(QueueUrl=url, MessageBody=body)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == body
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)


def test_plain_http_and_half_a_handshake_are_ended(secure):
    with socket.create_connection(secure.address, timeout=20) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b"200" not in plain.recv(1000)
    with socket.create_connection(secure.address, timeout=20) as silent:
        assert silent.recv(1000) == b"", "after ten seconds"


def test_requests_in_pieces_over_tls(secure):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(secure.address, timeout=20) as plain, context.wrap_socket(plain) as wrapped:
        for _ in range(3):
            for piece in (b"GET /li", b"vez HTTP/1.1\r\nhost: local", b"host\r\n\r\n"):
                wrapped.sendall(piece)
            assert wrapped.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_certificate_that_is_not_there_is_told_at_the_start():
    with contextlib.closing(Server("--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem")) as server:
        with pytest.raises(NotReady, match="/nowhere.pem"):
            server.start()
