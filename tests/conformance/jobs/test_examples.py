"""The Rust examples under kill -9: of the process that works, and of the server that it works at.

Each example is started again and again on the same data and killed at a random moment; at last it runs
to its end. What it did to the world outside is then held against what it promises: everything is done,
and done twice at most where a crash fell between an effect and its record.
"""

import collections
import os
import pathlib
import random
import subprocess
import threading
import time

import pytest

from kyu_server import Server

KILLS = 4
LIFE_SECONDS = (0.2, 1.5)
END_TIMEOUT_SECONDS = 90

EXAMPLES = pathlib.Path(os.environ.get("KYU_EXAMPLES", "../../target/debug/examples")).resolve()


def command(name: str, directory: pathlib.Path, url: str | None) -> list[str]:
    where = ["--url", url] if url else []
    return [str(EXAMPLES / name), "--dir", str(directory), *where]


def kill_and_finish(name: str, directory: pathlib.Path, url: str | None = None) -> None:
    """Kills the example KILLS times, then lets it come to its end."""
    for _ in range(KILLS):
        process = subprocess.Popen(command(name, directory, url), stdout=subprocess.DEVNULL)
        try:
            process.wait(random.uniform(*LIFE_SECONDS))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    finish(name, directory, url)


def finish(name: str, directory: pathlib.Path, url: str | None = None) -> None:
    done = subprocess.run(
        command(name, directory, url), timeout=END_TIMEOUT_SECONDS, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dead: 0" in done.stdout, done.stdout


def lines(path: pathlib.Path) -> collections.Counter:
    return collections.Counter(path.read_text().splitlines())


def check_welcome_email(directory: pathlib.Path, crashes: int) -> None:
    sent = lines(directory / "sent.tsv")
    assert {line.split("\t")[0] for line in sent} == {f"user{n}@example.com" for n in range(1, 11)}
    # One at a time: each crash can fall between one mail and its record.
    assert sum(sent.values()) - len(sent) <= crashes, sent


def check_image_resizing(directory: pathlib.Path, crashes: int) -> None:
    gallery = lines(directory / "store" / "gallery.txt")
    assert set(gallery) == {f"thumbnail-{n:02}.ppm" for n in range(12)}
    assert sum(gallery.values()) - len(gallery) <= 2 * crashes, gallery
    for name in gallery:
        assert (directory / "store" / name).stat().st_size > 40_000


def check_nightly_settlement(directory: pathlib.Path, crashes: int) -> None:
    transfers = lines(directory / "transfers.tsv")
    nights = collections.defaultdict(set)
    for line in transfers:
        night, to, cents = line.split("\t")
        nights[night].add((to, cents))
    assert len(nights) >= 5
    whole = {("customers/ann", "1250"), ("customers/bob", "399"), ("customers/cleo", "87000")}
    assert all(night == whole for night in nights.values()), nights
    assert sum(transfers.values()) - len(transfers) <= 10 * crashes


def check_slow_api(directory: pathlib.Path, crashes: int) -> None:
    """Its end is the check: no job is left, and none is dead."""


CHECKS = {
    "welcome_email": check_welcome_email,
    "image_resizing": check_image_resizing,
    "nightly_settlement": check_nightly_settlement,
    "slow_api": check_slow_api,
}


@pytest.mark.parametrize("name", CHECKS)
def test_an_example_survives_the_kill_of_its_process(name, tmp_path):
    kill_and_finish(name, tmp_path)
    CHECKS[name](tmp_path, KILLS)


@pytest.mark.parametrize("name", CHECKS)
def test_an_example_survives_the_kill_of_its_server(name, tmp_path):
    with Server() as server:
        ended = threading.Event()
        kills = 0

        def kill_the_server() -> None:
            nonlocal kills
            while kills < KILLS and not ended.wait(random.uniform(*LIFE_SECONDS)):
                server.crash()
                kills += 1

        killer = threading.Thread(target=kill_the_server)
        killer.start()
        try:
            # What it enqueues at its beginning is not tried again by itself: then it is started anew.
            deadline = time.monotonic() + END_TIMEOUT_SECONDS
            crashes = 0
            while subprocess.run(
                command(name, tmp_path, server.url), timeout=END_TIMEOUT_SECONDS, stdout=subprocess.DEVNULL
            ).returncode:
                assert time.monotonic() < deadline
                crashes += 1
                time.sleep(0.2)
        finally:
            ended.set()
            killer.join()
        finish(name, tmp_path, server.url)
        CHECKS[name](tmp_path, kills + crashes)


def test_the_honest_limit_of_the_welcome_email(tmp_path):
    """A crash between sending and recording sends twice; one after recording does not."""
    for crash, mails in [("crash-between", 11), ("crash-after", 10)]:
        directory = tmp_path / crash
        crashed = subprocess.run([*command("welcome_email", directory, None), crash], capture_output=True)
        assert crashed.returncode != 0
        finish("welcome_email", directory)
        assert sum(lines(directory / "sent.tsv").values()) == mails
