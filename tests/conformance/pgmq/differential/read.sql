SELECT pgmq.create('q')

SELECT * FROM pgmq.read('q', 30, 1)

SELECT pgmq.send_batch('q', ARRAY['{"i": 1, "k": "a"}', '{"i": 2, "k": "b"}', '{"i": 3, "k": "a"}', '{"i": 4}']::jsonb[])

SELECT * FROM pgmq.read('q', 30, 1)

SELECT msg_id, read_ct, message FROM pgmq.read('q', 0, 2)

SELECT msg_id, read_ct, message, headers FROM pgmq.read('q', 0, 10, '{"k": "a"}')

SELECT pgmq.read('q', 0, 0)

SELECT * FROM pgmq.read('q', 30, -1)

SELECT * FROM pgmq.read('missing', 30, 1)

SELECT msg_id FROM pgmq.read(queue_name => 'q', vt => 0, qty => 1)

SELECT msg_id, vt > now() + interval '25 seconds' AS later FROM pgmq.set_vt('q', 2, 30)

SELECT msg_id, vt FROM pgmq.set_vt('q', 2, '2100-01-01 00:00:00+00'::timestamptz)

-- @unordered
SELECT msg_id FROM pgmq.set_vt('q', ARRAY[2, 3, 99]::bigint[], 0)

SELECT * FROM pgmq.set_vt('q', 99, 0)

SELECT * FROM pgmq.set_vt('missing', 1, 0)

SELECT pgmq.delete('q', 2)

SELECT pgmq.delete('q', 2)

SELECT * FROM pgmq.delete('q', ARRAY[3, 77]::bigint[])

SELECT pgmq.delete('missing', 1)

SELECT pgmq.archive('q', 4)

SELECT pgmq.archive('q', 4)

SELECT pgmq.archive('q', ARRAY[1, 5]::bigint[])

SELECT msg_id, read_ct, message, headers FROM pgmq.a_q ORDER BY msg_id

SELECT * FROM pgmq.a_q ORDER BY msg_id LIMIT 1

SELECT count(*) FROM pgmq.q_q

SELECT pgmq.send('q', '{"pop": 1}')

SELECT msg_id, read_ct, message FROM pgmq.pop('q')

SELECT * FROM pgmq.pop('q')

SELECT pgmq.send_batch('q', ARRAY['1', '2', '3']::jsonb[])

SELECT message FROM pgmq.pop('q', 2)

SELECT msg_id, message FROM pgmq.read_with_poll('q', 0, 5, 1, 100)

SELECT pgmq.purge_queue('q')

SELECT msg_id FROM pgmq.read_with_poll('q', 0, 5, 1, 50)

SELECT * FROM pgmq.q_missing

SELECT msg_id, (message->>'i')::int AS i FROM pgmq.read('q', 0, 1) WHERE message ? 'i'

SELECT pgmq.send('q', '{"a": "é \"q\" \\ ü", "l": [1, {"z": 1, "b": 2}]}')

SELECT pgmq.read('q', 0, 1)

SELECT (pgmq.read('q', 0, 1)).message

SELECT to_jsonb(r) ? 'msg_id' FROM pgmq.read('q', 0, 1) AS r

-- @parse
SELECT * FROM pgmq.read($1, $2, $3)

-- @parse
SELECT * FROM pgmq.delete($1::text, $2::bigint)

-- @parse
SELECT pgmq.archive(queue_name => $1, msg_id => $2::bigint)

-- @params ["q", "0", "1"]
-- @binary
SELECT msg_id, read_ct, enqueued_at, message FROM pgmq.read($1, $2, $3)
