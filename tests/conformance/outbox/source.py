"""A real Postgres with Kyu's outbox in it: the user's database."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "pgmq"))

from kyu_server import binary  # noqa: E402
from real_postgres import RealPostgres  # noqa: E402


def source_postgres(**settings: str) -> RealPostgres:
    """`settings` are words of postgresql.conf."""
    return RealPostgres(subprocess.check_output([binary(), "outbox", "--print-sql"]), **settings)
