-- DELETE, UPDATE, INSERT and TRUNCATE on pgmq's tables.

SELECT pgmq.create('rows')

SELECT pgmq.send_batch('rows', ARRAY['{"n": 1}', '{"n": 2}', '{"n": 3}']::jsonb[], ARRAY['{"x-pgmq-group": "a"}', '{"x-pgmq-group": "b"}', '{"x-pgmq-group": "a"}']::jsonb[])

SELECT msg_id FROM pgmq.read('rows', 60, 10)

SELECT count(*) FROM pgmq.read('rows', 60, 10)

UPDATE pgmq.q_rows SET vt = clock_timestamp() - interval '1 second'

SELECT msg_id, read_ct FROM pgmq.read_grouped_rr('rows', 60, 10)

UPDATE pgmq.q_rows SET vt = now() - interval '1 second' WHERE msg_id IN (1, 3) RETURNING msg_id, read_ct, message

UPDATE pgmq.q_rows AS m SET vt = m.vt - interval '1 second' FROM (VALUES (1), (2)) AS wanted(id) WHERE m.msg_id = wanted.id

-- @unordered
SELECT msg_id FROM pgmq.read('rows', 60, 10)

UPDATE pgmq.q_rows SET vt = NULL WHERE msg_id = 1

UPDATE pgmq.q_rows SET vt = now() WHERE false RETURNING *

INSERT INTO pgmq.q_rows (vt, message) VALUES (now(), '{"n": 4}'), (now() + interval '1 hour', '5') RETURNING msg_id, message

INSERT INTO pgmq.q_rows (message, headers, vt) SELECT jsonb_build_object('i', i), '{"h": 1}', now() FROM generate_series(6, 7) AS i

-- @params ["2026-01-01 00:00:00+00", "[8]"]
INSERT INTO pgmq.q_rows (vt, message) VALUES ($1, $2) RETURNING msg_id

-- @parse
INSERT INTO pgmq.q_rows (vt, message) VALUES ($1, $2)

-- @parse
UPDATE pgmq.q_rows SET vt = $1 WHERE msg_id = $2

-- @parse
DELETE FROM pgmq.q_rows WHERE msg_id = $1 RETURNING msg_id, message

INSERT INTO pgmq.q_rows (message) VALUES ('{}')

INSERT INTO pgmq.q_rows (vt, message) VALUES (now())

INSERT INTO pgmq.q_rows (vt, message) VALUES (NULL, '{}')

SELECT msg_id, message, headers FROM pgmq.q_rows ORDER BY msg_id

DELETE FROM pgmq.q_rows WHERE msg_id > 6 RETURNING msg_id, message->'i' AS i

DELETE FROM pgmq.q_rows AS a USING pgmq.q_rows AS b WHERE a.msg_id = b.msg_id AND b.message @> '{"n": 2}' RETURNING a.msg_id

DELETE FROM pgmq.q_rows WHERE msg_id = 1

BEGIN

DELETE FROM pgmq.q_rows RETURNING msg_id

SELECT count(*) FROM pgmq.q_rows

ROLLBACK

SELECT count(*) FROM pgmq.q_rows

TRUNCATE TABLE pgmq.q_rows

SELECT count(*) FROM pgmq.q_rows

ALTER TABLE pgmq.q_rows SET (autovacuum_vacuum_scale_factor = 0.01)

ALTER TABLE pgmq.q_no_rows SET (autovacuum_vacuum_scale_factor = 0.01)

UPDATE pgmq.q_no_rows SET vt = now()

DELETE FROM pgmq.q_no_rows RETURNING msg_id

TRUNCATE pgmq.q_no_rows

SELECT pgmq.bind_topic('logs.*', 'rows')

SELECT pgmq.bind_topic('logs.#', 'rows')

DELETE FROM pgmq.topic_bindings WHERE pattern LIKE '%*'

DELETE FROM pgmq.topic_bindings RETURNING pattern, queue_name

SELECT count(*) FROM pgmq.topic_bindings

SELECT pgmq.enable_notify_insert('rows', 1000)

UPDATE pgmq.notify_insert_throttle SET throttle_interval_ms = 5 WHERE queue_name = 'rows'

SELECT queue_name, throttle_interval_ms FROM pgmq.notify_insert_throttle

DELETE FROM pgmq.notify_insert_throttle

SELECT count(*) FROM pgmq.notify_insert_throttle

SELECT pgmq.drop_queue('rows')

SELECT pgmq.create('kept')

SELECT pgmq.send_batch('kept', ARRAY['1', '2', '3', '4', '5', '6']::jsonb[])

SELECT pgmq.archive('kept', ARRAY[1, 2, 3, 4]::bigint[])

DELETE FROM pgmq.a_kept WHERE msg_id = 9

DELETE FROM pgmq.a_kept WHERE archived_at < now() - interval '1 day'

DELETE FROM pgmq.a_kept WHERE msg_id = 1

DELETE FROM pgmq.a_kept WHERE message = '2' RETURNING msg_id, message, read_ct

-- @parse
DELETE FROM pgmq.a_kept WHERE msg_id = $1 RETURNING msg_id, message

SELECT msg_id FROM pgmq.a_kept ORDER BY msg_id

BEGIN

SELECT pgmq.archive('kept', 5)

DELETE FROM pgmq.a_kept WHERE msg_id IN (1, 3, 5)

DELETE FROM pgmq.a_kept WHERE msg_id IN (3, 5) RETURNING msg_id

SELECT msg_id FROM pgmq.a_kept ORDER BY msg_id

SAVEPOINT whole

TRUNCATE pgmq.a_kept

SELECT count(*) FROM pgmq.a_kept

SELECT pgmq.archive('kept', 6)

SELECT msg_id FROM pgmq.a_kept

ROLLBACK TO whole

SELECT msg_id FROM pgmq.a_kept

COMMIT

SELECT msg_id FROM pgmq.a_kept

SELECT msg_id FROM pgmq.q_kept

BEGIN

TRUNCATE pgmq.a_kept

SELECT pgmq.archive('kept', 6)

COMMIT

SELECT msg_id FROM pgmq.a_kept

SELECT pgmq.send('kept', '7')

TRUNCATE pgmq.q_kept, pgmq.a_kept

SELECT (SELECT count(*) FROM pgmq.q_kept), (SELECT count(*) FROM pgmq.a_kept)

DELETE FROM pgmq.a_no_rows

TRUNCATE pgmq.a_no_rows

SELECT pgmq.drop_queue('kept')
