"""Every statement of `first_statements.sql` is taken: what clients, ORMs and tools send before anything else."""

import pathlib
import re

import pytest
from psycopg import pq

STATEMENTS = pathlib.Path(__file__).with_name("first_statements.sql")


def clients():
    """Each client with its statements, in order."""
    found, name = {}, None
    for block in re.split(r"\n\s*\n", STATEMENTS.read_text()):
        lines = block.strip().splitlines()
        if lines and (named := re.match(r"-- @client (.*)", lines[0])):
            name, lines = named[1], lines[1:]
        sql = "\n".join(line for line in lines if not line.startswith("--"))
        if name and sql:
            found.setdefault(name, []).append(sql)
    return found


@pytest.mark.parametrize("client", clients())
def test_none_of_its_first_statements_fails(server, client):
    connection = pq.PGconn.connect(server.pgmq_conninfo.encode())
    assert connection.status == pq.ConnStatus.OK, connection.error_message
    connection.exec_(b"SELECT pgmq.create('first')")
    failed = []
    for sql in clients()[client]:
        if re.search(r"\$\d", sql):
            result = connection.prepare(b"", sql.encode())
        else:
            result = connection.exec_(sql.encode())
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            failed.append(f"{result.error_message.decode().strip()}\n    {sql[:200]}")
    connection.finish()
    assert not failed, "\n".join(failed)
