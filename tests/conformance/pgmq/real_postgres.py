"""A real Postgres, with the real pgmq on it for recording what it answers, or with an outbox.

Postgres is Debian's (`postgresql-15`). The server has a temporary directory and a port of its own, and runs
as the user `postgres` if this is root, which Postgres refuses to be.

    real_postgres.py COMMAND...     a suite of clients (Java, Go, node) on real pgmq, by $KYU_PGMQ_URL
"""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from ports import HeldPort  # noqa: E402

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
SETTINGS = ["-c", "timezone=UTC", "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]


class RealPostgres:
    """Starts on enter, is gone on exit; can crash in between.

    `install` is the SQL of what users find in it, `settings` are words of postgresql.conf.
    """

    def __init__(self, install: str | bytes, **settings: str):
        self.install = install
        self.settings = [word for setting in settings.items() for word in ("-c", "=".join(setting))]
        # Postgres cannot say which port it was given, and binds beside ours.
        self._held = HeldPort()
        self.port = self._held.number
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.directory = tempfile.mkdtemp(prefix="kyu-real-postgres-")
        self.process = None

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _options(self):
        return {"user": self.user} if os.getuid() == 0 else {}

    def __enter__(self):
        if os.getuid() == 0:
            shutil.chown(self.directory, self.user)
        data = f"{self.directory}/data"
        initdb = [BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **self._options())
        self.start()
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(self.install)
        return self

    def start(self) -> None:
        """Returns once it accepts connections."""
        data = f"{self.directory}/data"
        command = [BIN / "postgres", "-D", data, "-p", str(self.port), "-k", self.directory, *SETTINGS, *self.settings]
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory, **self._options())
        ready = [BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if self.process.poll() is not None:
                raise RuntimeError(pathlib.Path(f"{self.directory}/log").read_text(errors="replace"))

    def crash(self) -> None:
        """An immediate shutdown: every process ends at once, and the next start recovers."""
        self._end(signal.SIGQUIT)
        self.start()

    def stop(self) -> None:
        """A fast shutdown: it does not wait for those who are connected, but for standbys."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait()

    def __exit__(self, *_):
        self.stop()
        self._held.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def main() -> int:
    from pgmq.install import get_embedded_install_sql

    with RealPostgres(get_embedded_install_sql()) as real:
        url = f"postgresql://postgres:any@127.0.0.1:{real.port}/postgres"
        return subprocess.run(sys.argv[1:], env={**os.environ, "KYU_PGMQ_URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
