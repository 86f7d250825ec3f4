-- Every object, column and setting of the extension has a description. (From PostgreSQL 17 on, the types that it creates for tables,
-- views and arrays are members of the extension, too; they need none.)
SELECT pg_describe_object(classid, objid, 0) AS without_comment
FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed')
  AND coalesce(obj_description(objid, classid::regclass::name), '') = ''
  AND NOT (classid = 'pg_type'::regclass AND objid IN (SELECT oid FROM pg_type WHERE typrelid <> 0 OR typcategory = 'A'))
ORDER BY 1;
SELECT attrelid::regclass AS of, attname AS without_comment
FROM pg_depend JOIN pg_attribute ON attrelid = objid AND attnum > 0 AND NOT attisdropped
WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed')
  AND coalesce(col_description(attrelid, attnum), '') = ''
ORDER BY attrelid::regclass::text, attnum;
LOAD 'coopembed';
SELECT name AS without_description FROM pg_settings
WHERE name LIKE 'coopembed.%' AND (coalesce(short_desc, '') = '' OR coalesce(extra_desc, '') = '');
-- The queries above did look at objects and settings.
SELECT count(*) > 100 AS objects FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed');
SELECT count(*) > 10 AS settings FROM pg_settings WHERE name LIKE 'coopembed.%';

-- coop_version() returns the version of the library, and warns if the SQL objects have another.
SELECT coop_version() = extversion AS agree FROM pg_extension WHERE extname = 'coopembed';
BEGIN;
UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'coopembed';
\set VERBOSITY terse
SET LOCAL client_min_messages = warning;
SELECT coop_version() <> '0.0.1' AS library;
ROLLBACK;
