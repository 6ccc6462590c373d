SELECT pgmq.create('q')

BEGIN

SELECT pgmq.send('q', '{"in": "block"}')

SELECT message FROM pgmq.read('q', 30, 5)

-- @b
SELECT message FROM pgmq.read('q', 30, 5)

ROLLBACK

SELECT count(*) FROM pgmq.q_q

BEGIN

SELECT pgmq.send('q', '{"kept": 1}')

COMMIT

-- @b
SELECT message FROM pgmq.read('q', 0, 5)

BEGIN

SELECT message FROM pgmq.read('q', 30, 5)

-- @b
SELECT message FROM pgmq.read('q', 0, 5)

ROLLBACK

-- @b
SELECT message FROM pgmq.read('q', 0, 5)

BEGIN

SELECT message FROM pgmq.pop('q')

ROLLBACK

SELECT message FROM pgmq.pop('q')

BEGIN

SELECT nonsense

SELECT 1

COMMIT

COMMIT

ROLLBACK

BEGIN

BEGIN

SAVEPOINT a

SELECT pgmq.send('q', '"a"')

SAVEPOINT b

SELECT pgmq.send('q', '"b"')

ROLLBACK TO SAVEPOINT b

SELECT no_such_column

ROLLBACK TO b

RELEASE SAVEPOINT a

RELEASE SAVEPOINT a

ROLLBACK

BEGIN

SELECT pgmq.send('q', '"x"')

SAVEPOINT s

SELECT pgmq.send('q', '"y"')

ROLLBACK TO s

COMMIT

SELECT message FROM pgmq.read('q', 0, 10)

SAVEPOINT outside

BEGIN

SELECT pgmq.create('made_in_block')

ROLLBACK

SELECT count(*) FROM pgmq.list_queues() WHERE queue_name = 'made_in_block'

-- @script
SELECT pgmq.send('q', '"one"'); SELECT pgmq.send('q', '"two"'); SELECT 1/0

SELECT count(*) FROM pgmq.q_q

-- @script
SELECT pgmq.send('q', '"three"'); COMMIT; SELECT 1/0

SELECT count(*) FROM pgmq.q_q

-- @script
BEGIN; SELECT pgmq.send('q', '"four"'); ROLLBACK; SELECT 1 AS one

SELECT count(*) FROM pgmq.q_q

BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE

SHOW transaction_isolation

END

START TRANSACTION

ABORT

BEGIN

COMMIT AND CHAIN

SELECT 1

ROLLBACK

COMMIT AND CHAIN
