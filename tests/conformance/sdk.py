"""Runs the suites of other languages against a fresh server: `sdk.py COMMAND...` with $KYU_SQS_URL and
$KYU_PGMQ_URL set. With `--tls` before the command, $KYU_PGMQ_TLS_URL is a second server, whose pgmq door
has a certificate and demands a password."""

import os
import subprocess
import sys

from kyu_server import REPOSITORY, Server

CERTIFICATES = REPOSITORY / "crates/kyu-pgmq/src/wire/tests"


def locked_server() -> Server:
    certificate = ["--tls-cert", str(CERTIFICATES / "certificate.pem"), "--tls-key", str(CERTIFICATES / "key.pem")]
    return Server(*certificate, pgmq=True, env={"KYU_PGMQ_USER": "worker", "KYU_PGMQ_PASSWORD": "secret"})


def run(command: list[str], environment: dict[str, str]) -> int:
    with Server(pgmq=True) as server:
        urls = {"KYU_SQS_URL": server.url, "KYU_PGMQ_URL": server.pgmq_url}
        done = subprocess.run(command, env={**os.environ, **environment, **urls}, check=False)
        if done.returncode != 0:
            print(f"--- server\n{server.log()}", file=sys.stderr)
        server.stop()
        return done.returncode


def main() -> int:
    command = sys.argv[1:]
    if command[0] != "--tls":
        return run(command, {})
    with locked_server() as locked:
        url = f"postgresql://worker:secret@127.0.0.1:{locked.pgmq_port}/kyu"
        return run(command[1:], {"KYU_PGMQ_TLS_URL": url})


if __name__ == "__main__":
    sys.exit(main())
