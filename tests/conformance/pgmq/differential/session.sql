SHOW server_encoding

SHOW standard_conforming_strings

SHOW TIME ZONE

SET TIME ZONE 'UTC'

SET application_name = 'scene'

SHOW application_name

SET statement_timeout = 1500

SHOW statement_timeout

SET statement_timeout TO '1min'

SHOW statement_timeout

RESET statement_timeout

SHOW statement_timeout

SET no_such_setting = 1

SHOW no_such_setting

SET my.own = 'x'

SHOW my.own

SET LOCAL application_name = 'y'

BEGIN

SET LOCAL application_name = 'local'

SHOW application_name

COMMIT

SHOW application_name

SELECT current_setting('application_name')

SELECT set_config('application_name', 'set', false)

SHOW application_name

SET datestyle = 'ISO, DMY'

SHOW DateStyle

SET datestyle = 'nonsense'

SELECT current_schema()

SELECT pg_catalog.set_config('search_path', '', false)

PREPARE p AS SELECT 1 AS one

EXECUTE p

PREPARE p AS SELECT 2

PREPARE sum (int, int) AS SELECT $1 + $2 AS total

EXECUTE sum(2, 3)

EXECUTE sum(2)

DEALLOCATE p

EXECUTE p

DEALLOCATE nothing

DEALLOCATE ALL

DECLARE c CURSOR FOR SELECT 1

BEGIN

DECLARE c CURSOR FOR SELECT i FROM generate_series(1, 5) AS i

FETCH 2 FROM c

FETCH c

MOVE 1 FROM c

FETCH ALL FROM c

FETCH c

CLOSE c

CLOSE c

ROLLBACK

DISCARD ALL

BEGIN

DISCARD ALL

ROLLBACK

LISTEN scene

UNLISTEN *

-- @script
SELECT 1 AS a; SELECT 2 AS b

-- @script
;

SELECT

SELEC 1

SELECT 1 +

SELECT $1

-- @params ["7"]
SELECT $1::int + 1 AS eight

-- @params ["x"]
SELECT $1::int

-- @params [null]
SELECT $1::text IS NULL AS missing

-- @params ["1", "2"]
SELECT $1::int

-- @parse
SELECT $1

-- @parse
SELECT 1 AS one, 'x' AS text, NULL AS nothing, now() AS at, 1.5 AS n, true AS t

-- @parse
BEGIN

-- @parse
SHOW server_version_num

-- @parse
SELECT 1; SELECT 2

