"""Starts, stops and kills a real `kyu` server for a test.

The binary is $KYU_BIN, else target/release/kyu or target/debug/kyu, whichever is newer.
"""

import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
READY_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30


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


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server process on its own data directory; it can be stopped, killed and started again."""

    def __init__(
        self,
        *args: str,
        data: str | None = None,
        env: dict[str, str] | None = None,
        host="127.0.0.1",
        pgmq: bool = False,
    ):
        # The default port of a door may belong to another program of this machine: doors that a test
        # does not ask for are off.
        self.pgmq_port = free_port() if pgmq else None
        doors = [] if "--pgmq" in args else ["--pgmq", f"{host}:{self.pgmq_port}" if pgmq else "off"]
        self.args = [*doors, *args]
        self.host = host
        self.env = env or {}
        self.owns_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="kyu-conformance-")
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        self.output: list[str] = []

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
        """Returns once the server printed its `kyu ready` line."""
        command = [binary(), "server", "--data", self.data, "--http", f"{self.host}:{self.port}", *self.args]
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
        )
        news: queue.Queue[bool] = queue.Queue()
        threading.Thread(target=self._read_output, args=(self.process, news), daemon=True).start()
        try:
            ready = news.get(timeout=READY_TIMEOUT_SECONDS)
        except queue.Empty:
            ready = False
        if not ready:
            self.kill()
            raise RuntimeError(f"no `kyu ready` (exit code {self.process.poll()}) from {command}\n{self.log()}")
        return self

    def _read_output(self, process: subprocess.Popen, news: queue.Queue) -> None:
        """Keeps the output; tells when the server is ready, and when there is no more to come."""
        for line in process.stdout:
            self.output.append(line)
            if line.startswith("kyu ready"):
                news.put(True)
        process.wait()
        news.put(False)

    def log(self) -> str:
        return "".join(self.output[-200:])

    def stop(self) -> None:
        """SIGTERM; the server must end by itself with exit code 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_TIMEOUT_SECONDS)
        if code != 0:
            raise RuntimeError(f"SIGTERM ended with exit code {code}\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL: the crash."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> "Server":
        """A clean stop and a start on the same data and port."""
        self.stop()
        return self.start()

    def crash(self) -> "Server":
        """kill -9 and a start on the same data and port."""
        self.kill()
        return self.start()

    def rss_bytes(self) -> int:
        """Resident memory of the server process."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def close(self) -> None:
        """Ends the process whatever its state and removes its data."""
        self.kill()
        if self.owns_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_) -> None:
        self.close()
