SELECT pgmq.create('q')

SELECT pgmq.send('q', '{"b": 1, "a": [1, 2.50, "x", null, true]}')

SELECT * FROM pgmq.send('q', '{}')

SELECT * FROM pgmq.send('q', '{"delayed": true}', 60)

SELECT pgmq.send('q', '{}'::jsonb, '{"x-h": 1}'::jsonb)

SELECT pgmq.send('q', '{}'::jsonb, '{"x-h": 1}'::jsonb, 0)

SELECT pgmq.send('q', '{}'::jsonb, '2100-01-01 00:00:00+00'::timestamptz)

SELECT pgmq.send(queue_name => 'q', msg => '{"named": 1}', delay => 0)

SELECT pgmq.send('q', NULL)

SELECT pgmq.send('q', '"text"')

SELECT pgmq.send('q', '7')

SELECT pgmq.send('q', jsonb_build_object('to', 'user@example.com', 'n', 3, 'ok', true, 'nothing', null))

SELECT pgmq.send('q', 'no json')

SELECT pgmq.send('q', '{"a": "\u0000"}')

SELECT pgmq.send('missing', '{}')

SELECT pgmq.send('q')

SELECT pgmq.send('q', '{}', 'x', 'y', 'z')

SELECT * FROM pgmq.send_batch('q', ARRAY['{"i": 1}', '{"i": 2}']::jsonb[])

SELECT pgmq.send_batch('q', ARRAY['{"i": 3}', '{"i": 4}']::jsonb[], 30)

SELECT pgmq.send_batch('q', ARRAY['{"i": 5}']::jsonb[], ARRAY['{"h": 5}']::jsonb[])

SELECT pgmq.send_batch('q', ARRAY['{"i": 6}']::jsonb[], ARRAY['{"h": 5}', '{"h": 6}']::jsonb[])

SELECT pgmq.send_batch('q', ARRAY[]::jsonb[])

SELECT pgmq.send_batch('q', NULL::jsonb[])

SELECT pgmq.send_batch('missing', ARRAY['{}']::jsonb[])

SELECT msg_id, read_ct, message, headers FROM pgmq.q_q ORDER BY msg_id

SELECT count(*), min(msg_id), max(msg_id) FROM pgmq.q_q WHERE vt <= now()

-- @parse
SELECT * FROM pgmq.send($1, $2)

-- @parse
SELECT pgmq.send(queue_name => $1::text, msg => $2::jsonb, delay => $3::integer)

-- @parse
SELECT * FROM pgmq.send_batch($1::text, $2::jsonb[])

-- @params ["q", "{\"by\": \"parameter\"}"]
SELECT * FROM pgmq.send($1::text, $2::jsonb)

-- @params ["q", "{\"by\": \"type\"}"]
-- @types [25, 3802]
SELECT * FROM pgmq.send($1, $2)

-- @params ["q", "{\"{}\",\"{\\\"i\\\": 1}\"}"]
SELECT * FROM pgmq.send_batch($1::text, $2::jsonb[])
