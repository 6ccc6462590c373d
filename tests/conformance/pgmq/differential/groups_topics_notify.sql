SELECT pgmq.create('q')

SELECT pgmq.create('r')

SELECT pgmq.send_batch('q', ARRAY['1', '2', '3', '4', '5']::jsonb[], ARRAY['{"x-pgmq-group": "a"}', '{"x-pgmq-group": "b"}', '{"x-pgmq-group": "a"}', '{"x-pgmq-group": "b"}', '{"x-pgmq-group": "c"}']::jsonb[])

SELECT message FROM pgmq.read_grouped_head('q', 0, 10)

SELECT message FROM pgmq.read_grouped('q', 0, 2)

SELECT message FROM pgmq.read_grouped_rr('q', 0, 4)

SELECT message FROM pgmq.read_grouped('q', 30, 1)

SELECT message FROM pgmq.read_grouped('q', 0, 5)

SELECT message FROM pgmq.read_grouped_with_poll('q', 0, 1, 1, 100)

SELECT pgmq.create_fifo_index('q')

SELECT pgmq.create_fifo_indexes_all()

SELECT pgmq.bind_topic('logs.*.error', 'q')

SELECT pgmq.bind_topic('logs.#', 'r')

SELECT pgmq.bind_topic('logs.#', 'r')

SELECT pgmq.bind_topic('bad pattern', 'r')

SELECT pgmq.bind_topic('a.b', 'missing')

SELECT pattern, queue_name, compiled_regex FROM pgmq.list_topic_bindings() ORDER BY pattern

SELECT pattern, queue_name FROM pgmq.list_topic_bindings('q')

SELECT pattern, queue_name FROM pgmq.test_routing('logs.api.error') ORDER BY pattern

SELECT pgmq.purge_queue('q')

SELECT pgmq.send_topic('logs.api.error', '{"t": 1}')

SELECT pgmq.send_topic('logs.api.info', '{"t": 2}'::jsonb, '{"h": 1}'::jsonb, 0)

SELECT pgmq.send_topic('nobody', '{"t": 3}')

SELECT pgmq.send_topic('', '{}')

-- @unordered
SELECT queue_name FROM pgmq.send_batch_topic('logs.db.error', ARRAY['1', '2']::jsonb[])

SELECT message FROM pgmq.read('q', 0, 10)

SELECT message, headers FROM pgmq.read('r', 0, 10)

SELECT pgmq.validate_routing_key('a.b')

SELECT pgmq.validate_routing_key('a..b')

SELECT pgmq.validate_topic_pattern('a.*.#')

SELECT pgmq.validate_topic_pattern('a.**')

SELECT pgmq.unbind_topic('logs.#', 'r')

SELECT pgmq.unbind_topic('logs.#', 'r')

SELECT pgmq.enable_notify_insert('q', 0)

SELECT queue_name, throttle_interval_ms FROM pgmq.list_notify_insert_throttles()

-- @b
LISTEN "pgmq.q_q.INSERT"

SELECT pgmq.send('q', '{"n": 1}')

-- @b
SELECT 1

BEGIN

SELECT pgmq.send('q', '{"n": 2}')

-- @b
SELECT 2

COMMIT

-- @b
SELECT 3

SELECT pgmq.update_notify_insert('q', 500)

SELECT pgmq.disable_notify_insert('q')

SELECT pgmq.send('q', '{"n": 3}')

-- @b
SELECT 4

SELECT pgmq.enable_notify_insert('missing')

NOTIFY scene, 'hello'

-- @c
LISTEN scene

NOTIFY scene, 'hello'

-- @c
SELECT 5
