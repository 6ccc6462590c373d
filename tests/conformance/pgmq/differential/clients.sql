SELECT pgmq.create('clients')

-- Rails: every connection.
SET intervalstyle = iso_8601

SHOW intervalstyle

SELECT interval '1 day 02:03:00', interval '1 year 2 months 3 days 04:05:06.7', interval '0', interval '-1 month 2 days -00:00:01.5', NULL::interval

RESET intervalstyle

-- Sequelize: every connection.
SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE

SET TIME ZONE INTERVAL '-03:00' HOUR TO MINUTE

SELECT right(to_timestamp(0)::text, 3), to_timestamp(0)::timestamp, '2024-05-01 12:00'::timestamptz = '2024-05-01 15:00+00'::timestamptz

RESET timezone

-- A zone with rules of its own, in both directions.
SET timezone = 'Europe/Berlin'

SELECT '2024-07-01 12:00'::timestamptz, '2024-01-01 12:00'::timestamptz, '2024-07-01 12:00+00'::timestamptz

SELECT '2024-07-01 12:00+00'::timestamptz::timestamp, '2024-07-01 23:30+00'::timestamptz::date, timestamp '2024-01-01 12:00'::timestamptz, ('2024-01-01 12:00+00'::timestamptz)::text

-- @params ["2024-07-01 12:00"]
SELECT $1::timestamptz, $1::timestamptz::text

RESET timezone

-- TypeORM: DataSource.initialize().
SELECT * FROM current_schema()

-- pgAdmin: every connection.
SELECT set_config('bytea_output', 'hex', false) FROM pg_show_all_settings() WHERE name = 'bytea_output'

-- pg_dump, DBD::Pg.
SELECT tableoid = 'pg_extension'::regclass FROM pg_extension WHERE extname <> 'pgmq' AND extname <> 'plpgsql'

SELECT tableoid = 'pg_namespace'::regclass FROM pg_namespace WHERE nspname = 'pgmq'

-- Query builders quote every name.
SELECT pgmq.send('clients', '{}') > 0

UPDATE "pgmq"."q_clients" SET "vt" = now() + interval '1 hour' WHERE "msg_id" = 1

INSERT INTO "pgmq"."q_clients" ("vt", "message", "headers") VALUES (now(), '{}', DEFAULT)

SELECT count(*) FROM pgmq.read('clients', 0, 10)

-- What tools look up.
SELECT pg_collation_is_visible(100), pg_table_is_visible('pg_class'::regclass), pg_type_is_visible(23)

SELECT (parse_ident('pgmq.meta'))[2], parse_ident('"A b".C')

SELECT parse_ident('1a')

-- @unordered
SELECT k, o, n FROM pg_index i, unnest(i.indkey, i.indoption) WITH ORDINALITY AS c (k, o, n) WHERE i.indrelid = 'pgmq.q_clients'::regclass

SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a'], ARRAY[true, false, NULL]) AS t (a, b, c)

SELECT pg_stat_get_numscans('pgmq.meta'::regclass) IS NOT NULL, pg_get_ruledef(1)

SELECT ctid IS NOT NULL, tableoid = 'pgmq.meta'::regclass FROM pgmq.meta WHERE queue_name = 'clients'

SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_start <= now()

SELECT pg_index_column_has_property('pgmq.q_clients_pkey'::regclass, 1, 'asc'), pg_index_column_has_property('pgmq.q_clients_pkey'::regclass, 1, 'desc')

SELECT pgmq.send('clients', '{}')

SELECT lastval()

SELECT pg_cancel_backend(0)

SELECT * FROM jsonb_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') AS x (a int, b text)

SELECT * FROM jsonb_to_record('{"a": 1, "c": [1]}') AS x (a int, c jsonb)

SELECT * FROM jsonb_to_recordset('[]')

-- @params ["pgmq.q_clients"]
SELECT $1::regclass = 'pgmq.q_clients'::regclass, $1::regclass::text

-- @params ["pgmq.nothing"]
SELECT $1::regclass

-- Postgrex, Npgsql: functions of types.
SELECT typname, typsend::text, typreceive::text, typoutput::text, typinput::text, typispreferred, typalign, typstorage FROM pg_type WHERE oid IN (16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 701, 1043, 1082, 1114, 1184, 1186, 1700, 2205, 2206, 2249, 2278, 2950, 3802, 1007, 1009, 1016, 3807) ORDER BY oid

SELECT t.typname FROM pg_type t JOIN pg_proc p ON p.oid = t.typreceive WHERE p.proname = 'array_recv' AND t.oid IN (1007, 1016, 23) ORDER BY 1

SELECT pgmq.drop_queue('clients')
