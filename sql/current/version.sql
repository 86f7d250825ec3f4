-- The version of the library; src/pg/functions/version.rs implements it.

-- Not IMMUTABLE, because another library may be installed at any time.
CREATE FUNCTION coop_version() RETURNS text
    AS 'MODULE_PATHNAME', 'coop_version_wrapper' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION coop_version() IS
    'version of the library that this session runs; a WARNING if the SQL objects of this database (pg_extension.extversion) have another version: then run ALTER EXTENSION coopembed UPDATE, or reconnect';
