-- Not IMMUTABLE: another library may be installed at any time.
CREATE FUNCTION coop_version() RETURNS text
    AS 'MODULE_PATHNAME', 'coop_version_wrapper' LANGUAGE C STABLE PARALLEL RESTRICTED;
