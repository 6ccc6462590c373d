"""Runs the suites of other languages against a fresh server: `sdk.py COMMAND...` with $KYU_SQS_URL and $KYU_PGMQ_URL set."""

import os
import subprocess
import sys

from kyu_server import Server


def main() -> int:
    with Server(pgmq=True) as server:
        environment = {**os.environ, "KYU_SQS_URL": server.url, "KYU_PGMQ_URL": server.pgmq_url}
        done = subprocess.run(sys.argv[1:], env=environment, check=False)
        if done.returncode != 0:
            print(f"--- server\n{server.log()}", file=sys.stderr)
        server.stop()
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
