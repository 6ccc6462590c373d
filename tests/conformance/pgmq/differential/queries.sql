SELECT pgmq.create('w')

SELECT count(*) FROM pgmq.send_batch('w', ARRAY(SELECT jsonb_build_object('i', i, 'g', i % 3, 'n', CASE WHEN i % 2 = 0 THEN i END) FROM generate_series(1, 12) AS i))

SELECT message->>'g' AS g, count(*), sum((message->>'i')::int), min(msg_id), max(msg_id), avg((message->>'i')::numeric) FROM pgmq.q_w GROUP BY 1 ORDER BY 1

SELECT message->>'g' AS g, count(*) FILTER (WHERE message->>'n' IS NOT NULL) AS n FROM pgmq.q_w GROUP BY message->>'g' HAVING count(*) > 1 ORDER BY n DESC, g

SELECT count(DISTINCT message->'g'), count(message->>'n'), count(*), bool_and(msg_id > 0), bool_or(msg_id > 11), every(read_ct = 0) FROM pgmq.q_w

SELECT string_agg(message->>'i', ',' ORDER BY msg_id DESC) FROM pgmq.q_w WHERE msg_id < 4

SELECT array_agg(msg_id ORDER BY msg_id DESC) FILTER (WHERE msg_id % 2 = 0), jsonb_agg(message->'i' ORDER BY msg_id) FROM pgmq.q_w WHERE msg_id < 6

SELECT jsonb_object_agg(msg_id::text, message->'i') FROM pgmq.q_w WHERE msg_id < 3

SELECT sum(1.5), avg(2), sum(NULL::int), max('x'::text), min(now()) IS NULL FROM pgmq.q_w WHERE false

SELECT sum(msg_id), sum(read_ct), avg(read_ct), sum(msg_id::float8), sum(msg_id::numeric) FROM pgmq.q_w

SELECT max(msg_id) - min(msg_id) + 1 AS span, round(avg(msg_id), 2) FROM pgmq.q_w

SELECT msg_id FROM pgmq.q_w WHERE message @> '{"g": 1}' AND msg_id BETWEEN 2 AND 9 ORDER BY msg_id DESC LIMIT 2

SELECT msg_id FROM pgmq.q_w WHERE NOT message ? 'x' AND (message->>'i')::int IN (3, 4, 99) ORDER BY msg_id

SELECT msg_id FROM pgmq.q_w WHERE (message->>'n') IS NULL OR msg_id = 2 ORDER BY 1 LIMIT 3 OFFSET 1

SELECT msg_id, read_ct = 0 AS fresh, headers IS NULL AS bare FROM pgmq.q_w ORDER BY message->>'g' DESC, msg_id FETCH FIRST 3 ROWS ONLY

SELECT DISTINCT ON (message->>'g') message->>'g' AS g, msg_id FROM pgmq.q_w ORDER BY message->>'g', msg_id DESC

SELECT q.msg_id, a.msg_id FROM pgmq.q_w q LEFT JOIN pgmq.a_w a ON a.msg_id = q.msg_id ORDER BY 1 LIMIT 2

SELECT a.msg_id, b.msg_id FROM pgmq.q_w a JOIN pgmq.q_w b USING (msg_id) WHERE a.msg_id < 3 ORDER BY 1

SELECT msg_id FROM pgmq.q_w WHERE msg_id IN (SELECT max(msg_id) FROM pgmq.q_w GROUP BY message->>'g') ORDER BY 1

SELECT msg_id, (SELECT count(*) FROM pgmq.q_w b WHERE b.msg_id < a.msg_id) AS before FROM pgmq.q_w a ORDER BY 1 LIMIT 3

SELECT EXISTS (SELECT 1 FROM pgmq.q_w WHERE msg_id = 5), NOT EXISTS (SELECT 1 FROM pgmq.a_w), (SELECT count(*) FROM pgmq.a_w) = 0

WITH r AS (SELECT * FROM pgmq.read('w', 0, 3)), n AS (SELECT msg_id * 10 AS ten FROM r) SELECT ten FROM n ORDER BY ten

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n), count(*) FROM t

WITH gone AS (SELECT pgmq.delete('w', 12) AS ok) SELECT ok FROM gone

SELECT msg_id FROM pgmq.q_w WHERE msg_id > 10 UNION SELECT 1 UNION ALL SELECT 1 ORDER BY 1

SELECT i FROM generate_series(1, 4) i EXCEPT SELECT 2 INTERSECT SELECT 2 ORDER BY 1

SELECT * FROM generate_series(1, 2) AS a(x) CROSS JOIN generate_series(1, 2) AS b(y) ORDER BY 1, 2

SELECT * FROM generate_series(1, 2) AS a(x), LATERAL (SELECT x * 10 AS ten) AS b ORDER BY 1

SELECT x, n FROM unnest(ARRAY['a', 'b']) WITH ORDINALITY AS u(x, n)

SELECT row_number() OVER (PARTITION BY message->>'g' ORDER BY msg_id DESC) AS n, msg_id FROM pgmq.q_w ORDER BY msg_id LIMIT 4

SELECT row_number() OVER () AS n, i FROM generate_series(5, 7) AS i

SELECT (jsonb_each_text('{"a": 1, "b": null}')).*

SELECT * FROM jsonb_array_elements('[1, {"a": 2}, null]')

SELECT jsonb_array_length('[1,2]'), jsonb_typeof('1'), jsonb_typeof('null'), jsonb_object_keys('{"z": 1, "a": 2}')

SELECT '{"a": {"b": [1, 2]}}'::jsonb #> '{a,b}', '{"a": 1}'::jsonb || '{"b": 2}', '{"a": 1, "b": 2}'::jsonb - 'a', '[1,2,3]'::jsonb - 0, '{"a": 1}'::jsonb ?| ARRAY['a', 'z'], '{"a": 1}'::jsonb ?& ARRAY['a', 'z']

SELECT jsonb_set('{"a": 1}', '{b}', '2'), jsonb_strip_nulls('{"a": null, "b": 1}'), jsonb_pretty('{"a": 1}'), to_jsonb(ARRAY[1, 2]), to_jsonb('x'::text), to_jsonb(1.50)

SELECT '{"a": [1, 2]}'::jsonb @> '{"a": [2]}', '[1]'::jsonb <@ '[1, 2]', '{"a": 1}'::jsonb = '{"a": 1.0}', '{"b": 1}'::jsonb > '{"a": 2}'

SELECT ('{"a": [10, 20]}'::jsonb)['a'][1], '{"a": "5"}'::jsonb->>'a', ('{"n": 5}'::jsonb->'n')::int + 1, ('{"b": true}'::jsonb->'b')::bool

SELECT CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END, CASE WHEN NULL THEN 1 ELSE 2 END, NULLIF(1, 1), GREATEST(1, 3, NULL), LEAST(2, 1)

SELECT 1 = ANY(ARRAY[1, 2]), 1 <> ALL(ARRAY[2, 3]), 1 = ANY(NULL::int[]), 3 > ANY(SELECT i FROM generate_series(1, 3) i), 2 IN (SELECT 2), NULL IN (1), 1 NOT IN (2, NULL)

SELECT 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL, true IS NOT FALSE, NULL IS UNKNOWN, (1, 2) = (1, 2), (1, 'a') < (1, 'b'), NOT NULL::bool

SELECT ARRAY[1, 2] || 3, 0 || ARRAY[1], array_length(ARRAY[1, 2], 1), cardinality(ARRAY[]::int[]), array_append(ARRAY['a'], 'b'), (ARRAY[5, 6, 7])[2], (ARRAY[5, 6, 7])[2:], array_position(ARRAY['a', 'b'], 'b'), array_to_string(ARRAY[1, NULL, 2], '-'), string_to_array('a,b', ',')

SELECT lower('AB'), initcap('hello world'), substr('hello', 2, 3), substring('hello' from 2 for 2), substring('foobar' from 'o.b'), replace('aXa', 'X', 'y'), split_part('a-b-c', '-', 2), strpos('hello', 'l'), position('l' in 'hello'), left('abc', 2), right('abc', 2), lpad('7', 3, '0'), repeat('ab', 2), reverse('abc'), concat('a', NULL, 1), concat_ws('-', 'a', NULL, 'b'), trim('  x '), btrim('xxaxx', 'x'), ascii('A'), chr(66), md5('x'), quote_ident('A b'), quote_literal('it''s'), quote_nullable(NULL), format('%s %I %L %%', 1, 'A', 'b'), regexp_replace('abc', 'b', 'X'), to_hex(255), length('héllo'), octet_length('é'), starts_with('abc', 'ab'), translate('abc', 'ab', 'xy')

SELECT 'abc' LIKE 'a_c', 'abc' ILIKE 'A%', 'a%c' LIKE 'a\%c', 'abc' NOT LIKE 'x%', 'abc' ~ 'B', 'abc' ~* 'B', 'abc' !~ 'x'

SELECT abs(-5), ceil(1.2), floor(-1.2), round(2.5), round(3.14159, 2), trunc(1.9), mod(7, 3), power(2, 3), sqrt(16), sign(-2), 2 ^ 3, 7 & 3, 5 | 2, 5 # 1, ~1, 1 << 3, 16 >> 2, -7 % 3, div(7, 2), @ -3

SELECT 1.1 + 2.2, 1.0 / 3, 10 / 4, 10 / 4.0, 2 * 1.50, 5::float8 / 2, 1e400::numeric > 1, 0.1 + 0.2 = 0.3

SELECT 32767::int2 + 1::int2

SELECT 9223372036854775807 + 1

SELECT date_trunc('hour', '2024-01-02 03:04:05+00'::timestamptz), extract(epoch from '2024-01-01 00:00:00+00'::timestamptz), extract(dow from '2024-01-03'::date), date_part('year', '2024-01-01'::timestamp), '2024-01-31'::date + 1, '2024-01-31'::date - '2024-01-01'::date, '2024-01-31 10:00'::timestamp + interval '1 month', make_interval(days => 3), to_timestamp(0), interval '1 day' * 2, now() - now(), '2024-01-01'::timestamptz AT TIME ZONE 'UTC'

-- @differs age() counts days, not months
SELECT age('2024-03-01'::timestamp, '2024-01-31'::timestamp)

SELECT to_char('2024-01-02 03:04:05'::timestamp, 'YYYY-MM-DD HH24:MI:SS')

SELECT '2024-07-01 12:00:00+00'::timestamptz AT TIME ZONE 'Europe/Berlin', '2024-01-01 12:00:00'::timestamp AT TIME ZONE 'America/New_York'

SELECT '2024-01-01 12:00:00+00'::timestamptz AT TIME ZONE 'Mars/Base'

SELECT true::int, 1::bool, 'yes'::bool, 1.6::int, '  7 '::int, 7::text || 'x', '1'::int8 + 1::int2, 3.7::int8, 'a'::varchar(1), 'abc'::varchar(2), 12::numeric(5, 2), 't'::text::bool

SELECT 'infinity'::timestamptz, '-infinity'::timestamptz > now(), 'epoch'::timestamptz, 'NaN'::numeric, 'infinity'::float8

SELECT ARRAY['a"b', 'c\d', '', 'null', NULL, 'x y', '{}'], ARRAY['{"a": 1}'::jsonb], ARRAY[now()] = ARRAY[now()]

SELECT row(1, 'a', NULL), row(1, 'x y', 'q"q'), (SELECT x FROM (SELECT 1 AS a, 'b' AS b) AS x)

SELECT row_to_json(x) IS NOT NULL, to_jsonb(x) FROM (SELECT 1 AS a, 'b' AS b) AS x

SELECT coalesce(NULL, NULL, 'x'), current_date = now()::date, clock_timestamp() >= now(), statement_timestamp() >= transaction_timestamp(), pg_backend_pid() > 0, gen_random_uuid() IS NOT NULL, random() < 1

SELECT pg_sleep(0), txid_current() > 0, pg_is_in_recovery(), version() LIKE 'PostgreSQL 15%'

SELECT * FROM (VALUES (1, NULL), (2, 'x')) AS v(a, b) ORDER BY b NULLS FIRST

SELECT a FROM (VALUES (2), (NULL), (1)) AS v(a) ORDER BY a DESC NULLS LAST

VALUES (1, 'a'), (2, 'b')

TABLE pgmq.topic_bindings

SELECT ALL 1 AS x, 2 y, 3 "Z z"

SELECT m.* FROM pgmq.meta m WHERE m.queue_name = 'w'

-- @differs rows of meta have no type of their own
SELECT m FROM pgmq.meta m WHERE m.queue_name = 'none'

SELECT count(m), count(m.queue_name) FROM pgmq.meta m

COPY (SELECT i, 'a	b' || i, NULL::text FROM generate_series(1, 2) i) TO STDOUT

COPY (SELECT i, 'a,"b"', NULL::text FROM generate_series(1, 2) i) TO STDOUT WITH (FORMAT csv, HEADER)

COPY (SELECT 1, 2) TO STDOUT (DELIMITER '|')

COPY pgmq.topic_bindings TO STDOUT

DELETE FROM pgmq.q_w WHERE msg_id = 11

DELETE FROM pgmq.q_w WHERE message @> '{"g": 0}'

-- @parse
DELETE FROM pgmq.q_w WHERE msg_id = $1

-- @params ["10"]
DELETE FROM pgmq.q_w WHERE msg_id = $1

DELETE FROM pgmq.q_missing

SELECT msg_id FROM pgmq.q_w ORDER BY 1

-- @binary
SELECT 'n'::name, '{"a": 1}'::json, 1.5::numeric, -0.001::numeric, 1234567890.123::numeric, 'NaN'::numeric, '2024-01-02'::date, '1 mon 2 days 03:00:00'::interval, ARRAY['a', NULL], ARRAY[true], ARRAY[1.5::float8], 25::oid, '123e4567-e89b-12d3-a456-426614174000'::uuid, '\x00ff'::bytea, ''::text, -1::int2, -1::int8

-- @binary
SELECT ARRAY[]::text[], ARRAY['{"a": 1}'::jsonb], NULL::jsonb

-- @differs whole numbers in anonymous rows are int8 in binary
-- @binary
SELECT row(1::int4, 'a'::text)

-- @binary
SELECT queue_name, is_unlogged, is_partitioned FROM pgmq.list_queues() WHERE queue_name = 'w'

-- @params ["1", "{1,2}", "x", "2024-01-01 00:00:00+00", "{\"a\": 1}", "1.5", "t"]
-- @types [20, 1016, 25, 1184, 3802, 1700, 16]
SELECT $1 + 1, $2, $3 || 'y', $4 + interval '1 day', $5->'a', $6 * 2, NOT $7
