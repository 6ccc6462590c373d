-- The outbox of Kyu: pgmq.send inside the transactions of your own Postgres (13 or newer).
--
-- The functions have the names and arguments of pgmq. They write one row into pgmq.outbox, in the
-- caller's transaction: it is sent if and only if that commits. `kyu outbox` relays the rows to Kyu,
-- exactly once and in order, and deletes them.
--
-- What they return is the number of the row in the outbox, not the msg_id that the message gets
-- later; send_topic returns NULL, because nobody knows yet which queues it will go to.
--
-- Running this file again changes nothing. It needs CREATE on the database, no superuser. It is one
-- statement: all of it happens, or nothing.
--
-- A role that sends needs no more than
--     GRANT USAGE ON SCHEMA pgmq TO app;
--     GRANT INSERT, SELECT (id) ON pgmq.outbox TO app;
-- and a relay that polls
--     GRANT USAGE ON SCHEMA pgmq TO relay;
--     GRANT SELECT, DELETE ON pgmq.outbox TO relay;
--     GRANT SELECT, INSERT ON pgmq.outbox_parked TO relay;
--     GRANT SELECT ON pgmq.outbox_source TO relay;

DO $outbox$
BEGIN

IF to_regclass('pgmq.meta') IS NOT NULL OR EXISTS (
    SELECT FROM pg_extension
    WHERE extname = 'pgmq' AND extnamespace = to_regnamespace(split_part('pgmq.outbox', '.', 1))
) THEN
    RAISE EXCEPTION 'the extension pgmq is installed in this database: its functions send, send_batch and send_topic would be replaced'
        USING HINT = 'Make the outbox in a schema of its own: kyu outbox --print-sql --schema kyu_outbox';
END IF;

CREATE SCHEMA IF NOT EXISTS pgmq;

CREATE TABLE IF NOT EXISTS pgmq.outbox (
    -- Orders transactions; with pg_snapshot_xmin it tells which of them may still commit.
    xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
    id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    queue_name  text,
    routing_key text,
    message     jsonb,
    headers     jsonb,
    visible_at  timestamptz,
    added_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (xid, id),
    CHECK (num_nonnulls(queue_name, routing_key) = 1)
);

-- Rows that Kyu refused, with what it said. Nothing reads them but people.
CREATE TABLE IF NOT EXISTS pgmq.outbox_parked (
    LIKE pgmq.outbox,
    sqlstate  text        NOT NULL,
    error     text        NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What tells this outbox from every other: the cursor in Kyu belongs to one of them. A copy of the
-- database has the same identity and another number.
CREATE TABLE IF NOT EXISTS pgmq.outbox_source (
    identity uuid    NOT NULL DEFAULT gen_random_uuid(),
    database oid     NOT NULL,
    single   boolean PRIMARY KEY DEFAULT true CHECK (single)
);
INSERT INTO pgmq.outbox_source (database)
SELECT oid FROM pg_database WHERE datname = current_database()
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION pgmq.send(queue_name text, msg jsonb, headers jsonb, delay timestamptz)
RETURNS SETOF bigint LANGUAGE sql AS $$
    INSERT INTO pgmq.outbox (queue_name, message, headers, visible_at)
    VALUES (queue_name, msg, headers, delay) RETURNING id
$$;

CREATE OR REPLACE FUNCTION pgmq.send(queue_name text, msg jsonb)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send(queue_name, msg, NULL::jsonb, NULL::timestamptz)
$$;

CREATE OR REPLACE FUNCTION pgmq.send(queue_name text, msg jsonb, headers jsonb)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send(queue_name, msg, headers, NULL::timestamptz)
$$;

CREATE OR REPLACE FUNCTION pgmq.send(queue_name text, msg jsonb, delay integer)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send(queue_name, msg, NULL::jsonb, clock_timestamp() + make_interval(secs => delay))
$$;

CREATE OR REPLACE FUNCTION pgmq.send(queue_name text, msg jsonb, delay timestamptz)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send(queue_name, msg, NULL::jsonb, delay)
$$;

CREATE OR REPLACE FUNCTION pgmq.send(queue_name text, msg jsonb, headers jsonb, delay integer)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send(queue_name, msg, headers, clock_timestamp() + make_interval(secs => delay))
$$;

CREATE OR REPLACE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay timestamptz)
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    IF msgs IS NULL OR cardinality(msgs) = 0 THEN
        RAISE EXCEPTION 'msgs cannot be NULL or empty';
    END IF;
    IF headers IS NOT NULL AND cardinality(headers) <> cardinality(msgs) THEN
        RAISE EXCEPTION 'headers array length (%) must match messages array length (%)',
            cardinality(headers), cardinality(msgs);
    END IF;
    RETURN QUERY
        INSERT INTO pgmq.outbox (queue_name, message, headers, visible_at)
        SELECT send_batch.queue_name, m.message, send_batch.headers[m.place], delay
        FROM unnest(msgs) WITH ORDINALITY AS m (message, place) ORDER BY m.place
        RETURNING id;
END
$$;

CREATE OR REPLACE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[])
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send_batch(queue_name, msgs, NULL::jsonb[], NULL::timestamptz)
$$;

CREATE OR REPLACE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[])
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send_batch(queue_name, msgs, headers, NULL::timestamptz)
$$;

CREATE OR REPLACE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], delay integer)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send_batch(queue_name, msgs, NULL::jsonb[], clock_timestamp() + make_interval(secs => delay))
$$;

CREATE OR REPLACE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], delay timestamptz)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send_batch(queue_name, msgs, NULL::jsonb[], delay)
$$;

CREATE OR REPLACE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay integer)
RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM pgmq.send_batch(queue_name, msgs, headers, clock_timestamp() + make_interval(secs => delay))
$$;

CREATE OR REPLACE FUNCTION pgmq.send_topic(routing_key text, msg jsonb, headers jsonb, delay integer)
RETURNS integer LANGUAGE sql AS $$
    INSERT INTO pgmq.outbox (routing_key, message, headers, visible_at)
    VALUES (routing_key, msg, headers,
            CASE WHEN delay > 0 THEN clock_timestamp() + make_interval(secs => delay) END)
    RETURNING NULL::integer
$$;

CREATE OR REPLACE FUNCTION pgmq.send_topic(routing_key text, msg jsonb)
RETURNS integer LANGUAGE sql AS $$
    SELECT pgmq.send_topic(routing_key, msg, NULL::jsonb, 0)
$$;

CREATE OR REPLACE FUNCTION pgmq.send_topic(routing_key text, msg jsonb, delay integer)
RETURNS integer LANGUAGE sql AS $$
    SELECT pgmq.send_topic(routing_key, msg, NULL::jsonb, delay)
$$;

END
$outbox$;
