-- Makes a view `calls`: a call of every function, procedure, aggregate, operator, cast, view and table of the extension that the catalogue
-- lists, also of new ones, or null where the tables below have no arguments for it. Each call names everything by schema, so that it means the
-- same in any session. They read schema shop, which tests/security/hostile_neighbour.sh makes. Variables: ext, the extension's schema; model, the directory of a model.
CREATE TEMP TABLE samples (name text, type text, value text);
-- Values by a parameter's name and type, or by its type alone.
INSERT INTO samples VALUES
    ('', 'coopvec', '(SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1)'),
    ('', 'coopquery', '(SELECT query FROM shop.query)'),
    ('', 'coopquery[]', 'ARRAY[(SELECT query FROM shop.query)]'),
    ('', 'cstring', NULL), ('', 'boolean', 'true'), ('', 'integer', '1'), ('', 'bigint', '1'), ('', 'double precision', '2'),
    ('', 'integer[]', 'CAST(shop.numbers() AS pg_catalog.int4[])'), ('', 'smallint[]', 'CAST(shop.numbers() AS pg_catalog.int2[])'),
    ('', 'bigint[]', 'CAST(shop.numbers() AS pg_catalog.int8[])'), ('', 'numeric[]', 'CAST(shop.numbers() AS pg_catalog.numeric[])'),
    ('', 'double precision[]', 'CAST(shop.numbers() AS pg_catalog.float8[])'), ('', 'text[]', '''{hue}'''), ('', 'real[]', 'shop.numbers()'),
    ('', 'oid[]', '''{}'''), ('', 'interval', '''1 s'''), ('', 'anyelement', 'CAST(NULL AS shop.products)'), ('', 'regtype', '''shop.products'''),
    ('', 'anycompatible', '60'), ('', 'box', '''(1,1),(9,9)'''), ('lo', 'oid', '(SELECT pg_catalog.min(m.oid) FROM pg_catalog.pg_largeobject_metadata m)'),
    ('box', 'text', 'NULL'), ('box_column', 'name', 'NULL'), ('procedure', 'text', 'NULL'), ('', 'ball', 'CAST(ROW((SELECT query FROM shop.query), 1) AS coopembed.ball)'), ('', 'coopembed.ball', 'CAST(ROW((SELECT query FROM shop.query), 1) AS coopembed.ball)'), ('from_id', 'anycompatible', '1'), ('state', 'double precision[]', '''{1,1,1}'''),
    ('rel', 'regclass', '''shop.products'''), ('tab', 'regclass', '''shop.products'''), ('part', 'regclass', '''shop.products'''),
    ('relation', 'regclass', '''shop.products'''), ('graph', 'regclass', '''shop.graph'''), ('index', 'regclass', '''shop.products_emb_idx'''),
    ('image', 'bytea', '(SELECT image FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1)'), ('image', 'text', '''image'''),
    ('weights', 'bytea', 'pg_catalog.pg_read_binary_file(''MODEL/model.safetensors'')'),
    ('config', 'text', 'pg_catalog.convert_from(pg_catalog.pg_read_binary_file(''MODEL/config.json''), ''UTF8'')'),
    ('id_column', 'name', '''id'''), ('emb_column', 'name', '''emb'''), ('image_column', 'name', '''image'''), ('label_column', 'name', '''category'''),
    ('name', 'name', '''emb'''), ('emb', 'text', '''emb'''), ('directory', 'text', '''MODEL'''), ('graph', 'text', '''shop.graph'''),
    ('attribute', 'text', '''hue'''), ('attributes', 'text[]', '''{hue}'''), ('value', 'text', '''green'''), ('category', 'text', '''tool'''),
    ('model', 'text', '''emoji'''), ('id', 'text', '''1'''), ('start', 'text', '''1'''), ('goal', 'text', '''60'''), ('filter', 'text', '''true'''),
    ('cond', 'text', '''true'''), ('target', 'text', '''b.emb'''), ('mode', 'text', '''SHARE'''), ('key', 'text[]', '''{id}'''), ('k', 'integer', '8'),
    ('fingerprint', 'bigint', '(SELECT coopembed.fingerprint(emb) FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1)'), ('position', 'bigint', '0'), ('batch', 'integer', '8'), ('threshold', 'double precision', '3'),
    ('phrase', 'text', '''crimson'''), ('description', 'text', '''green hue'''), ('neighbours', 'text[]', '''{2}'''), ('distances', 'double precision[]', '''{1}'''), ('name', 'text', '''tool'''),
    ('statement', 'text', '''SELECT id FROM shop.parts AS parts ORDER BY parts.emb OPERATOR(EXT.<->) $1 LIMIT 1''');
CREATE TEMP TABLE special (function text, arguments text);
-- The arguments of a function that needs others.
INSERT INTO special VALUES
    ('coop_blend(coopvec, coopvec, text[])', '(SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1), (SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 2), ''hue'''),
    ('coop_like(coopvec, text[])', '(SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1), ''hue'''),
    ('coopembed.open_search(text, coopquery, oid[])', '''SELECT id FROM shop.parts AS parts ORDER BY parts.emb OPERATOR(EXT.<->) $1 LIMIT 1'', (SELECT query FROM shop.query), ARRAY[''shop.away''::pg_catalog.regclass::pg_catalog.oid]'),
    ('coopembed.route(text, text[], double precision[], text, text)', 'id::pg_catalog.text, ''{2}'', ''{1}'', ''1'', ''2'''),
    ('coop_define_attribute_value(text, text, coopvec)', '''hue'', ''mine'', (SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1)'),
    ('coop_define_attribute_value(text, text, coopquery)', '''hue'', ''mine'', (SELECT query FROM shop.query)'),
    ('coop_define_category(text, coopvec)', '''mine'', (SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1)'),
    ('coop_define_category(text, coopquery)', '''mine'', (SELECT query FROM shop.query)'),
    ('coop_drop_attribute_value(text, text)', '''hue'', ''ours'''), ('coop_drop_attribute_value(text, text, text)', '''hue'', ''ours'', ''emoji'''),
    ('coop_drop_category(text)', '''ours'''), ('coop_drop_category(text, text)', '''ours'', ''emoji'''), ('coop_drop_model(text)', '''emoji'''),
    ('coop_set_default_model(text)', '''emoji'''),
    ('coop_load_model(text, text)', '''other'', ''MODEL'''), ('coop_load_model(text, text, bytea)', NULL),
    ('coopembed.stage_weights(integer, bytea)', '1, ''x'''), ('coopembed.load_staged(text, text, boolean)',
        '''other'', (SELECT m.config FROM coopembed.models m WHERE m.name OPERATOR(pg_catalog.=) ''emoji''), (SELECT pg_catalog.count(coopembed.stage_weights(w.part, w.bytes)) OPERATOR(pg_catalog.=) 0 FROM coopembed.model_weights w WHERE w.model OPERATOR(pg_catalog.=) ''emoji'')'),
    ('coopembed.model_part(text, integer)', '''emoji'', 1'), ('coopembed.embed_add(bigint, bigint, bigint)', '1, 0, 0'),
    ('coopvec(coopvec, integer, boolean)', '(SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1), 650, true'),
    ('coop_vector(double precision[], text)', 'shop.numbers(), ''emoji'''),
    ('coopembed.coop_vector(real[], text)', 'shop.numbers(), ''emoji'''),
    ('coop_attr_query(text, bigint)', '''skin_tone'', 5'), ('coop_attr_query(text, bigint, text)', '''skin_tone'', 5, ''emoji'''),
    ('coop_replace(coopvec, text, bigint)', '(SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1), ''skin_tone'', 5'),
    ('coop_drop_synonym(text)', '''ours'''), ('coop_drop_synonym(text, text)', '''ours'', ''emoji'''),
    ('coopembed.full_name(text)', '''shop.products'''), ('coopembed.search_unreachable(text, coopquery, regclass)',
        '''SELECT id FROM shop.parts AS parts ORDER BY parts.emb OPERATOR(EXT.<->) $1 LIMIT 0'', (SELECT query FROM shop.query), ''shop.parts'''),
    ('coopembed.knn_open(regclass, name, name, text, integer, text)', '''shop.products'', ''id'', ''emb'', ''shop.graph'', 8, NULL'),
    ('coop_build_knn(regclass, name, name, text, integer, text)', '''shop.products'', ''id'', ''emb'', ''shop.graph'', 8, NULL'),
    ('coopembed.knn_add_graph(regclass, regclass, name, name, integer, text)', '''shop.not_a_graph'', ''shop.products'', ''id'', ''emb'', 8, NULL'),
    ('coopembed.kept_graph(regclass, name, name, integer, text[])', '''shop.products'', ''id'', ''emb'', 8, NULL'),
    ('coopembed.walk(regclass, name, name, text, text, coopquery, text[], integer, regclass)', '''shop.products'', ''id'', ''emb'', ''1'', ''60'', NULL, NULL, 8, NULL'),
    ('coopembed.check_walk(regclass, name, name, integer, text[], regclass)', '''shop.products'', ''id'', ''emb'', 8, NULL, ''shop.graph'''),
    ('coop_transition(regclass, name, name, anycompatible, anycompatible, text, integer, regclass)', '''shop.products'', ''id'', ''emb'', 1, 60, NULL, 8, NULL'),
    ('coop_transition_to(regclass, name, name, anycompatible, coopquery, text, integer, regclass)', '''shop.products'', ''id'', ''emb'', 1, (SELECT query FROM shop.query), NULL, 20, NULL'),
    ('coopembed.check_plain(regclass)', '''shop.graph'''), ('coop_embed(bytea, text)', '(SELECT image FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1), ''emoji'''),
    ('coopembed.coop_search(anyelement, name, coopquery, integer, text, regclass, boolean)', 'CAST(NULL AS shop.parts), ''emb'', (SELECT query FROM shop.query), 5, ''true'', NULL, true'),
    ('coopembed.varied_statement(regtype, name, bigint, text, regclass, name, bigint, double precision)', '''shop.products'', ''emb'', 5, ''true'', ''shop.products'', ''category'', 20, 0.3'),
    ('coopembed.pairs_within(text, double precision, coopvec)', '''SELECT id::pg_catalog.text, emb FROM shop.products'', 0.3, NULL'),
    ('coopembed.diverse(coopvec[], double precision[], integer, double precision)', 'ARRAY[(SELECT emb FROM shop.products WHERE id OPERATOR(pg_catalog.=) 1)], ''{1}'', 1, 0.3'),
    ('coop_search(anyelement, name, coopquery, bigint, text, regclass, boolean, name, double precision)', 'CAST(NULL AS shop.products), ''emb'', (SELECT query FROM shop.query), 5, ''true'', NULL, false, ''category'', 0.3');
UPDATE samples SET value = replace(replace(value, 'EXT', quote_ident(:'ext')), 'MODEL', :'model');
UPDATE special SET arguments = replace(replace(arguments, 'EXT', quote_ident(:'ext')), 'MODEL', :'model');

CREATE TEMP TABLE members AS
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'coopembed';

-- One row for each: what it is, the call, and whether there are arguments for it.
CREATE TEMP VIEW calls AS
WITH functions AS (
    SELECT p.oid, p.prokind, format('%I.%I', n.nspname, p.proname) AS name, p.proargtypes::oid[] AS types, p.proargnames AS names,
        format('%s%s(%s)', CASE n.nspname WHEN 'coopembed' THEN 'coopembed.' ELSE '' END, p.proname, (
            SELECT string_agg(CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN format_type(t.oid, NULL)
                WHEN t.typelem <> 0 AND t.typlen = -1 THEN e.typname || '[]' ELSE t.typname::text END, ', ' ORDER BY a.place)
            FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a (type, place) JOIN pg_type t ON t.oid = a.type LEFT JOIN pg_type e ON e.oid = t.typelem)) AS signature
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE EXISTS (SELECT FROM members m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
), arguments AS (
    -- The values, or null if one is missing.
    SELECT f.*, (SELECT CASE WHEN bool_and(value IS NOT NULL) THEN string_agg(value, ', ' ORDER BY place) ELSE NULL END FROM (
            SELECT a.place, (SELECT COALESCE(s.value, 'NULL') FROM samples s WHERE s.type = split_part(format_type(a.type, NULL), '.', 1 + (format_type(a.type, NULL) ~ '[.]')::int)
                    AND s.name IN ('', COALESCE(f.names[a.place], '')) ORDER BY s.name DESC LIMIT 1) AS value
            FROM unnest(f.types) WITH ORDINALITY a (type, place)) v) AS found,
        (SELECT s.arguments FROM special s WHERE s.function = f.signature) AS special
    FROM functions f
)
SELECT signature AS what, format(CASE WHEN prokind = 'p' THEN 'CALL %s(%s)' WHEN prokind = 'a' THEN 'SELECT %s(%s) FROM shop.products'
        ELSE 'SELECT * FROM %s(%s)' END, name, COALESCE(special, found, CASE WHEN cardinality(types) = 0 THEN '' END)) AS call,
    cardinality(types) = 0 OR COALESCE(special, found) IS NOT NULL AS known
FROM arguments
-- Those that only PostgreSQL itself can call: with values of type internal, as triggers, for text.
WHERE NOT EXISTS (SELECT FROM unnest(types) t WHERE t IN ('internal'::regtype, 'cstring'::regtype, 'cstring[]'::regtype)) AND signature NOT IN ('coop_embed_trigger()', 'coopembed.knn_check_row()')
UNION ALL
SELECT oid::regoperator::text, format('SELECT %s OPERATOR(%I.%s) %s', l.value, (SELECT nspname FROM pg_namespace n WHERE n.oid = oprnamespace), oprname, r.value), true
FROM members m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
    JOIN samples l ON l.name = '' AND l.type = (SELECT replace(format_type(oprleft, NULL), quote_ident(:'ext') || '.', ''))
    JOIN samples r ON r.name = '' AND r.type = (SELECT replace(format_type(oprright, NULL), quote_ident(:'ext') || '.', ''))
UNION ALL
SELECT format('cast %s', c.oid), format('SELECT CAST(%s AS %s.%I)', s.value, quote_ident(t.typnamespace::regnamespace::text), t.typname), true
FROM members m JOIN pg_cast c ON m.classid = 'pg_cast'::regclass AND c.oid = m.objid JOIN pg_type t ON t.oid = c.casttarget
    JOIN samples s ON s.name = '' AND s.type = replace(format_type(c.castsource, NULL), quote_ident(:'ext') || '.', '')
UNION ALL
SELECT c.oid::regclass::text, format('SELECT pg_catalog.count(t.*) FROM %I.%I t', n.nspname, relname), true
FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE relkind IN ('r', 'v')
UNION ALL
SELECT 'coop_embed_trigger()', 'UPDATE shop.products SET image = image WHERE id OPERATOR(pg_catalog.=) 2', true
UNION ALL
SELECT 'coopembed.knn_check_row()', 'INSERT INTO coopembed.knn_graphs VALUES (''shop.not_a_graph'', ''shop.products'', ''id'', ''emb'', 8, NULL)', true;
