"""A real Postgres with Kyu's outbox in it: the user's database."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "pgmq"))

from kyu_server import binary  # noqa: E402
from real_postgres import BIN, SETTINGS, RealPostgres  # noqa: E402


class SourcePostgres(RealPostgres):
    """Starts on enter, is gone on exit; can crash in between."""

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self):
        if os.getuid() == 0:
            shutil.chown(self.directory, self.user)
        data = f"{self.directory}/data"
        initdb = [BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **self._options())
        self.start()
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(subprocess.check_output([binary(), "outbox", "--print-sql"]))
        return self

    def start(self) -> None:
        data = f"{self.directory}/data"
        command = [BIN / "postgres", "-D", data, "-p", str(self.port), "-k", self.directory, *SETTINGS]
        log = open(f"{self.directory}/log", "ab")  # noqa: SIM115 - the process keeps it
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory, **self._options())
        ready = [BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if self.process.poll() is not None:
                raise RuntimeError(pathlib.Path(f"{self.directory}/log").read_text(errors="replace"))

    def __exit__(self, *error):
        # Fast: it does not wait for those who are connected.
        self.process.send_signal(signal.SIGINT)
        super().__exit__(*error)

    def crash(self) -> None:
        """An immediate shutdown: every process ends at once, and the next start recovers."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        self.start()
