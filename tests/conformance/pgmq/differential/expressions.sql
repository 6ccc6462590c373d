SELECT 1 AS one, 2::bigint AS two, 3::smallint AS three, 4.5 AS n, 'x' AS x, 'y'::text AS y, true AS t, NULL AS nothing

SELECT '{"b": 1, "a": 2}'::jsonb AS j, '{"b": 1,  "a": 2}'::json AS raw

SELECT '{"a": {"b": [10, 20]}}'::jsonb -> 'a' AS a, '{"a": {"b": [10, 20]}}'::jsonb #>> '{a,b,1}' AS twenty

SELECT '{"a": "x"}'::jsonb ->> 'a' AS x, '[1,2]'::jsonb -> 0 AS first

SELECT '{"a": 1, "b": 2}'::jsonb @> '{"a": 1}' AS holds, '{"a": 1}'::jsonb ? 'b' AS has

SELECT jsonb_build_object('a', 1, 'b', 'x', 'c', NULL, 'd', true, 'e', 1.50) AS o

SELECT jsonb_build_array(1, 'x', NULL) AS l

SELECT 7 / 2 AS whole, 7 % 2 AS rest, 7 / 2.0 AS exact, -7 / 2 AS negative

SELECT 1 / 0

SELECT 2147483647 + 1

SELECT 'abc' || 'def' AS joined, upper('x') AS u, length('é') AS l

SELECT ARRAY[1, 2, 3] AS ints, ARRAY['a', 'b c', NULL, ''] AS texts, ARRAY[]::int[] AS none

SELECT 2 = ANY(ARRAY[1, 2]) AS found, 3 IN (1, 2) AS among

SELECT CASE WHEN true THEN 'a' ELSE 'b' END AS c, COALESCE(NULL, 5) AS five

SELECT i FROM generate_series(1, 3) AS i ORDER BY i DESC

SELECT count(*), sum(i), min(i), max(i), avg(i) FROM generate_series(1, 4) AS i

SELECT count(*) FILTER (WHERE i > 2) AS big FROM generate_series(1, 4) AS i

SELECT array_agg(i) FROM generate_series(1, 3) AS i

SELECT x FROM unnest(ARRAY['a', 'b']) AS x

SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(n, s) WHERE n > 1

WITH c AS (SELECT 1 AS n UNION ALL SELECT 2) SELECT n FROM c ORDER BY n DESC

SELECT EXISTS (SELECT 1 FROM generate_series(1, 1)) AS yes

SELECT (SELECT max(i) FROM generate_series(1, 3) AS i) AS three

SELECT 'x' LIKE 'x%' AS l, 'abc' ~ '^a' AS r, 'x' IS NULL AS n

SELECT '12'::int AS i, 12::text AS t, 't'::bool AS b, '1.5'::float8 AS f, '1e3'::numeric AS n

SELECT 'x'::int

SELECT '99999999999'::int

SELECT 'maybe'::bool

SELECT '2024-02-30'::timestamptz

SELECT '2024-01-02 03:04:05.678+02'::timestamptz - '2024-01-01 00:00:00+00'::timestamptz AS d

SELECT '1 day 02:03:04'::interval AS i, interval '90 minutes' AS m

SELECT 1.0::float8 AS one, 1e20::float8 AS big, 'NaN'::float8 AS nan, 0.1::float8 + 0.2::float8 AS sum

SELECT 'a''b' AS q, E'a\nb' AS n, $$dollar$$ AS d

SELECT no_such_function(1)

SELECT no_such_column

SELECT 1 FROM no_such_table

SELECT pgmq.no_such_function()

SELECT '\xdeadbeef'::bytea AS b, '123e4567-e89b-12d3-a456-426614174000'::uuid AS u

SELECT 1 AS "Quoted Name", 2

SELECT DISTINCT i % 2 AS m FROM generate_series(1, 4) AS i ORDER BY m

SELECT i % 2 AS m, count(*) FROM generate_series(1, 5) AS i GROUP BY i % 2 ORDER BY m

SELECT i FROM generate_series(1, 10) AS i LIMIT 2 OFFSET 3

-- @binary
SELECT 1::int2, 2::int4, 3::int8, 1.5::float8, 'x'::text, true, NULL::int, '{"a": 1}'::jsonb

-- @binary
SELECT ARRAY[1, NULL, 3]::int8[], 12345.678::numeric, '1 day'::interval, '\x01'::bytea
