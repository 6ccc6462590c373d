-- Statements whose answers are recorded from PostgreSQL 15 with pgmq 1.13.0, one a line.
select 1
select 1, 'x', null, true, 1.5, 3000000000, 99999999999999999999
select 1 + 2 * 3 - 4 / 2 % 3, -5, - 5, 2 ^ 3, 7 / 2, 7.0 / 2, 1 / 3.0
select 1::int2 + 1::int8, 1 + 1.5, 1::float8 / 3, 5 & 3, 5 | 3, 5 # 3, 1 << 4
select 2147483647 + 1
select 1 / 0
select 9223372036854775807 + 1
select 'a' || 'b', 'a' || 1, 1 || 'a', null || 'a'
select 1 = 1, 1 <> 2, 1 < 2.5, 'a' < 'b', null = null, 1 is distinct from null, null is not distinct from null
select true and null, false and null, true or null, not null::bool, null is null, 1 is not null, true is true, null is not true
select 1 in (1, 2), 3 not in (1, 2), null in (1), 1 in (2, null)
select 1 = any(array[1, 2]), 1 = all(array[1, 1]), 'b' = any('{a,b}'), '2' = any(array[1, 2])
select 5 between 1 and 10, 5 not between symmetric 10 and 1
select 'abc' like 'a%', 'abc' like '_b_', 'ABC' ilike 'a%', 'abc' not like 'x%', 'a%c' like 'a\%c', 'abc' ~ '^a', 'abc' !~ 'b', 'ABC' ~* 'abc'
select case when 1 = 2 then 'a' when true then 'b' else 'c' end, case 3 when 3 then 'three' end, case when false then 1 end
select coalesce(null, 1, 2), nullif(1, 1), nullif(1, 2), greatest(1, 3, 2), least('b', 'a'), greatest(null, 1)
select array[1, 2], array['a', null], array[1, 2.5], '{1,2}'::int[], array[]::text[]
select (array[1,2,3])[2], (array['a','b','c'])[2:3], array[1,2] || 3, array[1,2] || array[3], 0 || array[1], array[1,2] @> array[1], array[1] <@ array[1,2], array[1,2] && array[2,3]
select array_length(array[1,2], 1), cardinality('{}'::int[]), array_length('{}'::int[], 1), array_to_string(array[1,null,3], ',', '*'), array_position(array['a','b'], 'b'), string_to_array('a,b', ',')
select '{"a": {"b": [1, 2]}}'::jsonb -> 'a' -> 'b' -> 1, '{"a": "x"}'::jsonb ->> 'a', '[1,2]'::jsonb -> -1, '{"a": {"b": 1}}'::jsonb #> '{a,b}', '{"a": {"b": "t"}}'::jsonb #>> '{a,b}'
select '{"b":1,"aa":2,"a":3,"a":4}'::jsonb, '{"b":1, "a":2}'::json, '[1.50, 1e2, -0.0]'::jsonb, '"\u00e9"'::jsonb
select '{"a":1,"b":2}'::jsonb @> '{"a":1}', '{"a":1}' <@ '{"a":1,"b":2}'::jsonb, '{"a":1}'::jsonb ? 'a', '["a","b"]'::jsonb ?| array['b','x'], '{"a":1,"b":2}'::jsonb ?& '{a,b}'
select '{"a":1}'::jsonb || '{"b":2}', '{"a":1,"b":2}'::jsonb - 'a', '[1,2,3]'::jsonb - 1, '{"a":{"b":1,"c":2}}'::jsonb #- '{a,b}', '[1]'::jsonb || '2'
select jsonb_build_object('to', 'user@example.com', 'n', 1, 'f', 1.5, 'b', true, 'x', null, 'a', array[1,2], 'j', '{"k":1}'::jsonb)
select jsonb_build_array(1, 'a', null, true), jsonb_build_object(), to_jsonb('x'::text), to_jsonb(1), to_jsonb(array['a','b']), jsonb_typeof('[]'), jsonb_array_length('[1,2]')
select jsonb_build_object('a')
select jsonb_set('{"a":1}', '{b}', '2'), jsonb_set('{"a":[1,2]}', '{a,1}', '9'), jsonb_strip_nulls('{"a":null,"b":1}'), jsonb_extract_path_text('{"a":{"b":"c"}}', 'a', 'b')
select '{"a": 1}'::jsonb = '{"a": 1.0}'::jsonb, '[1]'::jsonb < '[2]'::jsonb, ('{"n": 5}'::jsonb ->> 'n')::int + 1, ('{"n": 5}'::jsonb -> 'n')::int
select 'x'::jsonb
select '{"a": "\u0000"}'::jsonb
select '1'::int, '1.5'::numeric, 't'::bool, '2024-01-02'::date, '2024-01-02 03:04:05.6+02'::timestamptz, '1 day 2 hours'::interval, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '\xdeadbeef'::bytea, 'abc'::varchar(2), 1.7::int, 2.5::float8::int, 3.5::int8, true::text, 1::text, 1::bool
select cast('5' as bigint), int '5', interval '1 hour', timestamptz '2024-01-01 00:00:00+00', jsonb '{"a": 1}', double precision '1.5', timestamp with time zone '2024-01-01Z'
select 'x'::int
select '99999999999'::int
select '2024-13-01'::date
select 'x'::interval
select '2024-01-31'::timestamptz + interval '1 month', '2024-01-01'::timestamptz - '2023-12-31'::timestamptz, '2024-01-01'::date + 1, '2024-01-03'::date - '2024-01-01'::date, interval '1 day' * 2, interval '1 hour' / 2, 2 * interval '30 seconds', make_interval(secs => 90), make_interval(days => 1, hours => 2)
select extract(epoch from '2024-01-01 00:00:01.5+00'::timestamptz), extract(year from '2024-05-06'::date), date_part('hour', '2024-01-01 13:00:00'::timestamp), date_trunc('hour', '2024-01-01 13:45:00+00'::timestamptz), to_char('2024-01-02 13:04:05+00'::timestamptz, 'YYYY-MM-DD HH24:MI:SS'), extract(epoch from interval '1 day 1 hour')
select to_timestamp(0), '2024-01-01 00:00:00+00'::timestamptz at time zone 'UTC', 'epoch'::timestamptz, 'infinity'::timestamptz
select length('äb'), lower('ABC'), upper('abc'), substring('hello' from 2 for 3), substr('hello', 2), left('hello', 2), right('hello', 2), left('hello', -1), replace('aXb', 'X', '-'), split_part('a.b.c', '.', 2), position('l' in 'hello'), trim('  x '), trim(both 'x' from 'xax'), ltrim('xa', 'x'), repeat('ab', 2), reverse('abc'), concat('a', null, 1), concat_ws('-', 'a', null, 'b'), format('%s %I %L', 'x', 'A b', 'q''s'), md5('a'), initcap('hello world'), lpad('5', 3, '0'), starts_with('abc', 'ab'), chr(65), ascii('A'), to_hex(255)
select abs(-1), abs(-1.5), round(1.55, 1), round(2.5), round(-2.5), floor(-1.5), ceil(1.2), trunc(1.9), sqrt(4), mod(7, 3), power(2, 3)
select 1.0 + 2.25, 1.5 * 2.25, 10.0 / 3, 2::numeric / 3, 1.10, 5.5 % 2, -1.5
select regexp_replace('abc', 'b', 'X'), regexp_replace('aaa', 'a', 'b', 'g'), substring('foobar' from 'o(.)b')
select count(*), sum(x), avg(x), min(x), max(x), array_agg(x), string_agg(x::text, ',' order by x desc), bool_and(x > 0), jsonb_agg(x) from generate_series(1, 4) x
select count(*) filter (where x > 2), count(distinct x % 2), sum(x::int8), sum(x::float8), avg(x::numeric) from generate_series(1, 4) x
select count(*), sum(x), array_agg(x) from generate_series(1, 0) x
select x % 2 as odd, count(*) from generate_series(1, 5) x group by x % 2 order by 1
select x % 2 as odd, count(*) from generate_series(1, 5) x group by odd having count(*) > 2
select x from generate_series(1, 3) x group by y
select x, count(*) from generate_series(1, 3) x
select * from generate_series(1, 3) as g(n) order by n desc limit 2 offset 1
select * from generate_series(1, 10, 4)
select * from unnest(array['a', 'b']) with ordinality as t(v, i)
select unnest(array[1, 2]), unnest(array['a', 'b', 'c'])
select generate_series(1, 3) * 2 as x
select * from (values (1, 'a'), (2, 'b')) as v(n, t) where n > 1
values (1, 2), (3, 4)
select * from jsonb_each('{"a": 1, "b": [2]}')
select * from jsonb_array_elements('[1, {"a": 2}]')
select value ->> 'a' from jsonb_array_elements('[{"a": "x"}, {"a": "y"}]')
select jsonb_object_keys('{"a": 1, "b": 2}')
select 1 union select 1 union all select 2 order by 1
select 1 union all select 2 intersect select 2
select 1, 'a' union select null, 'b' order by 2
select 1 union select 'x'
with t as (select 1 as a), u(b) as (select a + 1 from t) select * from t, u
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n) from t
select (select 1), exists (select 1 where false), array(select x from generate_series(1, 3) x), 2 in (select x from generate_series(1, 3) x), 5 > all (select x from generate_series(1, 3) x)
select (select x from generate_series(1, 2) x)
select a.x, b.y from generate_series(1, 2) a(x) join generate_series(2, 3) b(y) on a.x = b.y
select a.x, b.y from generate_series(1, 2) a(x) left join generate_series(2, 3) b(y) on a.x = b.y order by 1
select a.x, b.y from generate_series(1, 2) a(x) right join generate_series(2, 3) b(y) on a.x = b.y order by 2
select * from generate_series(1, 2) a(x) full join generate_series(2, 3) b(x) using (x) order by 1
select * from (select 1 as id, 'a' as l) a join (select 1 as id, 'b' as r) b using (id)
select * from generate_series(1, 2) x, lateral (select x * 10 as y) l
select * from generate_series(1, 2) x cross join generate_series(1, x) y
select distinct x % 2 from generate_series(1, 4) x order by 1
select distinct on (x % 2) x % 2, x from generate_series(1, 4) x order by x % 2, x desc
select x as a from generate_series(1, 3) x order by -x
select t from (select 1 as a, 'x' as b) t
select row(1, 'a'), (row(1, 2)) = (row(1, 2)), (1, 2) < (1, 3)
select to_jsonb(t) from (select 1 as a, 'x' as b) t
select pg_typeof(1), pg_typeof('x'), pg_typeof(1.5), pg_typeof(now()), pg_typeof('{}'::jsonb), pg_typeof(array[1])
select 'int4'::regtype, 'int4'::regtype::oid, 25::regtype, to_regtype('jsonb'), format_type(20, null), 'pg_class'::regclass
select current_schema(), current_database() = current_catalog, current_user = session_user, now() = transaction_timestamp()
select 1 as "A b", 2 a_b, count(*), 'x' as from_
select E'a\nb', E'\x41\u00e9', $$it's$$, $t$a$$b$t$, 'it''s', U&'x'
select 1 -- comment
select /* a /* nested */ comment */ 2
select $1::int + 1
select nope
select nope.x from generate_series(1, 2) x
select x.nope from generate_series(1, 2) x
select * from nope
select * from pgmq.nope
select * from pgmq.q_missing
select nope(1)
select pgmq.nope('x')
select pgmq.send(1, 2, 3, 4, 5)
select 1 + 'a'
select 1 + true
select '1' + 1
select 1 = 'x'
select true = 1
select 'a' = 1::text
select 1 where 1
select case when true then 1 else 'x' end
select coalesce(1, 'x')
select array[1, 'x']
select count(*) from generate_series(1, 2) x where count(*) > 1
select 1 from generate_series(1, 2) x where generate_series(1, 2) > 1
select sum('a'::text)
select 1 limit -1
select 1 offset -1
select 1 limit 'x'
select * from generate_series(1, 2) a, generate_series(1, 2) a
select x from generate_series(1, 2) x, generate_series(1, 2) y(x)
select *
select 1 order by 2
select 1 group by 2
selec 1
select from where
select (1
select 1)
select 'abc
select "abc
select 1 as
select * from
select * from generate_series(1, 2) limit
select 1::nope
select null::int, null::text, null
select (null::pgmq.message_record).msg_id
select '(1,2,"2024-01-01 00:00:00+00",,"2024-01-01 00:00:00+00","{""a"": 1}",)'::pgmq.message_record
select ('(1,2,"2024-01-01 00:00:00+00",,"2024-01-01 00:00:00+00","{""a"": 1}",)'::pgmq.message_record).message
select * from pgmq.meta where false
select pgmq.validate_routing_key(1)
select pgmq.create()
select pgmq.read('x')
select pgmq.read(queue_name => 'x', nope => 1)
select pgmq.read(queue_name => 'x', 30, 1)
select 1e3, 1e-3, .5, 5., 1_000
select 0x1F
select -9223372036854775808, - 2147483648
select 10 % 3, -10 % 3, 10 / -3
select 'a' 'b'
select 1 is null and 2 is not null or false
select not true = false
select 2 + 3 in (5), 1 < 2 = true
select '2024-01-01'::timestamptz between '2023-01-01' and '2025-01-01'
select bool 'yes', 'off'::boolean, 'maybe'::bool
select '{1,NULL,3}'::int[], '{"a b",c}'::text[]
select 8 = any('{1,8}'), 'x' = any(null::text[])
select sum(n) from (values (1), (2), (null)) v(n)
select max(t), min(t) from (values ('b'), ('a')) v(t)
select jsonb_object_agg(k, v) from (values ('a', 1), ('b', 2)) t(k, v)
select x, y from (select 1 as x) a natural join (select 1 as x, 2 as y) b
select a.* from (select 1 as x, 2 as y) a
select interval '1 year 2 months 3 days 04:05:06.789', interval '-1 day', interval '1.5 days', interval 'P1Y2M3DT4H5M6S', interval '90 minutes'
select current_setting('nope.nope', true), current_setting('nope.nope')
select '1'::jsonb::int, 'true'::jsonb::bool, '"x"'::jsonb::int
select 1::int2 = 1::int8, 1::oid = 1, 'r'::"char" = 'r'
select txid_current() is not null, pg_backend_pid() > 0
