-- The planner support function of everything whose result is the same for all rows of a statement; src/pg/planner/initplan.rs
-- implements it. Functions name it as their SUPPORT function.

CREATE FUNCTION coop_fold_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'coop_fold_support' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coop_fold_support(internal) IS
    'planner support: a call whose arguments are the same for all rows is evaluated once per statement';
