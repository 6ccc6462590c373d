SELECT pgmq.create('c')

SELECT column_name, ordinal_position, data_type, udt_name, is_nullable FROM information_schema.columns WHERE table_schema = 'pgmq' AND table_name = 'q_c' ORDER BY ordinal_position

SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'pgmq' AND table_name = 'a_c' ORDER BY ordinal_position

SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'pgmq' AND table_name = 'meta' ORDER BY ordinal_position

SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'pgmq' ORDER BY table_name

SELECT tablename FROM pg_tables WHERE schemaname = 'pgmq' ORDER BY tablename

SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'pgmq' AND tablename IN ('q_c', 'a_c') ORDER BY 1, 2

SELECT attname, atttypid::regtype, attnum, attnotnull, attidentity FROM pg_attribute WHERE attrelid = 'pgmq.q_c'::regclass AND attnum > 0 ORDER BY attnum

SELECT 'pgmq.q_c'::regclass, to_regclass('pgmq.nothing'), to_regtype('int4'), to_regtype('nothing'), 'text'::regtype

SELECT 'pgmq.nothing'::regclass

SELECT 'nothing'::regtype

SELECT oid, typname, typlen, typtype, typcategory, typelem, typrelid FROM pg_type WHERE oid IN (16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 30, 114, 701, 1043, 1082, 1114, 1184, 1186, 1700, 2205, 2950, 3802, 3807, 1016, 1009) ORDER BY oid

SELECT typname, typtype, typcategory FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE nspname = 'pgmq' AND typname IN ('message_record', 'queue_record', 'metrics_result') ORDER BY 1

SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 'pg_catalog', 'information_schema', 'pgmq') ORDER BY 1

SELECT format_type(23, NULL), format_type(1184, -1), format_type(3807, NULL), format_type(NULL, NULL)

SELECT current_schema(), current_schemas(false), current_schemas(true), current_user, current_database()

SET search_path TO pgmq

SELECT current_schema(), pg_table_is_visible('pgmq.q_c'::regclass)

SET search_path TO DEFAULT

SELECT pg_typeof(1), pg_typeof('x'::text), pg_typeof(now()), pg_typeof('{}'::jsonb), pg_typeof(ARRAY[1])

-- @psql
\dt pgmq.*

-- @differs defaults and constraints are not in the catalogue
-- @psql
\d pgmq.meta

-- @differs constraints, defaults of columns and identity sequences are not in the catalogue
-- @psql
\d pgmq.q_c

-- @psql
\dt pgmq.q_c

-- @psql
\d nothing.at_all

-- @psql
\dt

-- @psql
\df pgmq.pop

-- @psql
\df pgmq.send

-- @psql
\dT pgmq.queue_record

-- @psql
\di pgmq.q_c*

-- @psql
\dv pgmq.*

-- @psql
\ds nothing*

-- @psql
\dn pgmq

-- @psql
\du nothing

-- @psql
\dp nothing

-- @psql
\dx nothing

-- @psql
\l nothing

-- @psql
\do nothing

-- @psql
\dC nothing

-- @psql
\da nothing

-- @psql
\dD nothing

-- @psql
\dy nothing

-- @psql
\dE nothing

-- @psql
\dm nothing

-- @psql
\dF nothing

-- @psql
\db nothing

-- @psql
\sf nothing

-- @psql
\dconfig search_path

-- @psql
SELECT 1 AS one \gdesc

-- @psql
SELECT * FROM pgmq.read('c', 1, 1) \gdesc

-- @psql
SELECT 'x' AS name, 2 AS value \gset
SELECT :'name', :value;

-- @psql
\x on
SELECT 1 AS a, 'b' AS b;

-- @psql
\copy (SELECT i, i * 2 FROM generate_series(1, 3) AS i) TO STDOUT WITH CSV HEADER

-- @psql
SELECT pgmq.send('c', '{"a": 1}') \g (format=unaligned tuples_only)
\set FETCH_COUNT 2
SELECT i FROM generate_series(1, 5) AS i;

-- @psql
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1 / 0;
SELECT 2 AS two;
COMMIT;

-- @psql
SELECT nonsense;
\echo :LAST_ERROR_SQLSTATE :ERROR

-- @psql
SELECT format('SELECT %s AS n', i) FROM generate_series(1, 2) AS i \gexec

-- @psql
SELECT i AS r, i % 2 AS c, i * i AS v FROM generate_series(1, 4) AS i ORDER BY 1, 2 \crosstabview r c v

-- @psql
\dt pgmq.(
