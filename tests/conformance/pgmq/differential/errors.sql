SELECT pgmq.create('e')

SELECT * FROM pgmq.read('e')

SELECT pgmq.read('e', 'x', 1)

SELECT pgmq.read('e', 1, 99999999999)

SELECT pgmq.send('e', '{"a":}')

SELECT pgmq.send('e', '{}', 1.5)

SELECT pgmq.send('e', 5)

SELECT pgmq.send(5, '{}'::jsonb)

SELECT pgmq.delete('e')

SELECT pgmq.delete('e', 'x')

SELECT pgmq.send_batch('e', 'x')

SELECT pgmq.send_batch('e', '{1')

SELECT pgmq.create()

SELECT pgmq.create('a', 'b')

SELECT pgmq.pop('missing')

SELECT pgmq.archive('missing', 1)

SELECT pgmq.archive('missing', ARRAY[1]::bigint[])

SELECT pgmq.delete('missing', ARRAY[1]::bigint[])

SELECT pgmq.set_vt('missing', ARRAY[1]::bigint[], 1)

SELECT pgmq.read_with_poll('missing', 1, 1, 1)

SELECT pgmq.read_grouped('missing', 1, 1)

SELECT pgmq.metrics('missing')

SELECT pgmq.send_batch('missing', ARRAY['{}']::jsonb[])

SELECT pgmq.create_fifo_index('missing')

SELECT pgmq.bind_topic('', 'e')

SELECT pgmq.bind_topic(NULL, 'e')

SELECT pgmq.bind_topic('a..b', 'e')

SELECT pgmq.bind_topic('.a', 'e')

SELECT pgmq.bind_topic('a.**', 'e')

SELECT pgmq.bind_topic('a.*b', 'e')

SELECT pgmq.validate_routing_key(NULL)

SELECT pgmq.validate_routing_key('a b')

SELECT pgmq.validate_routing_key('.a')

SELECT pgmq.validate_routing_key(repeat('a', 256))

SELECT pgmq.validate_topic_pattern('*.#')

SELECT pgmq.validate_topic_pattern('a.*#')

SELECT pgmq.send_topic(NULL, '{}')

SELECT pgmq.send_topic('a', NULL)

SELECT pgmq.send_batch_topic('a', NULL::jsonb[])

SELECT pgmq.drop_queue(NULL)

SELECT pgmq.purge_queue(NULL)

SELECT pgmq.read(NULL, 1, 1)

SELECT pgmq.send(NULL, '{}'::jsonb)

SELECT * FROM pgmq.nothing

SELECT * FROM nothing.at_all

SELECT nothing.f()

SELECT e.x FROM pgmq.q_e e

SELECT x.msg_id FROM pgmq.q_e e

SELECT msg_id FROM pgmq.q_e a, pgmq.q_e b

SELECT * FROM pgmq.q_e a, pgmq.q_e a

SELECT msg_id, count(*) FROM pgmq.q_e

SELECT count(*) FROM pgmq.q_e WHERE count(*) > 1

SELECT sum(count(*)) FROM pgmq.q_e

SELECT msg_id FROM pgmq.q_e WHERE message

SELECT msg_id FROM pgmq.q_e WHERE msg_id = 'x'

SELECT message + 1 FROM pgmq.q_e

SELECT 1 + 'x'

SELECT 'a' + 'b'

SELECT now() + 1

SELECT -'x'::text

SELECT 1 WHERE 1

SELECT CASE WHEN 1 THEN 2 END

SELECT CASE WHEN true THEN 1 ELSE 'x' END

SELECT COALESCE(1, 'x')

SELECT ARRAY[1, 'x']

SELECT ARRAY[1, true]

SELECT 1 UNION SELECT 'x'

SELECT 1 UNION SELECT true

SELECT 1, 2 UNION SELECT 1

SELECT 1 ORDER BY 2

SELECT i FROM generate_series(1, 2) i GROUP BY 2

SELECT DISTINCT i FROM generate_series(1, 2) i ORDER BY i + 1

SELECT (SELECT 1, 2)

SELECT (SELECT i FROM generate_series(1, 2) i)

SELECT 1 LIMIT -1

SELECT 1 OFFSET -1

SELECT 1 LIMIT 'x'

SELECT generate_series(1, 2, 0)

SELECT '{"a": 1'::jsonb

SELECT '"\ud800"'::jsonb

SELECT '[1,]'::jsonb

SELECT '1.2.3'::numeric

SELECT '32768'::int2

SELECT 3000000000::int

SELECT 'x'::timestamptz

SELECT '2024-13-01'::date

SELECT '25:00:00'::interval, '1 blorp'::interval

SELECT 'zz'::uuid

SELECT '\xzz'::bytea

SELECT '{1,2'::int[]

SELECT '{a}'::int[]

SELECT '1'::nothing

SELECT 1::jsonb

SELECT true::timestamptz

SELECT cast('{}'::jsonb AS int)

SELECT ('"x"'::jsonb)::int

SELECT 1.0 / 0

SELECT 1 % 0

SELECT sqrt(-1)

SELECT 'a' ~ '('

SELECT substring('x' from 1 for -1)

SELECT repeat('x', -1), lpad('x', -1)

SELECT $1

SELECT f(1

SELECT 'unterminated

SELECT "unterminated

SELECT /* open

SELECT 1 FROM

SELECT * FROM pgmq.q_e WHERE

SELECT 1 AS select

SELECT 1 1

SELECT ,

FROM x

SELECT U&'\0041', E'\x41\101\u0041'

-- @differs users' own tables are refused with 0A000
CREATE TABLE t (a int)

-- @differs the same
INSERT INTO t VALUES (1)

-- @differs the same
TRUNCATE t

-- @differs the same
DROP TABLE t

DO $$ BEGIN END $$

BEGIN TRANSACTION ISOLATION LEVEL nonsense

SET statement_timeout = 'x'

SET TimeZone = 'Mars/Base'

SET client_encoding = 'nonsense'

SET server_version = '1'

RESET nothing_at_all

LISTEN

NOTIFY a, b

SELECT pg_notify('', 'x')

SELECT pg_notify(repeat('x', 64), 'x')

SELECT pg_notify('x', repeat('x', 8000))

FETCH FROM nothing

CLOSE nothing

PREPARE q AS SELEC

PREPARE q AS SELECT $1::int + $2

EXECUTE q(1)

EXECUTE q('x', 2)

EXECUTE q(1, 2)

-- @params ["1", "2"]
SELECT $1::int + $3::int

-- @params ["1"]
SELECT $2::int

-- @params ["\\x00"]
-- @types [3802]
SELECT $1

-- @differs parameters of unknown types are treated as undeclared
-- @params ["9", "9"]
-- @types [23, 99999]
SELECT $1, $2

-- @differs databases have names and no meaning
CREATE DATABASE postgres

CREATE SCHEMA IF NOT EXISTS pgmq

-- NULL where nobody expects it.
SELECT pgmq.create('nulls')

SELECT pgmq.send_batch('nulls', ARRAY['{"n": 1}', '{"n": 2}']::jsonb[], ARRAY['{"x-pgmq-group": "a"}', '{"x-pgmq-group": "b"}']::jsonb[])

SELECT pgmq.enable_notify_insert('nulls', NULL)

SELECT pgmq.update_notify_insert('nulls', NULL)

SELECT count(*) FROM pgmq.read_grouped('nulls', 0, NULL)

SELECT count(*) FROM pgmq.read_grouped_rr('nulls', 0, NULL)

SELECT count(*) FROM pgmq.read_grouped_head('nulls', 0, NULL)

SELECT count(*) FROM pgmq.read('nulls', 0, NULL)

SELECT count(*) FROM pgmq.pop('nulls', NULL)

SELECT count(*) FROM pgmq.set_vt('nulls', 99, NULL::integer)

SELECT count(*) FROM pgmq.set_vt('nulls', ARRAY[98, 99]::bigint[], NULL::integer)

-- @differs pgmq does not look at the queue when the time is over at once
SELECT count(*) FROM pgmq.read_with_poll('no_nulls', 1, 1, 0, 10)

-- @differs the same
SELECT count(*) FROM pgmq.read_grouped_with_poll('no_nulls', 1, 1, 0, 10)

SELECT count(*) FROM pgmq.set_vt('nulls', 1, NULL::integer)

SELECT pgmq.enable_notify_insert('nulls')

SELECT pgmq.update_notify_insert('nulls', NULL)

SELECT pgmq.drop_queue('nulls')
