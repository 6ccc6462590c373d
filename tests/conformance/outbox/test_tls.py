"""TLS and passwords between the relay and the user's Postgres, as libpq's sslmode has them."""

import os
import pathlib
import shutil
import subprocess
import sys

import psycopg
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "pgmq")]

from kyu_server import shared_server  # noqa: E402
from outbox.relay import Relay, messages, send  # noqa: E402
from outbox.source import source_postgres  # noqa: E402

WAYS = pytest.mark.parametrize("way", [[], ["--replication"]], ids=["polling", "replication"])
HBA = """
local all all trust
hostssl all relay 127.0.0.1/32 scram-sha-256
hostssl all relay_md5 127.0.0.1/32 md5
hostssl all relay_clear 127.0.0.1/32 password
hostssl all relay_certificate 127.0.0.1/32 cert
hostnossl all relay,relay_md5,relay_clear,relay_certificate 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
"""


def openssl(*args, directory):
    subprocess.run(["openssl", *args], check=True, cwd=directory, capture_output=True)


def certify(directory, name, subject, extensions, ca="ca"):
    """NAME.key and NAME.crt, signed by a certificate authority."""
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={subject}", directory=directory)
    pathlib.Path(directory, f"{name}.ext").write_text(extensions)
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt", directory=directory)


@pytest.fixture(scope="module")
def source():
    source = source_postgres(
        wal_level="logical", ssl="on", ssl_cert_file="../server.crt", ssl_key_file="../server.key",
        ssl_ca_file="../ca.crt",
    )
    directory = source.directory
    source.settings += ["-c", f"hba_file={directory}/hba.conf"]
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt",
                "-subj", f"/CN={name}", "-days", "2", directory=directory)
    certify(directory, "server", "localhost", "subjectAltName=DNS:localhost\n")
    certify(directory, "client", "relay_certificate", "extendedKeyUsage=clientAuth\n")
    pathlib.Path(directory, "hba.conf").write_text(HBA)
    for name in ("server.key", "client.key"):
        os.chmod(f"{directory}/{name}", 0o600)
    if os.getuid() == 0:
        for name in os.listdir(directory):
            shutil.chown(f"{directory}/{name}", source.user)
    with source:
        with psycopg.connect(source.conninfo, autocommit=True) as connection:
            for role, encryption in [("relay", "scram-sha-256"), ("relay_md5", "md5"), ("relay_clear", "scram-sha-256"),
                                     ("relay_certificate", "scram-sha-256")]:
                connection.execute(f"SET password_encryption = '{encryption}'")
                connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'se cret'")
        yield source


@pytest.fixture(scope="module")
def server(request):
    with shared_server(request.session, pgmq=True) as server:
        yield server


def url(source, parameters, user="relay", host="localhost"):
    return f"postgresql://{user}:se%20cret@{host}:{source.port}/postgres?{parameters}".replace("DIR", source.directory)


def is_encrypted(source):
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        rows = connection.execute("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                                  " WHERE application_name = 'kyu outbox'").fetchall()
    return {ssl for (ssl,) in rows}


@WAYS
@pytest.mark.parametrize("parameters", [
    "",  # prefer
    "sslmode=prefer",
    "sslmode=require",
    "sslmode=require&sslrootcert=DIR/ca.crt",
    "sslmode=verify-ca&sslrootcert=DIR/ca.crt",
    "sslmode=verify-full&sslrootcert=DIR/ca.crt",
    "sslmode=verify-full&sslrootcert=DIR/server.crt",  # the certificate itself
])
def test_it_is_encrypted_and_the_password_is_proved(source, server, way, parameters):
    with Relay(url(source, parameters), server, *way):
        send(source, "tls", 1)
        assert messages(server, "tls", 1) == [1]
        assert is_encrypted(source) == {True}


@WAYS
@pytest.mark.parametrize("user,parameters", [
    ("relay_md5", "sslmode=require"),
    ("relay_clear", "sslmode=require"),
    ("relay_certificate", "sslmode=require&sslcert=DIR/client.crt&sslkey=DIR/client.key"),
])
def test_other_logins(source, server, way, user, parameters):
    with Relay(url(source, parameters, user), server, *way):
        send(source, "logins", 1)
        assert messages(server, "logins", 1) == [1]


def test_a_host_by_its_address_needs_no_name_unless_it_is_verified(source, server):
    with Relay(url(source, "sslmode=verify-ca&sslrootcert=DIR/ca.crt", host="127.0.0.1"), server):
        send(source, "address", 1)
        assert messages(server, "address", 1) == [1]


@WAYS
@pytest.mark.parametrize("parameters,host,reason", [
    ("sslmode=verify-full&sslrootcert=DIR/ca.crt", "127.0.0.1", "not valid for name"),
    ("sslmode=verify-ca&sslrootcert=DIR/other.crt", "localhost", "certificate"),
    ("sslmode=require&sslrootcert=DIR/other.crt", "localhost", "certificate"),
    ("sslmode=verify-full&sslrootcert=DIR/none.crt", "localhost", "none.crt"),
    ("sslmode=disable", "localhost", "pg_hba.conf"),
])
def test_what_does_not_verify_is_refused_and_said(source, server, way, parameters, host, reason):
    said = Relay(url(source, parameters, host=host), server, *way).start().fails()
    assert reason in said, said


@WAYS
def test_a_server_without_tls(server, way):
    name = "_".join(["plain", *way]).replace("-", "")  # another cluster is another source
    with source_postgres(wal_level="logical") as plain:
        with Relay(f"{plain.url}?sslmode=prefer", server, "--name", name, *way):
            send(plain, name, 1)
            assert messages(server, name, 1) == [1]
            assert is_encrypted(plain) == {False}
        said = Relay(f"{plain.url}?sslmode=require", server, "--name", name, *way).start().fails()
        assert "TLS" in said


def test_the_replication_connection_verifies_by_itself(source, server):
    """A password that is wrong for one is wrong for both."""
    wrong = url(source, "sslmode=require").replace("se%20cret", "wrong")
    said = Relay(wrong, server, "--replication").start().fails()
    assert "password authentication failed" in said
