SELECT pgmq.create('q')

SELECT * FROM pgmq.create('q')

SELECT pgmq.create_non_partitioned('plain')

SELECT pgmq.create_unlogged('quick')

SELECT queue_name, is_partitioned, is_unlogged FROM pgmq.list_queues() ORDER BY queue_name

SELECT * FROM pgmq.list_queues() ORDER BY 1 LIMIT 1

SELECT queue_name, is_partitioned, is_unlogged FROM pgmq.meta ORDER BY queue_name

SELECT pgmq.create('this_name_is_much_too_long_for_a_queue_of_pgmq_as_it_has_more_than_47')

SELECT pgmq.create('semi;colon')

SELECT pgmq.create('dollar$')

SELECT pgmq.create('quote''d')

SELECT pgmq.create(NULL)

SELECT queue_name, queue_length, newest_msg_age_sec, oldest_msg_age_sec, total_messages, queue_visible_length FROM pgmq.metrics('q')

SELECT * FROM pgmq.metrics('plain')

SELECT queue_name, queue_length, total_messages FROM pgmq.metrics_all() ORDER BY queue_name

SELECT * FROM pgmq.metrics('missing')

SELECT pgmq.send('q', '{"n": 1}')

SELECT queue_length, total_messages, queue_visible_length FROM pgmq.metrics('q')

SELECT pgmq.purge_queue('q')

SELECT pgmq.purge_queue('q')

SELECT pgmq.purge_queue('missing')

SELECT queue_length, total_messages FROM pgmq.metrics('q')

SELECT pgmq.drop_queue('q')

SELECT pgmq.drop_queue('q')

SELECT * FROM pgmq.drop_queue('plain')

SELECT pgmq.drop_queue('quick', false)

SELECT count(*) FROM pgmq.list_queues()

SELECT pgmq.detach_archive('q')

SELECT pgmq.validate_queue_name('fine')

SELECT pgmq.format_table_name('q', 'a')

SELECT pgmq.format_table_name('Bad;Name', 'q')
