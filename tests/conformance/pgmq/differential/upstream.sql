-- What pgmq's own tests and its clients' tests rely on, beyond the other scenes.

SELECT pgmq.create('up')

SELECT * FROM pgmq.send('up', '{"n": 1}'::jsonb, '{"x-pgmq-group": ""}'::jsonb)

SELECT count(*) FROM pgmq.read_grouped('up', 60, 5)

SELECT * FROM pgmq.send('up', '{"n": 2}'::jsonb, '{"x-pgmq-group": null}'::jsonb)

SELECT msg_id, headers FROM pgmq.read_grouped('up', 60, 5)

SELECT * FROM pgmq.send('up', '{"n": 3}'::jsonb)

SELECT count(*) FROM pgmq.read_grouped('up', 60, 5)

SELECT msg_id, headers FROM pgmq.q_up ORDER BY msg_id

SELECT (m IS NULL) AS nothing, (m IS NOT NULL) AS complete FROM pgmq.q_up m WHERE msg_id = 1

SELECT ROW(1, NULL) IS NULL, ROW(1, NULL) IS NOT NULL, ROW(NULL, NULL) IS NULL, ROW(1, 2) IS NOT NULL

SELECT FROM pgmq.create('up')

SELECT pgmq.purge_queue('up')

SELECT ARRAY(SELECT pgmq.send_batch('up', ARRAY['{"a": 0}', '{"a": 1}']::jsonb[], ARRAY['{"h": 1}', '{"h": 2}']::jsonb[])) = ARRAY[4, 5]::bigint[]

SELECT ARRAY(SELECT archive FROM pgmq.archive('up', ARRAY[4, 5, 99, -3])) = ARRAY[4, 5]::bigint[]

SELECT msg_id, message, headers FROM pgmq.a_up ORDER BY msg_id

SELECT 'up' AS queue_name, msg_id FROM pgmq.pop('up') UNION ALL SELECT 'up', msg_id FROM pgmq.pop('up') LIMIT 1

SELECT pgmq.drop_queue(queue, true) FROM unnest('{up, up_never}'::text[]) AS queue

SELECT pgmq.create('up-hyphened')

SELECT pgmq.send('up-hyphened', NULL)

SELECT msg_id, read_ct, message FROM pgmq.read('up-hyphened', 1, 1)

SELECT pgmq.create('UpCased')

SELECT pgmq.send('UpCased', '{"hello": "world"}')

SELECT count(*) FROM pgmq.q_upcased

SELECT pgmq.archive('UpCased', 1)

SELECT pgmq.drop_queue(q.queue_name, true) FROM (SELECT queue_name FROM pgmq.list_queues()) AS q

SELECT queue_name FROM pgmq.list_queues()

SELECT pgmq.delete('abc where false; create table attack (id int); delete from pgmq.q_abc', 1)

SELECT pgmq.format_table_name($$single'quote$$, 'a')

SELECT pgmq.send_batch_topic('a.b', NULL)

SELECT pgmq.send_batch_topic('a.b', ARRAY['{}'::jsonb], ARRAY['{}'::jsonb, '{}'::jsonb])

SELECT pgmq.send_topic('a.b', '{}'::jsonb, NULL, -1)
