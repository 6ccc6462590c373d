-- Writes src/sql/catalog/postgres15.txt from a fresh Postgres 15: every relation of its catalogues, a line each:
--   schema name kind oid column:type ...
-- psql -X -At -h 127.0.0.1 -p PORT -U postgres postgres -f relations.sql > ../../src/sql/catalog/postgres15.txt
SELECT format('%s %s %s %s %s', n.nspname, c.relname, c.relkind, c.oid,
              string_agg(a.attname || ':' || CASE
                  WHEN t.oid = 'oid'::regtype THEN 'o'
                  WHEN t.oid = 'name'::regtype OR t.typname = 'sql_identifier' THEN 'n'
                  WHEN t.oid = 'bool'::regtype THEN 'b'
                  WHEN t.oid = '"char"'::regtype THEN 'c'
                  WHEN t.oid = 'int2'::regtype THEN 's'
                  WHEN t.oid = 'int4'::regtype OR t.typname = 'cardinal_number' THEN 'i'
                  WHEN t.oid = 'int8'::regtype THEN 'l'
                  WHEN t.oid IN ('float4'::regtype, 'float8'::regtype) THEN 'f'
                  WHEN t.oid = 'numeric'::regtype THEN 'm'
                  WHEN t.oid = 'bytea'::regtype THEN 'y'
                  WHEN t.oid = 'interval'::regtype THEN 'I'
                  WHEN t.oid = 'timestamptz'::regtype OR t.typname = 'time_stamp' THEN 'z'
                  WHEN t.oid = 'regproc'::regtype THEN 'r'
                  WHEN t.oid = 'regtype'::regtype THEN 'e'
                  WHEN t.typname IN ('character_data', 'yes_or_no') THEN 'w'
                  WHEN t.oid IN ('oid[]'::regtype, 'regtype[]'::regtype) THEN 'O'
                  WHEN t.oid = 'int2[]'::regtype THEN 'S'
                  WHEN t.oid = 'bool[]'::regtype THEN 'B'
                  WHEN t.oid = '"char"[]'::regtype THEN 'C'
                  WHEN t.oid = 'name[]'::regtype THEN 'N'
                  WHEN t.oid IN ('float4[]'::regtype, 'float8[]'::regtype) THEN 'F'
                  WHEN t.oid = 'oidvector'::regtype THEN 'v'
                  WHEN t.oid = 'int2vector'::regtype THEN 'V'
                  WHEN t.typcategory = 'A' OR t.oid = 'anyarray'::regtype THEN 'T'
                  ELSE 't' END, ' ' ORDER BY a.attnum))
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('pg_catalog', 'information_schema')
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'v')
GROUP BY n.nspname, c.relname, c.relkind, c.oid
ORDER BY n.nspname DESC, c.relname;
