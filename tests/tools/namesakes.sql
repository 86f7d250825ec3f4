-- Creates objects that could be called in place of PostgreSQL's own: operators and functions of the same names for other types or the very
-- same, views and types. Each raises "trapped" when it is used. Variables: schema, where they are created; functions, the names of functions,
-- separated by spaces.
SELECT set_config('namesakes.schema', :'schema', false), set_config('namesakes.functions', :'functions', false) \gset
DO $do$
DECLARE
    types text[] := '{int2,int4,int8,float4,float8,numeric,bool,text,varchar,name,bytea,oid,regclass,regtype,timestamptz,interval,jsonb}';
    few text[] := '{int4,int8,float8,numeric,text,name,regclass}';
    s text := quote_ident(current_setting('namesakes.schema'));
    body text := $$LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''trapped''; END'$$;
    l text; r text; o text;
BEGIN
    FOREACH l IN ARRAY types LOOP
        FOREACH r IN ARRAY types LOOP
            EXECUTE format('CREATE FUNCTION %s.trap_compare(pg_catalog.%I, pg_catalog.%I) RETURNS pg_catalog.bool %s', s, l, r, body);
            EXECUTE format('CREATE FUNCTION %s.trap_compute(pg_catalog.%I, pg_catalog.%I) RETURNS pg_catalog.%I %s', s, l, r,
                CASE WHEN l ~ '^(int|bool)' AND r !~ 'interval' THEN r ELSE l END, body);
            FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '||', '->', '->>', '~'] LOOP
                EXECUTE format('CREATE OPERATOR %s.%s (LEFTARG = pg_catalog.%I, RIGHTARG = pg_catalog.%I, FUNCTION = %s.%s)', s, o, l, r, s,
                    CASE WHEN o ~ '^[=<>~]' THEN 'trap_compare' ELSE 'trap_compute' END);
            END LOOP;
        END LOOP;
    END LOOP;
    FOREACH o IN ARRAY string_to_array(current_setting('namesakes.functions'), ' ') LOOP
        FOREACH l IN ARRAY types LOOP
            EXECUTE format('CREATE FUNCTION %s.%I(pg_catalog.%I) RETURNS pg_catalog.%3$I %s', s, o, l, body);
        END LOOP;
        FOREACH l IN ARRAY few LOOP
            FOREACH r IN ARRAY few LOOP
                EXECUTE format('CREATE FUNCTION %s.%I(pg_catalog.%I, pg_catalog.%I) RETURNS pg_catalog.%3$I %5$s', s, o, l, r, body);
            END LOOP;
        END LOOP;
    END LOOP;
    -- Last, because from here on these names may mean the new objects.
    FOREACH o IN ARRAY '{pg_class,pg_attribute,pg_type,pg_inherits,pg_index,pg_namespace,pg_roles,pg_stat_activity}'::text[] LOOP
        EXECUTE format('CREATE VIEW %s.%I AS SELECT %1$s.trap_compute(1::pg_catalog.int4, 1::pg_catalog.int4) AS oid', s, o);
    END LOOP;
    FOREACH o IN ARRAY types || '{record,coopvec,coopquery}'::text[] LOOP
        EXECUTE format('CREATE DOMAIN %s.%I AS pg_catalog.text CHECK (%1$s.trap_compare(1::pg_catalog.int4, 1::pg_catalog.int4))', s, o);
    END LOOP;
END $do$;
