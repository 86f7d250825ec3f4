-- Who may change the catalogue. These functions act as the owner of its tables, so the right to call one is all that
-- an administrator need grant: GRANT EXECUTE ON FUNCTION coop_drop_model(text) TO catalog_team.

REVOKE ALL ON FUNCTION coop_load_model(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION coop_load_model(text, text, bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION coop_drop_model(text) FROM PUBLIC;

-- The function itself makes sure, too, that its caller is one of them: it reads the server's files.
GRANT EXECUTE ON FUNCTION coop_load_model(text, text) TO pg_read_server_files;
