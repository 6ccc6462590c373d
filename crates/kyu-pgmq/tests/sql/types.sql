-- Writes src/sql/catalog/types15.txt from a fresh Postgres 15: what pg_type says of each type, a line each:
--   oid name category preferred alignment storage input output receive send modin modout analyze subscript
-- where functions are name=oid, or - for none. Run it as relations.sql.
SELECT concat_ws(' ', t.oid, t.typname, t.typcategory, t.typispreferred, t.typalign, t.typstorage,
                 (SELECT string_agg(coalesce(p.proname || '=' || p.oid, '-'), ' ' ORDER BY f.n)
                  FROM unnest(ARRAY[typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typsubscript]::oid[])
                       WITH ORDINALITY AS f (oid, n)
                  LEFT JOIN pg_proc p ON p.oid = f.oid))
FROM pg_type t
WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typrelid = 0
  AND NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = t.typelem AND e.typrelid <> 0)
ORDER BY t.oid;
