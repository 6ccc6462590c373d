"""Sessions that wait for each other's transactions.

Every test runs against Kyu, and against the real pgmq on a real Postgres where one is installed: the
expectations are those of Postgres, and both must meet them.
"""

import threading
import time

import psycopg
import pytest
from pgmq.install import get_embedded_install_sql
from psycopg import errors

import real_postgres


@pytest.fixture(scope="module")
def real():
    """The real thing, or a skip where it is not installed."""
    if not real_postgres.BIN.exists():
        pytest.skip("no Postgres here")
    with real_postgres.RealPostgres(get_embedded_install_sql()) as started:
        yield started


@pytest.fixture(params=["kyu", "postgres"])
def connect(request):
    """A factory of connections in autocommit; all of them are closed at the end."""
    if request.param == "kyu":
        conninfo = request.getfixturevalue("server").pgmq_conninfo
    else:
        conninfo = request.getfixturevalue("real").conninfo
    opened = []

    def open_one(**settings):
        opened.append(psycopg.connect(conninfo, autocommit=True))
        for name, value in settings.items():
            opened[-1].execute(f"SET {name} = '{value}'")
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture()
def filled(connect, queue):
    """A connection, with a queue of three messages."""
    connection = connect()
    connection.execute("SELECT pgmq.create(%s)", (queue,))
    connection.execute("SELECT pgmq.send_batch(%s, ARRAY['1', '2', '3']::jsonb[])", (queue,))
    return connection


class Later:
    """A statement that runs while the test goes on."""

    def __init__(self, connection, statement, parameters=()):
        self.connection, self.result, self.error = connection, None, None
        self.thread = threading.Thread(target=self._run, args=(statement, parameters))
        self.thread.start()

    def _run(self, statement, parameters):
        try:
            self.result = self.connection.execute(statement, parameters).fetchall()
        except psycopg.Error as error:
            self.error = error

    def waits(self):
        """It has not ended after a while. A real server that is slow would pass, too: never the reverse."""
        self.thread.join(0.2)
        return self.thread.is_alive()

    def end(self):
        """Its rows, or its error raised."""
        self.thread.join(30)
        assert not self.thread.is_alive(), "it waits for ever"
        if self.error is not None:
            raise self.error
        return self.result


def ids(connection, queue):
    return [row[0] for row in connection.execute(f"SELECT msg_id FROM pgmq.q_{queue} ORDER BY 1").fetchall()]


WANTS = {
    "delete": ("SELECT pgmq.delete(%s, 1)", [(True,)], [(False,)]),
    "delete several": ("SELECT pgmq.delete(%s, ARRAY[1, 2])", [(1,), (2,)], [(2,)]),
    "archive": ("SELECT pgmq.archive(%s, 1)", [(True,)], [(False,)]),
    "set_vt": ("SELECT msg_id FROM pgmq.set_vt(%s, 1, 60)", [(1,)], []),
}


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("want", WANTS)
def test_a_message_that_another_has_deleted_is_waited_for(connect, filled, queue, want, ends):
    statement, if_rolled_back, if_committed = WANTS[want]
    filled.execute("BEGIN")
    filled.execute("SELECT pgmq.delete(%s, 1)", (queue,))
    later = Later(connect(), statement, (queue,))
    assert later.waits()
    filled.execute(ends)
    assert later.end() == (if_committed if ends == "COMMIT" else if_rolled_back)


def test_a_message_that_another_has_read_is_passed_over_by_reads_and_waited_for_by_id(connect, filled, queue):
    filled.execute("BEGIN")
    assert filled.execute("SELECT msg_id FROM pgmq.read(%s, 60, 1)", (queue,)).fetchall() == [(1,)]
    other = connect()
    assert other.execute("SELECT msg_id FROM pgmq.read(%s, 0, 1)", (queue,)).fetchall() == [(2,)]
    assert other.execute("SELECT msg_id FROM pgmq.pop(%s)", (queue,)).fetchall() == [(2,)]
    later = Later(other, "SELECT pgmq.archive(%s, 1)", (queue,))
    assert later.waits()
    filled.execute("COMMIT")
    assert later.end() == [(True,)]
    assert filled.execute(f"SELECT msg_id, read_ct FROM pgmq.a_{queue}").fetchall() == [(1, 1)]


def test_a_statement_that_waits_keeps_what_it_has_and_is_undone_as_a_whole(connect, filled, queue):
    filled.execute("BEGIN")
    filled.execute("SELECT pgmq.delete(%s, 2)", (queue,))
    later = Later(connect(), "SELECT pgmq.delete(%s, ARRAY[1, 2, 3])", (queue,))
    assert later.waits()
    other = connect()
    assert ids(other, queue) == [1, 2, 3]
    # The first is locked, the third is not.
    assert other.execute("SELECT msg_id FROM pgmq.read(%s, 0, 9)", (queue,)).fetchall() == [(3,)]
    later.connection.cancel()
    with pytest.raises(errors.QueryCanceled) as canceled:
        later.end()
    assert "canceling statement due to user request" in str(canceled.value)
    assert other.execute("SELECT msg_id FROM pgmq.read(%s, 0, 9)", (queue,)).fetchall() == [(1,), (3,)]


def test_timeouts(connect, filled, queue):
    filled.execute("BEGIN")
    filled.execute("SELECT pgmq.delete(%s, 1)", (queue,))
    with pytest.raises(errors.LockNotAvailable) as lock_timeout:
        connect(lock_timeout="50ms").execute("SELECT pgmq.delete(%s, 1)", (queue,))
    assert "canceling statement due to lock timeout" in str(lock_timeout.value)
    with pytest.raises(errors.QueryCanceled) as statement_timeout:
        connect(statement_timeout="50ms").execute("SELECT pgmq.delete(%s, 1)", (queue,))
    assert "canceling statement due to statement timeout" in str(statement_timeout.value)
    for statement in ["SELECT pgmq.purge_queue(%s)", "SELECT pgmq.drop_queue(%s)"]:
        with pytest.raises(errors.LockNotAvailable):
            connect(lock_timeout="50ms").execute(statement, (queue,))
    # Who gave up does not stand in anybody's way.
    assert len(connect().execute("SELECT * FROM pgmq.read(%s, 0, 9)", (queue,)).fetchall()) == 2


def test_a_connection_that_dies_lets_others_go_on(connect, filled, queue):
    dies = connect()
    dies.execute("BEGIN")
    dies.execute("SELECT pgmq.delete(%s, 1)", (queue,))
    later = Later(filled, "SELECT pgmq.delete(%s, 1)", (queue,))
    assert later.waits()
    dies.close()
    assert later.end() == [(True,)]


def test_a_failed_transaction_lets_others_go_on_before_its_client_says_anything(connect, filled, queue):
    for prepare in [[], ["SAVEPOINT s"]]:
        fails = connect()
        for statement in ["BEGIN", *prepare]:
            fails.execute(statement)
        fails.execute("SELECT pgmq.delete(%s, 1)", (queue,))
        with pytest.raises(errors.UndefinedColumn):
            fails.execute("SELECT no_such_column")
        later = Later(connect(), "SELECT msg_id FROM pgmq.set_vt(%s, 1, 0)", (queue,))
        assert later.end() == [(1,)]


def test_rolling_back_to_a_savepoint_lets_others_go_on(connect, filled, queue):
    filled.execute("BEGIN")
    filled.execute("SELECT pgmq.delete(%s, 1)", (queue,))
    filled.execute("SAVEPOINT s")
    filled.execute("SELECT pgmq.delete(%s, 2)", (queue,))
    later = Later(connect(), "SELECT pgmq.delete(%s, 2)", (queue,))
    assert later.waits()
    filled.execute("ROLLBACK TO s")
    assert later.end() == [(True,)]
    filled.execute("COMMIT")
    assert ids(filled, queue) == [3]


def test_two_that_wait_for_each_other(connect, filled, queue):
    other = connect()
    for connection, own in [(filled, 1), (other, 2)]:
        connection.execute("BEGIN")
        connection.execute("SELECT pgmq.delete(%s, %s::bigint)", (queue, own))
    first = Later(filled, "SELECT pgmq.delete(%s, 2)", (queue,))
    assert first.waits()
    second = Later(other, "SELECT pgmq.delete(%s, 1)", (queue,))
    # Who finds it out first is told; that is either.
    outcomes = []
    for later in [second, first]:
        try:
            outcomes.append(later.end())
        except errors.DeadlockDetected as error:
            outcomes.append("deadlock")
            assert error.diag.message_primary == "deadlock detected"
            lines = error.diag.message_detail.splitlines()
            assert len(lines) == 2
            for line in lines:
                assert line.startswith("Process ") and " waits for ShareLock on transaction " in line
                assert "; blocked by process " in line
            later.connection.execute("ROLLBACK")
    assert sorted(outcomes, key=str) == [[(True,)], "deadlock"]


def test_three_in_a_circle(connect, filled, queue):
    three = [filled, connect(), connect()]
    for own, connection in enumerate(three, start=1):
        connection.execute("BEGIN")
        connection.execute("SELECT pgmq.delete(%s, %s::bigint)", (queue, own))
    laters = []
    for own, connection in enumerate(three, start=1):
        laters.append(Later(connection, "SELECT pgmq.delete(%s, %s::bigint)", (queue, own % 3 + 1)))
        if own < 3:
            assert laters[-1].waits()
    deadlocks, left = 0, list(laters)
    while left:
        for later in list(left):
            later.thread.join(0.05)
            if not later.thread.is_alive():
                deadlocks += isinstance(later.error, errors.DeadlockDetected)
                later.connection.execute("ROLLBACK" if later.error else "COMMIT")
                left.remove(later)
    assert deadlocks == 1


@pytest.mark.parametrize("use", ["SELECT pgmq.send(%s, '4')", "SELECT pgmq.pop(%s)", "SELECT pgmq.archive(%s, 1)"])
def test_a_purge_waits_for_those_who_use_the_queue(connect, filled, queue, use):
    filled.execute("BEGIN")
    filled.execute(use, (queue,))
    purge = Later(connect(), "SELECT pgmq.purge_queue(%s)", (queue,))
    assert purge.waits()
    # Who comes now stands behind it.
    send = Later(connect(), "SELECT pgmq.send(%s, '5')", (queue,))
    assert send.waits()
    filled.execute("COMMIT")
    purge.end()
    assert len(send.end()) == 1
    assert filled.execute(f"SELECT message FROM pgmq.q_{queue}").fetchall() == [(5,)]
    archived = filled.execute(f"SELECT msg_id FROM pgmq.a_{queue}").fetchall()
    assert archived == ([(1,)] if "archive" in use else [])


def test_a_queue_that_is_purged_in_a_transaction_is_waited_for(connect, filled, queue):
    filled.execute("BEGIN")
    filled.execute("SELECT pgmq.purge_queue(%s)", (queue,))
    reads = Later(connect(), "SELECT msg_id FROM pgmq.read(%s, 0, 9)", (queue,))
    sends = Later(connect(), "SELECT pgmq.send(%s, '4')", (queue,))
    looks = Later(connect(), f"SELECT count(*) FROM pgmq.q_{queue}")
    assert reads.waits() and sends.waits() and looks.waits()
    filled.execute("ROLLBACK")
    assert len(reads.end()) >= 3
    assert sends.end() == [(4,)]
    assert looks.end()[0][0] >= 3


def test_a_drop_waits_and_is_waited_for(connect, filled, queue):
    filled.execute("BEGIN")
    filled.execute("SELECT pgmq.send(%s, '4')", (queue,))
    dropper = connect()
    dropper.execute("BEGIN")
    drop = Later(dropper, "SELECT pgmq.drop_queue(%s)", (queue,))
    assert drop.waits()
    filled.execute("COMMIT")
    assert drop.end() == [(True,)]
    sends = Later(filled, "SELECT pgmq.send(%s, '5')", (queue,))
    assert sends.waits()
    dropper.execute("COMMIT")
    with pytest.raises(errors.UndefinedTable):
        sends.end()


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
def test_two_that_create_the_same_queue_take_turns(connect, queue, ends):
    first, second = connect(), connect()
    for connection in [first, second]:
        connection.execute("BEGIN")
    first.execute("SELECT pgmq.create(%s)", (queue,))
    create = Later(second, "SELECT pgmq.create(%s)", (queue,))
    assert create.waits()
    first.execute(ends)
    create.end()
    second.execute("SELECT pgmq.send(%s, '1')", (queue,))
    second.execute("COMMIT")
    assert ids(first, queue) == [1]


def test_many_workers_delete_what_they_read_while_others_purge(connect, queue):
    """Nobody fails, and nothing is left."""
    boss = connect()
    boss.execute("SELECT pgmq.create(%s)", (queue,))
    stop, failures, removed = threading.Event(), [], []

    def worker(connection):
        try:
            while not stop.is_set():
                with connection.transaction():
                    rows = connection.execute("SELECT msg_id FROM pgmq.read(%s, 60, 5)", (queue,)).fetchall()
                    gone = connection.execute("SELECT pgmq.delete(%s, %s::bigint[])", (queue, [r[0] for r in rows]))
                    assert len(gone.fetchall()) == len(rows)
                removed.append(len(rows))
        except Exception as error:  # noqa: BLE001 - told to the test's thread
            failures.append(error)

    threads = [threading.Thread(target=worker, args=(connect(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 2
    while time.monotonic() < until:
        boss.execute("SELECT pgmq.send_batch(%s, ARRAY['1', '2', '3', '4', '5', '6', '7']::jsonb[])", (queue,))
        boss.execute("SELECT pgmq.purge_queue(%s)", (queue,))
    stop.set()
    for thread in threads:
        thread.join(30)
    assert failures == []
    boss.execute("SELECT pgmq.purge_queue(%s)", (queue,))
    assert ids(boss, queue) == []
