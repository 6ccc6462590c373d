"""A `kyu outbox` process, for tests that look at what it does."""

import collections
import pathlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kyu_server import binary  # noqa: E402
from ports import ports_of  # noqa: E402

WAIT_SECONDS = 60


class Relay:
    """Runs on enter, is told to stop on exit and must do so."""

    def __init__(self, source_url: str, server, *args: str, has_metrics: bool = True):
        # Of /metrics; it is another after each start, and known once the relay has said it.
        self.port: int | None = None
        metrics = ["--metrics", "127.0.0.1:0"] if has_metrics else []
        self.command = [binary(), "outbox", "--source", source_url, "--target", server.pgmq_url,
                        "--poll-ms", "10", *metrics, *args]
        self.process: subprocess.Popen | None = None

    def start(self) -> "Relay":
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = None
        threading.Thread(target=self._read_port, args=(self.process,), daemon=True).start()
        # Its log is read so that it never waits for us; the last lines are kept for a report.
        self.lines: collections.deque[str] = collections.deque(maxlen=50)
        lines, stderr = self.lines, self.process.stderr
        self.reading = threading.Thread(target=lambda: lines.extend(stderr), daemon=True)
        self.reading.start()
        return self

    def _read_port(self, process: subprocess.Popen) -> None:
        for line in process.stdout:
            if line.startswith("kyu ready"):
                self.port = ports_of(line)["metrics"]

    def stop(self) -> None:
        self.process.terminate()
        code = self.process.wait(timeout=WAIT_SECONDS)
        self.reading.join()
        assert code == 0, (code, *self.lines)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def fails(self) -> str:
        """It ends by itself, and this is what it says."""
        try:
            code = self.process.wait(timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        self.reading.join()
        assert code == 1, (code, *self.lines)
        return "".join(self.lines)

    def metrics(self) -> dict[str, float]:
        """Zeros as long as it does not listen yet."""
        if self.port is None:
            return collections.defaultdict(float)
        try:
            page = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics").read().decode()
        except urllib.error.URLError:
            return collections.defaultdict(float)
        lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def peak_rss_bytes(self) -> int:
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def eventually(holds) -> None:
    """Waits until it holds; fails with what it last gave."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (last := holds()):
        assert time.monotonic() < deadline, last
        time.sleep(0.02)


def wait_for(server, queue, count):
    """Pops until so many messages came."""
    rows, deadline = [], time.monotonic() + WAIT_SECONDS
    with psycopg.connect(server.pgmq_conninfo, autocommit=True) as connection:
        while len(rows) < count and time.monotonic() < deadline:
            try:
                rows += connection.execute("SELECT message, headers FROM pgmq.pop(%s, 100)", (queue,)).fetchall()
            except psycopg.errors.UndefinedTable:
                pass  # the relay makes it with the first row
            time.sleep(0.02)
        assert len(rows) == count, rows
    return rows


def messages(server, queue, count):
    return [message for message, _ in wait_for(server, queue, count)]


def outbox_rows(source) -> int:
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        return connection.execute("SELECT count(*) FROM pgmq.outbox").fetchone()[0]


def send(source, queue, *bodies) -> None:
    """One transaction for each."""
    with psycopg.connect(source.conninfo, autocommit=True) as connection:
        for body in bodies:
            connection.execute("SELECT pgmq.send(%s, %s::jsonb)", (queue, str(body)))
