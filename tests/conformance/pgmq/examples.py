"""The programs that ship with the clients of pgmq, as they are: they want Postgres on localhost:5432.

    examples.py NODE CARGO...       NODE runs the README of pgmq-js, CARGO builds what ships in the crate

So that no port of the machine is touched, this runs in a network namespace of its own (`unshare --net`,
which needs root; without, it says so and does nothing), where Kyu has 127.0.0.1:5432. Texts of programs
come out of the installed packages: Python and TypeScript from their READMEs, examples and integration tests
of Rust from the crate.
"""

import ast
import asyncio
import fcntl
import importlib.metadata
import inspect
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

HOME = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from kyu_server import Server  # noqa: E402

EXAMPLES = ["example-basic", "example-transactions"]
ALL_QUEUES = "test_create_fifo_indexes_all"
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def loopback_up() -> None:
    """`ip link set lo up`."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def build_rust(cargo: list[str]) -> list[list[str]]:
    """The examples and the tests of the crate, built against the lock file of `rust/`; commands to run them."""
    manifest = ["--locked", "--manifest-path", str(HOME / "pgmq/rust/Cargo.toml")]
    described = run_for_output([*cargo, "metadata", "--format-version", "1", *manifest])
    crate = next(p for p in json.loads(described)["packages"] if p["name"] == "pgmq")
    environment = {**os.environ, "PGMQ_SOURCE": str(pathlib.Path(crate["manifest_path"]).parent)}
    bins = [word for name in EXAMPLES for word in ("--bin", name)]
    built = ["--quiet", "--message-format=json-render-diagnostics", *manifest]
    examples = run_for_output([*cargo, "build", *built, *bins], environment)
    tests = run_for_output([*cargo, "test", "--no-run", "--test", "shipped", *built], environment)
    commands = [[path] for path in executables(examples, EXAMPLES)]
    for path in executables(tests, ["shipped"]):
        # It changes every queue, those that other tests drop meanwhile included.
        commands += [[path, "--test-threads", "8", "--skip", ALL_QUEUES], [path, ALL_QUEUES]]
    return commands


def run_for_output(command: list[str], environment=None) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def executables(messages: str, names: list[str]) -> list[str]:
    """The programs of these names, from cargo's messages."""
    found = [json.loads(line) for line in messages.splitlines()]
    return [m["executable"] for m in found if m.get("executable") and m["target"]["name"] in names]


def readme_python() -> list[str]:
    """The programs of the package's README that use a queue; the one that installs pgmq's SQL is none."""
    text = importlib.metadata.metadata("pgmq").get_payload()
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [program for program in programs if "create_queue" in program]


def readme_typescript() -> str:
    text = (HOME / "js/node_modules/pgmq-js/README.md").read_text()
    return re.search(r"```ts\n(.*?)```", text, re.DOTALL)[1]


def run_python(program: str) -> None:
    """Some await at the top, as in a notebook."""
    code = compile(program, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict = {}
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, names))  # noqa: S307 - that is the point
    else:
        exec(code, names)  # noqa: S102
    assert names["msg"].message == {"hello": "world"}
    assert names["batch_ids"] == [2, 3]


def run_typescript(node: str, program: str) -> None:
    strip = "process.stdout.write(require('amaro').transformSync(require('fs').readFileSync(0, 'utf8'), {mode: 'strip-only'}).code)"
    script = subprocess.run([node, "-e", strip], input=program, check=True, capture_output=True, text=True, cwd=HOME / "js")
    # The program leaves its pool open; what comes after it ends the process.
    ended = script.stdout + "\nprocess.exit(receivedMsg.message.name === 'testMsg' && msgId === 1 ? 0 : 1);\n"
    subprocess.run([node, "--input-type=module", "-"], input=ended, check=True, text=True, cwd=HOME / "js")


def inside(node: str, commands: list[list[str]]) -> None:
    """In the namespace; a fresh server for each program."""
    loopback_up()
    programs = [(f"pgmq-py: README {n}", lambda text=text: run_python(text)) for n, text in enumerate(readme_python(), 1)]
    programs.append(("pgmq-js: README", lambda: run_typescript(node, readme_typescript())))
    programs += [(f"crate pgmq: {pathlib.Path(c[0]).name}", lambda c=c: subprocess.run(c, check=True)) for c in commands]
    for name, run in programs:
        with Server("--pgmq", "127.0.0.1:5432"):
            run()
        print(f"{name}: ok", flush=True)
    assert len(programs) >= 7, "a README has lost its programs"


def main() -> int:
    if sys.argv[1] == "--inside":
        inside(sys.argv[2], json.loads(sys.argv[3]))
        return 0
    node, *cargo = sys.argv[1:]
    unshare = ["unshare", "--net"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode != 0:
        print("skipped: a network namespace needs root")
        return 0
    commands = json.dumps(build_rust(cargo))
    return subprocess.run([*unshare, sys.executable, __file__, "--inside", node, commands], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
