"""A real Postgres with the real pgmq on it, for recording what it answers.

Postgres is Debian's (`postgresql-15`); pgmq's SQL comes out of the Python package `pgmq`, where its
authors ship it. The server has a temporary directory and a free port, and runs as the user
`postgres` if this is root, which Postgres refuses to be.
"""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import psycopg
from pgmq.install import get_embedded_install_sql

from kyu_server import free_port

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
SETTINGS = ["-c", "timezone=UTC", "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]


class RealPostgres:
    """Starts on enter, is gone on exit."""

    def __init__(self):
        self.port = free_port()
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.directory = tempfile.mkdtemp(prefix="kyu-real-postgres-")
        self.process = None

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def _options(self):
        return {"user": self.user} if os.getuid() == 0 else {}

    def __enter__(self):
        if os.getuid() == 0:
            shutil.chown(self.directory, self.user)
        data = f"{self.directory}/data"
        initdb = [BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **self._options())
        command = [BIN / "postgres", "-D", data, "-p", str(self.port), "-k", self.directory, *SETTINGS]
        log = open(f"{self.directory}/log", "wb")  # noqa: SIM115 - the process keeps it
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory, **self._options())
        ready = [BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if self.process.poll() is not None:
                raise RuntimeError(pathlib.Path(f"{self.directory}/log").read_text(errors="replace"))
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(get_embedded_install_sql())
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
