"""Starts, stops and kills a real `kyu` server for a test.

The binary is $KYU_BIN, else target/release/kyu or target/debug/kyu, whichever is newer.
"""

import contextlib
import os
import pathlib
import queue
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator

from ports import HeldPort, ports_of

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
READY_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30
# How long a restarted server tries to get its own port back.
PORT_PATIENCE_SECONDS = 20
# `kyu` ends with it when a port or the data directory is in use.
IN_USE_EXIT_CODE = 4


def binary() -> str:
    """The path of the `kyu` binary under test."""
    if named := os.environ.get("KYU_BIN"):
        # A relative path means relative to where the suite was started, not to a worker's directory.
        return str(pathlib.Path(named).resolve())
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [path for profile in ("release", "debug") if (path := target / profile / "kyu").exists()]
    if not built:
        raise FileNotFoundError(f"no kyu binary in {target}; run `cargo build -p kyu` or set KYU_BIN")
    return str(max(built, key=lambda path: path.stat().st_mtime))


class NotReady(RuntimeError):
    """A server that ended, or said nothing, before its `kyu ready` line."""

    def __init__(self, exit_code: int | None, command: list[str], log: str):
        super().__init__(f"no `kyu ready` (exit code {exit_code}) from {command}\n{log}")
        self.exit_code = exit_code


class Server:
    """One server process on its own data directory; it can be stopped, killed and started again.

    Its doors bind port 0; it keeps for every later start what it got at the first one. The default port of a
    door may belong to another program of this machine: doors that a test does not ask for are off.
    """

    def __init__(
        self,
        *args: str,
        data: str | None = None,
        env: dict[str, str] | None = None,
        host="127.0.0.1",
        pgmq: bool = False,
        max_open_files: int | None = None,
    ):
        self.args = list(args)
        self.host = host
        self.max_open_files = max_open_files
        self.env = env or {}
        self.owns_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="kyu-conformance-")
        # By door, from the first ready line on.
        self.ports: dict[str, int] = {}
        self._doors = ["http", "pgmq"] if pgmq else ["http"]
        self._held: list[HeldPort] = []
        self.process: subprocess.Popen | None = None
        self.output: list[str] = []

    @property
    def port(self) -> int:
        """Of the HTTP door; known once the server was ready."""
        return self.ports["http"]

    @property
    def pgmq_port(self) -> int:
        """Of the pgmq door; known once the server was ready."""
        return self.ports["pgmq"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pgmq_conninfo(self) -> str:
        """libpq's words for the pgmq door."""
        return f"host=127.0.0.1 port={self.pgmq_port} user=kyu dbname=kyu"

    @property
    def pgmq_url(self) -> str:
        # No password is asked for; the Rust crate `pgmq` refuses a URL without one.
        return f"postgresql://kyu:any@127.0.0.1:{self.pgmq_port}/kyu"

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def start(self) -> "Server":
        """Returns once the server printed its `kyu ready` line.

        A restart gets its port back: the port is held meanwhile, and a bind that fails nonetheless is tried again
        for a bounded time. At a first start a port in use is the answer the test asked for.
        """
        give_up = time.monotonic() + PORT_PATIENCE_SECONDS
        while True:
            try:
                return self._start()
            except NotReady as error:
                again = self.ports and error.exit_code == IN_USE_EXIT_CODE and "port is in use" in self.log()
                if not again or time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def _door_args(self) -> list[str]:
        words = []
        for door in ("http", "pgmq"):
            if f"--{door}" not in self.args:
                address = f"{self.host}:{self.ports.get(door, 0)}" if door in self._doors else "off"
                words += [f"--{door}", address]
        return words

    def _start(self) -> "Server":
        command = [binary(), "server", "--data", self.data, *self._door_args(), *self.args]
        # No credential of the machine may leak in: the server would start to verify signatures.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "KYU_"))}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**inherited, **self.env},
            preexec_fn=self._limit_open_files if self.max_open_files else None,
        )
        news: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read_output, args=(self.process, news), daemon=True).start()
        try:
            ready = news.get(timeout=READY_TIMEOUT_SECONDS)
        except queue.Empty:
            ready = None
        if ready is None:
            self._end_process()
            raise NotReady(self.process.poll(), command, self.log())
        self.ports = ports_of(ready)
        return self

    def _limit_open_files(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.max_open_files, self.max_open_files))

    def _read_output(self, process: subprocess.Popen, news: queue.Queue) -> None:
        """Keeps the output; gives the ready line, and None when there is no more to come."""
        for line in process.stdout:
            self.output.append(line)
            if line.startswith("kyu ready"):
                news.put(line)
        process.wait()
        news.put(None)

    def log(self) -> str:
        return "".join(self.output[-200:])

    def stop(self) -> None:
        """SIGTERM; the server must end by itself with exit code 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_TIMEOUT_SECONDS)
        self._hold_ports()
        if code != 0:
            raise RuntimeError(f"SIGTERM ended with exit code {code}\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL: the crash."""
        self._end_process()
        self._hold_ports()

    def _end_process(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _hold_ports(self) -> None:
        """From the first end on, until `close`: a server that runs binds beside our sockets."""
        if self._held:
            return
        for port in self.ports.values():
            # Somebody was quicker: the start will try for a while.
            with contextlib.suppress(OSError):
                self._held.append(HeldPort(self.host, port))

    def restart(self) -> "Server":
        """A clean stop and a start on the same data and port."""
        self.stop()
        return self.start()

    def crash(self) -> "Server":
        """kill -9 and a start on the same data and port."""
        self.kill()
        return self.start()

    def metrics(self) -> dict[str, float]:
        """What /metrics says, without series of single queues."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as page:
            lines = (line.rsplit(" ", 1) for line in page.read().decode().splitlines() if not line.startswith("#"))
            return {name: float(value) for name, value in lines}

    def rss_bytes(self) -> int:
        """Resident memory of the server process."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def close(self) -> None:
        """Ends the process whatever its state and removes its data."""
        self._end_process()
        for held in self._held:
            held.close()
        self._held = []
        if self.owns_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_) -> None:
        self.close()


@contextlib.contextmanager
def shared_server(session, *args: str, **more) -> Iterator[Server]:
    """The server that many tests of a pytest `session` share, stopped in good order.

    If it does not come up, the session ends with its words: hundreds of tests would only repeat them.
    """
    import pytest  # the crash loops use this file without it

    server = Server(*args, **more)
    try:
        why = _failure_of_start(server)
        if why:
            session.shouldfail = "the server of the suite did not come up"
            pytest.fail(f"{session.shouldfail}: {why}", pytrace=False)
        yield server
        server.stop()
    finally:
        server.close()


def _failure_of_start(server: Server) -> str | None:
    """Starts it; what went wrong, be it that there is no binary."""
    try:
        server.start()
    except (NotReady, OSError) as error:
        return str(error)
    return None
