-- DO blocks.

SELECT pgmq.create('blocks')

DO $$ BEGIN FOR i IN 1..4 LOOP PERFORM pgmq.send('blocks', jsonb_build_object('i', i)); END LOOP; END $$

SELECT msg_id, message FROM pgmq.q_blocks ORDER BY msg_id

DO $$ BEGIN PERFORM pgmq.validate_routing_key('a..b'); RAISE EXCEPTION 'not refused'; EXCEPTION WHEN OTHERS THEN /* as it should be */ END $$

DO $$ BEGIN PERFORM pgmq.validate_topic_pattern('a.(b|c)'); EXCEPTION WHEN OTHERS THEN IF SQLERRM NOT LIKE '%invalid characters%' THEN RAISE EXCEPTION 'another error: %', SQLERRM; END IF; END $$

DO $$ BEGIN PERFORM pgmq.send('no_such_queue', '{}'); EXCEPTION WHEN undefined_table THEN RAISE WARNING '% in %', SQLSTATE, 'send'; WHEN others THEN RAISE; END $$

DO $$ BEGIN PERFORM pgmq.send('blocks', '{"lost": true}'); RAISE EXCEPTION 'everything is taken back'; END $$

DO $$ BEGIN PERFORM pgmq.send('blocks', '5'); BEGIN PERFORM pgmq.send('blocks', '{"lost": true}'); PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught'; END; END $$

SELECT count(*) FROM pgmq.q_blocks

DO $$ DECLARE m record; n int := 0; BEGIN FOR m IN SELECT * FROM pgmq.read('blocks', 30, 2) LOOP PERFORM pgmq.archive('blocks', m.msg_id); n := n + (m.message->>'i')::int; END LOOP; IF n = 3 THEN PERFORM pgmq.send('blocks', to_jsonb(n)); ELSE RAISE EXCEPTION '%', n; END IF; END $$

DO $$ DECLARE total bigint; BEGIN SELECT count(*) INTO total FROM pgmq.a_blocks; IF total <> 2 THEN RAISE EXCEPTION '% archived', total; END IF; UPDATE pgmq.q_blocks SET vt = now() WHERE msg_id = -1; IF FOUND THEN RAISE EXCEPTION 'found'; END IF; END $$

DO $$ DECLARE q text; BEGIN FOREACH q IN ARRAY ARRAY['blocks', 'blocks_2', 'blocks_3'] LOOP CONTINUE WHEN q = 'blocks_3'; IF NOT EXISTS (SELECT 1 FROM pgmq.list_queues() WHERE queue_name = q) THEN PERFORM pgmq.create(q); END IF; END LOOP; END $$

SELECT queue_name FROM pgmq.list_queues() WHERE queue_name LIKE 'blocks%' ORDER BY 1

BEGIN

DO $$ BEGIN PERFORM pgmq.purge_queue('blocks'); END $$

SELECT count(*) FROM pgmq.q_blocks

ROLLBACK

SELECT count(*) FROM pgmq.q_blocks

DO LANGUAGE plpgsql $block$ BEGIN RETURN; PERFORM 1 / 0; END $block$

DO $$ BEGIN BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN RAISE; END; END $$

DO $$ BEGIN IF true THEN NULL; END $$

DO $$ BEGIN x := 1; END $$

SELECT pgmq.drop_queue(queue_name) FROM pgmq.list_queues() WHERE queue_name LIKE 'blocks%'
