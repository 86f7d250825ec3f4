-- Describes all objects of an extension, one line per fact and without OIDs, so that two databases with the same extension give the same
-- lines. Variable: extension, its name.
SET search_path TO pg_catalog;
CREATE TEMP VIEW members AS
    SELECT e.extname, d.classid, d.objid, i.type, i.identity FROM pg_depend d
    JOIN pg_extension e ON e.oid = d.refobjid
    CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) i
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';

WITH mine AS MATERIALIZED (SELECT * FROM pg_temp.members WHERE extname = :'extension'),
facts (type, identity, fact) AS (
    SELECT type, identity, 'member' FROM mine
    UNION ALL SELECT type, identity, concat_ws(' ', 'comment', a.attname, quote_literal(c.description)) FROM mine
        JOIN pg_description c ON (c.classoid, c.objoid) = (classid, objid)
        LEFT JOIN pg_attribute a ON classid = 'pg_class'::regclass AND (a.attrelid, a.attnum) = (objid, c.objsubid) AND c.objsubid <> 0
    -- Rights, and those that a dump takes as given.
    UNION ALL SELECT type, identity, format('rights %s', ARRAY(SELECT acl::text FROM unnest(coalesce(
            (SELECT proacl FROM pg_proc WHERE classid = 'pg_proc'::regclass AND oid = objid),
            (SELECT relacl FROM pg_class WHERE classid = 'pg_class'::regclass AND oid = objid),
            (SELECT nspacl FROM pg_namespace WHERE classid = 'pg_namespace'::regclass AND oid = objid),
            (SELECT typacl FROM pg_type WHERE classid = 'pg_type'::regclass AND oid = objid))) acl ORDER BY 1)) FROM mine
    UNION ALL SELECT type, identity, format('initial rights %s %s', p.objsubid, ARRAY(SELECT acl::text FROM unnest(p.initprivs) acl ORDER BY 1))
        FROM mine JOIN pg_init_privs p ON (p.classoid, p.objoid) = (classid, objid)
    UNION ALL SELECT type, identity, format('owner %s', o.rolname) FROM mine JOIN pg_roles o ON o.oid = coalesce(
            (SELECT proowner FROM pg_proc WHERE classid = 'pg_proc'::regclass AND oid = objid),
            (SELECT relowner FROM pg_class WHERE classid = 'pg_class'::regclass AND oid = objid),
            (SELECT oprowner FROM pg_operator WHERE classid = 'pg_operator'::regclass AND oid = objid),
            (SELECT typowner FROM pg_type WHERE classid = 'pg_type'::regclass AND oid = objid))
    UNION ALL SELECT type, identity, fact FROM mine JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid
        CROSS JOIN LATERAL unnest(ARRAY[
            CASE WHEN prokind <> 'a' THEN 'definition ' || pg_get_functiondef(objid) END,
            format('result %s', pg_get_function_result(objid)), format('arguments %s', pg_get_function_arguments(objid)),
            format('calls %s %s', prosrc, probin), format('kind %s volatile %s strict %s parallel %s set %s security %s leakproof %s',
                prokind, provolatile, proisstrict, proparallel, proretset, prosecdef, proleakproof),
            format('cost %s rows %s support %s config %s', procost, prorows, prosupport, proconfig)]) fact WHERE fact IS NOT NULL
    UNION ALL SELECT type, identity, format('aggregate %s', (to_jsonb(a) - '{aggtranstype,aggmtranstype,aggsortop}'::text[])
                || jsonb_build_object('state', aggtranstype::regtype, 'moving', aggmtranstype::regtype))
        FROM mine JOIN pg_aggregate a ON classid = 'pg_proc'::regclass AND a.aggfnoid = objid
    UNION ALL SELECT type, identity, format('%s com %s neg %s rest %s join %s hash %s merge %s', oprcode, nullif(oprcom, 0)::regoperator,
            nullif(oprnegate, 0)::regoperator, oprrest, oprjoin, oprcanhash, oprcanmerge)
        FROM mine JOIN pg_operator o ON classid = 'pg_operator'::regclass AND o.oid = objid
    UNION ALL SELECT type, identity, format('%s default %s key %s family %s', opcintype::regtype, opcdefault, opckeytype::regtype, opfname)
        FROM mine JOIN pg_opclass c ON classid = 'pg_opclass'::regclass AND c.oid = objid JOIN pg_opfamily f ON f.oid = c.opcfamily
    UNION ALL SELECT type, identity, format('operator %s is %s %s by %s', amopstrategy, amopopr::regoperator, amoppurpose, s.opfname)
        FROM mine JOIN pg_amop ON classid = 'pg_opfamily'::regclass AND amopfamily = objid LEFT JOIN pg_opfamily s ON s.oid = amopsortfamily
    UNION ALL SELECT type, identity, format('function %s (%s, %s) is %s', amprocnum, amproclefttype::regtype, amprocrighttype::regtype, amproc)
        FROM mine JOIN pg_amproc ON classid = 'pg_opfamily'::regclass AND amprocfamily = objid
    UNION ALL SELECT type, identity, format('%s %s %s', castcontext, castmethod, nullif(castfunc, 0)::regprocedure)
        FROM mine JOIN pg_cast c ON classid = 'pg_cast'::regclass AND c.oid = objid
    UNION ALL SELECT type, identity, format('%s %s', amhandler, amtype) FROM mine JOIN pg_am a ON classid = 'pg_am'::regclass AND a.oid = objid
    UNION ALL SELECT type, identity, (to_jsonb(t) - '{oid,typnamespace,typowner,typrelid,typarray,typelem,typbasetype,typacl}'::text[])::text
        FROM mine JOIN pg_type t ON classid = 'pg_type'::regclass AND t.oid = objid
    UNION ALL SELECT type, identity, format('kind %s persistence %s method %s security %s forced %s options %s dumped %L', relkind,
            relpersistence, relam, relrowsecurity, relforcerowsecurity, reloptions,
            (SELECT extcondition[array_position(extconfig, objid)] FROM pg_extension WHERE extname = :'extension' AND objid = ANY (extconfig)))
        FROM mine JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid
    UNION ALL SELECT type, identity, format('column %s %s %s null %s default %s generated %s identity %s storage %s collation %s rights %s', attnum,
            attname, format_type(atttypid, atttypmod), NOT attnotnull, pg_get_expr(adbin, adrelid), attgenerated, attidentity,
            attstorage, nullif(attcollation, 0)::regcollation, attacl)
        FROM mine JOIN pg_attribute a ON classid = 'pg_class'::regclass AND a.attrelid = objid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
    UNION ALL SELECT type, identity, format('constraint %s %s', conname, pg_get_constraintdef(c.oid))
        FROM mine JOIN pg_constraint c ON classid = 'pg_class'::regclass AND conrelid = objid
    UNION ALL SELECT type, identity, pg_get_indexdef(indexrelid) FROM mine JOIN pg_index ON classid = 'pg_class'::regclass AND indrelid = objid
    UNION ALL SELECT type, identity, pg_get_triggerdef(t.oid)
        FROM mine JOIN pg_trigger t ON classid = 'pg_class'::regclass AND tgrelid = objid AND NOT tgisinternal
    UNION ALL SELECT type, identity, format('policy %s %s %s %s using %s check %s', polname, polcmd, polpermissive, polroles::regrole[],
            pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
        FROM mine JOIN pg_policy ON classid = 'pg_class'::regclass AND polrelid = objid
    UNION ALL SELECT type, identity, 'view ' || pg_get_viewdef(objid) FROM mine
        JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid AND relkind IN ('v', 'm')
    UNION ALL SELECT 'extension', extname, format('version %s schema %s relocatable %s', extversion, extnamespace::regnamespace, extrelocatable)
        FROM pg_extension WHERE extname = :'extension'
)
SELECT type, identity, fact FROM facts ORDER BY type COLLATE "C", identity COLLATE "C", fact COLLATE "C";
