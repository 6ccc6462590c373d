"""psql, as Debian ships it."""

import re

TUTORIAL = """
CREATE EXTENSION IF NOT EXISTS pgmq;
SELECT pgmq.create_queue('email_jobs');
SELECT pgmq.send('email_jobs', jsonb_build_object('to','user@example.com','subject','Welcome!','body','Thank you for signing up.'));
SELECT * FROM pgmq.read('email_jobs', 30, 1);
SELECT * FROM pgmq.pop('email_jobs');
SELECT * FROM pgmq.q_info('email_jobs');
"""


def test_the_tutorial_runs_as_it_stands(psql):
    lines = psql(TUTORIAL).splitlines()
    # create_queue gives void: an empty field.
    assert lines[0] == ""
    assert lines[1] == "1"
    message = '{"to": "user@example.com", "body": "Thank you for signing up.", "subject": "Welcome!"}'
    fields = lines[2].split("|")
    assert (fields[0], fields[1], fields[5], fields[6]) == ("1", "1", message, "")
    # Read with 30 seconds, so that pop finds nothing to take; what follows is q_info.
    info = lines[3].split("|")
    assert info[:2] == ["email_jobs", "1"]
    assert len(lines) == 4


def test_attempts_resolves_and_is_not_part_of_star(psql, queue):
    psql(f"SELECT pgmq.create('{queue}'); SELECT pgmq.send('{queue}', '1')")
    assert psql(f"SELECT attempts, read_ct FROM pgmq.read('{queue}', 0, 1)") == "1|1\n"
    assert len(psql(f"SELECT * FROM pgmq.read('{queue}', 0, 1)").split("|")) == 7


def test_settings_are_changed_in_part_and_undone_with_their_transaction(psql, queue):
    psql(f"SELECT pgmq.create('{queue}')")
    retry = '{"retry": {"backoff": {"kind": "fixed", "delay_ms": 500}, "max_attempts": 3}}'
    psql(f"BEGIN; SELECT pgmq.set_queue_settings('{queue}', '{retry}'); ROLLBACK")
    shown = f"SELECT pgmq.queue_settings('{queue}') #>> '{{retry,backoff,delay_ms}}'"
    assert psql(shown) == "\n"
    psql(f"SELECT pgmq.set_queue_settings('{queue}', '{retry}')")
    assert psql(shown) == "500\n"


def test_the_backslash_commands(psql, queue):
    psql(f"SELECT pgmq.create('{queue}')")
    assert f"q_{queue}" in psql(r"\dt pgmq.*")
    described = psql(rf"\d pgmq.q_{queue}")
    for column in ("msg_id", "read_ct", "enqueued_at", "vt", "message", "headers"):
        assert column in described
    assert "send" in psql(r"\df pgmq.send")
    assert "pgmq" in psql(r"\dx")
    assert "pgmq" in psql(r"\dn")
    assert "kyu" in psql(r"\l")


def test_gdesc_names_columns_and_types(psql, queue):
    psql(f"SELECT pgmq.create('{queue}')")
    described = psql(f"SELECT msg_id, read_ct, message FROM pgmq.read('{queue}', 0, 1) \\gdesc\n")
    assert described.splitlines() == ["msg_id|bigint", "read_ct|integer", "message|jsonb"]


def test_copy_to_a_file(psql, queue, tmp_path):
    psql(f"SELECT pgmq.create('{queue}'); SELECT pgmq.send('{queue}', '{{\"a\": \"x,y\"}}')")
    path = tmp_path / "out.csv"
    psql(f"\\copy (SELECT msg_id, message FROM pgmq.q_{queue}) TO '{path}' WITH (FORMAT csv, HEADER)\n")
    assert path.read_text() == 'msg_id,message\n1,"{""a"": ""x,y""}"\n'


def test_errors_read_as_from_postgres(psql):
    failed = psql("SELECT pgmq.send('no_such_queue', '{}')", check=False)
    assert re.search(r'ERROR:  relation "pgmq.q_no_such_queue" does not exist', failed.stderr)
    failed = psql("SELEC 1", "-v", "VERBOSITY=verbose", check=False)
    assert 'ERROR:  42601: syntax error at or near "SELEC"' in failed.stderr
    failed = psql("CREATE TABLE t (i int)", "-v", "VERBOSITY=verbose", check=False)
    assert "ERROR:  0A000:" in failed.stderr


def test_variables_and_conninfo(psql, server):
    assert psql(r"\echo :SERVER_VERSION_NUM :USER :DBNAME") == "150000 kyu kyu\n"
    assert str(server.pgmq_port) in psql(r"\conninfo")
