-- 0.2.0 to 0.3.0. Whatever is new or different in the other files of this folder stands here too, its comments and rights with it:
-- tests/upgrade.sh compares what `ALTER EXTENSION coopembed UPDATE` leaves with what CREATE EXTENSION makes, and fails if they differ.
\echo Use "ALTER EXTENSION coopembed UPDATE TO '0.3.0'" to load this file. \quit

-- Models in databases of every encoding.
COMMENT ON COLUMN coopembed.models.config IS 'config.json; a character that the encoding of the database lacks is escaped';
