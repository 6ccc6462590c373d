-- Every function with its arguments, defaults and result: the API of record.
SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.proretset FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'pgmq' AND p.proname NOT LIKE '\_%' AND p.proname NOT IN ('create_queue', 'q_info', 'peek', 'set_policy', 'policy', 'notify_queue_listeners', 'set_dead_letter', 'set_retention', 'queue_settings', 'set_queue_settings', 'delete_archived', 'purge_archive') AND p.proname NOT LIKE 'outbox%' AND NOT (p.proname = 'delete' AND p.pronargs = 3) ORDER BY 1, 2

SELECT pgmq.create('o')

SELECT pgmq.create(queue_name => 'p')

SELECT pgmq.create_unlogged(queue_name => 'u')

SELECT * FROM pgmq.create_non_partitioned(queue_name => 'n')

SELECT pgmq.send(queue_name => 'o', msg => '{"f": 1}')

SELECT pgmq.send(queue_name => 'o', msg => '{"f": 2}', delay => 0)

SELECT pgmq.send(queue_name => 'o', msg => '{"f": 3}', delay => '2020-01-01 00:00:00+00'::timestamptz)

SELECT pgmq.send(queue_name => 'o', msg => '{"f": 4}', headers => '{"h": 4}')

SELECT pgmq.send(queue_name => 'o', msg => '{"f": 5}', headers => '{"h": 5}', delay => 0)

SELECT pgmq.send(queue_name => 'o', msg => '{"f": 6}', headers => '{"h": 6}', delay => '2020-01-01 00:00:00+00'::timestamptz)

SELECT pgmq.send(msg => '{"f": 7}', queue_name => 'o')

SELECT pgmq.send('o', msg => '{"f": 8}')

SELECT pgmq.send(queue_name := 'o', msg := '{"f": 9}')

SELECT pgmq.send(queue_name => 'o', '{"f": 10}')

SELECT pgmq.send(queue_name => 'o', msg => '1', wrong => 2)

SELECT pgmq.send(queue_name => 'o', queue_name => 'o', msg => '1')

SELECT * FROM pgmq.send_batch(queue_name => 'o', msgs => ARRAY['1']::jsonb[])

SELECT * FROM pgmq.send_batch(queue_name => 'o', msgs => ARRAY['2']::jsonb[], delay => 0)

SELECT * FROM pgmq.send_batch(queue_name => 'o', msgs => ARRAY['3']::jsonb[], delay => '2020-01-01 00:00:00+00'::timestamptz)

SELECT * FROM pgmq.send_batch(queue_name => 'o', msgs => ARRAY['4', '5']::jsonb[], headers => ARRAY['{"h": 4}', NULL]::jsonb[])

SELECT * FROM pgmq.send_batch(queue_name => 'o', msgs => ARRAY['6']::jsonb[], headers => ARRAY['{"h": 6}']::jsonb[], delay => 0)

SELECT * FROM pgmq.send_batch(queue_name => 'o', msgs => ARRAY['7']::jsonb[], headers => ARRAY['{"h": 7}']::jsonb[], delay => '2020-01-01 00:00:00+00'::timestamptz)

SELECT * FROM pgmq.send_batch('o', ARRAY['8', NULL, '9']::jsonb[])

SELECT pgmq.send_batch('o', '{"1","{\"a\": 2}"}'::jsonb[], '{"{}","{}"}'::jsonb[])

SELECT pgmq.send_batch('o', ARRAY['1']::jsonb[], ARRAY[]::jsonb[])

SELECT pgmq.send_batch('o', ARRAY['1']::jsonb[], NULL::jsonb[])

SELECT msg_id, message, headers FROM pgmq.q_o ORDER BY msg_id

SELECT msg_id FROM pgmq.read(queue_name => 'o', vt => 0, qty => 1)

SELECT msg_id FROM pgmq.read(queue_name => 'o', vt => 0, qty => 2, conditional => '{"f": 5}')

-- @unordered
SELECT msg_id FROM pgmq.read('o', 0, 3, '{}')

-- @unordered
SELECT msg_id FROM pgmq.read('o', 0, 3, NULL)

SELECT msg_id FROM pgmq.read('o', 0, NULL)

SELECT msg_id FROM pgmq.read('o', -5, 1)

SELECT msg_id FROM pgmq.read_with_poll('o', 0, 1)

SELECT msg_id FROM pgmq.read_with_poll(queue_name => 'o', vt => 0, qty => 1, max_poll_seconds => 1, poll_interval_ms => 50, conditional => '{"f": 4}')

SELECT msg_id FROM pgmq.read_with_poll('o', 0, 1, 0, 50)

SELECT msg_id FROM pgmq.read_grouped(queue_name => 'o', vt => 0, qty => 2)

SELECT msg_id FROM pgmq.read_grouped_rr(queue_name => 'o', vt => 0, qty => 2)

SELECT msg_id FROM pgmq.read_grouped_head(queue_name => 'o', vt => 0, qty => 2)

SELECT msg_id FROM pgmq.read_grouped_with_poll('o', 0, 1)

SELECT msg_id FROM pgmq.read_grouped_rr_with_poll('o', 0, 1, 1, 50)

SELECT msg_id FROM pgmq.read_grouped_head_with_poll(queue_name => 'o', vt => 0, qty => 1, max_poll_seconds => 1, poll_interval_ms => 50)

SELECT msg_id FROM pgmq.set_vt(queue_name => 'o', msg_id => 1, vt => 0)

SELECT msg_id FROM pgmq.set_vt(queue_name => 'o', msg_id => 1, vt => '2020-01-01 00:00:00+00'::timestamptz)

-- @unordered
SELECT msg_id FROM pgmq.set_vt(queue_name => 'o', msg_ids => ARRAY[1, 2]::bigint[], vt => 0)

-- @unordered
SELECT msg_id FROM pgmq.set_vt('o', ARRAY[1, 2]::bigint[], '2020-01-01 00:00:00+00'::timestamptz)

SELECT pgmq.set_vt('o', ARRAY[]::bigint[], 0)

SELECT pgmq.set_vt('o', NULL::bigint, 0)

SELECT pgmq.delete(queue_name => 'o', msg_id => 1)

-- @unordered
SELECT pgmq.delete(queue_name => 'o', msg_ids => ARRAY[2, 3]::bigint[])

SELECT pgmq.delete('o', ARRAY[]::bigint[])

SELECT pgmq.delete('o', NULL::bigint)

SELECT pgmq.archive(queue_name => 'o', msg_id => 4)

-- @unordered
SELECT pgmq.archive(queue_name => 'o', msg_ids => ARRAY[5, 6]::bigint[])

SELECT pgmq.archive('o', ARRAY[]::bigint[])

SELECT msg_id FROM pgmq.pop(queue_name => 'o')

SELECT msg_id FROM pgmq.pop(queue_name => 'o', qty => 2)

SELECT msg_id FROM pgmq.pop('o', 0)

SELECT msg_id FROM pgmq.pop('o', -1)

SELECT pgmq.bind_topic(pattern => 'a.#', queue_name => 'p')

SELECT * FROM pgmq.send_topic(routing_key => 'a.b', msg => '1')

SELECT pgmq.send_topic(routing_key => 'a.b', msg => '2', delay => 0)

SELECT pgmq.send_topic(routing_key => 'a.b', msg => '3', headers => '{"h": 3}', delay => 0)

SELECT pgmq.send_topic('a.b', '4'::jsonb, -1)

SELECT * FROM pgmq.send_batch_topic(routing_key => 'a.b', msgs => ARRAY['1']::jsonb[])

SELECT * FROM pgmq.send_batch_topic('a.b', ARRAY['2']::jsonb[], 0)

SELECT * FROM pgmq.send_batch_topic('a.b', ARRAY['3']::jsonb[], '2020-01-01 00:00:00+00'::timestamptz)

SELECT * FROM pgmq.send_batch_topic('a.b', ARRAY['4']::jsonb[], ARRAY['{"h": 4}']::jsonb[])

SELECT * FROM pgmq.send_batch_topic('a.b', ARRAY['5']::jsonb[], ARRAY['{"h": 5}']::jsonb[], 0)

SELECT * FROM pgmq.send_batch_topic('a.b', ARRAY['6']::jsonb[], ARRAY['{"h": 6}']::jsonb[], '2020-01-01 00:00:00+00'::timestamptz)

SELECT * FROM pgmq.send_batch_topic('a.b', ARRAY[]::jsonb[])

SELECT pattern, queue_name, compiled_regex FROM pgmq.topic_bindings

SELECT pattern, queue_name, compiled_regex FROM pgmq.list_topic_bindings(queue_name => 'p')

SELECT * FROM pgmq.test_routing(routing_key => 'a.x')

SELECT pgmq.unbind_topic(pattern => 'a.#', queue_name => 'p')

SELECT pgmq.enable_notify_insert(queue_name => 'p')

SELECT queue_name, throttle_interval_ms FROM pgmq.notify_insert_throttle

SELECT pgmq.update_notify_insert(queue_name => 'p', throttle_interval_ms => 10)

SELECT pgmq.update_notify_insert('p', -1)

SELECT pgmq.update_notify_insert('missing', 1)

SELECT pgmq.enable_notify_insert('p', -1)

SELECT pgmq.disable_notify_insert(queue_name => 'p')

SELECT pgmq.disable_notify_insert('p')

SELECT pgmq.create_fifo_index(queue_name => 'p')

SELECT indexname FROM pg_indexes WHERE schemaname = 'pgmq' AND tablename = 'q_p' ORDER BY 1

SELECT pgmq.acquire_queue_lock('p')

SELECT pgmq.validate_queue_name(queue_name => 'fine')

SELECT pgmq.validate_queue_name('this_name_is_much_too_long_for_a_queue_of_pgmq_as_it_has_more_than_47')

SELECT pgmq.format_table_name(queue_name => 'UPPER', prefix => 'q')

SELECT pgmq.purge_queue(queue_name => 'o')

SELECT queue_name FROM pgmq.metrics(queue_name => 'o')

SELECT * FROM pgmq.metrics_all() WHERE queue_name = 'n'

SELECT pgmq.metrics('n')

SELECT pgmq.list_queues() LIMIT 1

-- @differs create_partitioned needs no pg_partman here, and makes a queue without partitions
SELECT pgmq.create_partitioned('parts')

-- @differs the same
SELECT pgmq.convert_archive_partitioned('o')

SELECT pgmq.detach_archive(queue_name => 'o')

SELECT pgmq.drop_queue(queue_name => 'u')

SELECT pgmq.drop_queue(queue_name => 'n', partitioned => false)

SELECT pgmq.drop_queue(queue_name => 'missing')

-- @parse
SELECT pgmq.create($1)

-- @parse
SELECT * FROM pgmq.set_vt($1, $2::bigint, $3::int)

-- @parse
SELECT * FROM pgmq.send_batch($1, $2::jsonb[], $3::jsonb[], $4::int)

-- @parse
SELECT * FROM pgmq.read_with_poll($1, $2, $3, $4, $5, $6)

-- @parse
SELECT * FROM pgmq.metrics($1)

-- @parse
SELECT pgmq.metrics($1)

-- @parse
SELECT * FROM pgmq.send_batch_topic($1, $2)

-- @parse
SELECT * FROM pgmq.list_topic_bindings($1)

-- @parse
SELECT * FROM pgmq.pop($1, $2)

-- @parse
SELECT pgmq.drop_queue($1)

-- @parse
-- @types [1043, 21, 21]
SELECT * FROM pgmq.read($1, $2, $3)

-- @parse
SELECT msg_id, message ->> $1 FROM pgmq.q_o WHERE message @> $2 AND msg_id = ANY($3) AND vt < $4 LIMIT $5 OFFSET $6

-- @parse
-- @types [0, 3807]
SELECT * FROM pgmq.send_batch($1, $2)
