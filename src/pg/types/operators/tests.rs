//! Distances, the algebra of queries, and equality of embeddings.

#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::{explain, failure, number, text};
    use pgrx::prelude::*;

    #[pg_test]
    fn distances_commute() {
        // By hand: sqrt((0.5 - 0)² + (1 - 0)² + 0 + (-2 - 1)²)
        let (a, b) = ("'2x2@0000002a:[0.5,1,0,-2]'::coopvec", "'2x2@0000002a:[0,0,0,1]'::coopvec");
        assert_eq!(number(&format!("SELECT {a} <-> {b}")), 10.25f64.sqrt());
        assert_eq!(number(&format!("SELECT {b} <-> {a}")), 10.25f64.sqrt());
        // sqrt(0.25 + 2 · ((0 - 0.5)² + (-2 - 1)²))
        let q = "'2x2@0000002a:{0.25;1:2*[0.5,1]}'::coopquery";
        assert_eq!(number(&format!("SELECT {a} <-> {q}")), 18.75f64.sqrt());
        assert_eq!(number(&format!("SELECT {q} <-> {a}")), 18.75f64.sqrt());
        assert_eq!(number(&format!("SELECT {a} <-> '2x2@0000002a:[0,0,0,1]'")), 10.25f64.sqrt());
    }

    #[pg_test]
    fn a_distance_to_null_is_null() {
        let e = "'1x1@00000000:[1]'::coopvec";
        for sql in [
            format!("{e} <-> NULL::coopvec"),
            format!("{e} <-> NULL::coopquery"),
            format!("NULL::coopquery <-> {e}"),
        ] {
            assert_eq!(Spi::get_one::<f64>(&format!("SELECT {sql}")), Ok(None), "{sql}");
        }
    }

    #[pg_test]
    fn values_of_two_models_never_meet_and_both_are_named() {
        let (a, b) = ("'1x1@00000001:[1]'::coopvec", "'1x1@00000002:[1]'::coopvec");
        let (p, q) = (format!("{a}::coopquery"), format!("{b}::coopquery"));
        for sql in
            [format!("{a} <-> {b}"), format!("{a} <-> {q}"), format!("{p} <-> {b}"), format!("{p} + {q}")]
        {
            let e = failure(&format!("SELECT {sql}"));
            assert_eq!(e.state, "22000", "{sql}");
            assert!(
                e.detail.contains("1x1@00000001") && e.detail.contains("1x1@00000002"),
                "{sql}: {}",
                e.detail
            );
        }
    }

    #[pg_test]
    fn any_number_scales_a_query_without_a_cast() {
        let q = "'1x1@00000000:{0;0:1*[1]}'::coopquery";
        for s in ["2", "2::int8", "2::int2", "2.0", "2::float4", "2::float8", "'2'"] {
            assert_eq!(text(&format!("SELECT ({s} * {q})::text")), "1x1@00000000:{0;0:2*[1]}", "{s}");
            assert_eq!(text(&format!("SELECT ({q} * {s})::text")), "1x1@00000000:{0;0:2*[1]}", "{s}");
        }
        assert_eq!(failure(&format!("SELECT -1 * {q}")).state, "22023");
    }

    #[pg_test]
    fn a_weighted_sum_merges_targets_into_their_mean() {
        // By hand: 1·‖0-e‖² + 3·‖1-e‖² = 4·‖0.75-e‖² + 3/4
        let sql = "SELECT ('1x1@00000000:{0;0:1*[0]}'::coopquery + 3 * '1x1@00000000:{0;0:1*[1]}'::coopquery)::text";
        assert_eq!(text(sql), "1x1@00000000:{0.75;0:4*[0.75]}");
    }

    #[pg_test]
    fn an_embedding_converts_to_a_query_and_to_numbers() {
        let e = "'2x2@0000002a:[0.5,1,0,-2]'::coopvec";
        assert_eq!(text(&format!("SELECT {e}::coopquery::text")), "2x2@0000002a:{0;0:1*[0.5,1];1:1*[0,-2]}");
        assert_eq!(Spi::get_one(&format!("SELECT {e}::real[]")), Ok(Some(vec![0.5f32, 1.0, 0.0, -2.0])));
    }

    fn images_of_two_models() {
        Spi::run(
            "CREATE TABLE images (id int, emb coopvec);
             INSERT INTO images VALUES (1, '1x2@00000000:[1,0]'), (2, '1x2@00000000:[0,1]'), (3, '1x2@00000000:[1,0]'),
                 (4, '1x2@00000000:[-0,1]'), (5, NULL), (6, NULL), (7, '1x2@00000001:[1,0]');
             ANALYZE images",
        )
        .unwrap();
    }

    /// Equal: same model, same bits. [0,1] and [-0,1] differ, and so do [1,0] of two models.
    #[pg_test]
    fn equal_embeddings_group_join_and_unite_by_hash() {
        images_of_two_models();
        let groups =
            "SELECT string_agg(n::text, ',' ORDER BY n) FROM (SELECT count(*) n FROM images GROUP BY emb) g";
        assert_eq!(text(groups), "1,1,1,2,2");
        let distinct = "SELECT count(*) FROM (SELECT DISTINCT emb FROM images) d";
        assert_eq!(Spi::get_one(distinct), Ok(Some(5i64)));
        let union = "SELECT count(*) FROM (SELECT emb FROM images UNION SELECT emb FROM images) u";
        assert_eq!(Spi::get_one(union), Ok(Some(5i64)));
        let except =
            "SELECT count(*) FROM (SELECT emb FROM images EXCEPT SELECT emb FROM images WHERE id <> 4) u";
        assert_eq!(Spi::get_one(except), Ok(Some(1i64)));
        Spi::run("SET LOCAL enable_nestloop = off").unwrap();
        let join = "SELECT count(*) FROM images a JOIN images b ON a.emb = b.emb WHERE a.id <> b.id";
        assert!(explain(join).contains("Hash Join"));
        assert_eq!(Spi::get_one(join), Ok(Some(2i64)));
        assert_eq!(
            Spi::get_one("SELECT count(*) FROM images WHERE emb <> '1x2@00000000:[1,0]'"),
            Ok(Some(3i64))
        );
        Spi::run("CREATE INDEX ON images USING hash (emb); SET LOCAL enable_seqscan = off").unwrap();
        let find = "SELECT count(*) FROM images WHERE emb = '1x2@00000000:[1,0]'";
        assert!(explain(find).contains("images_emb_idx"));
        assert_eq!(Spi::get_one(find), Ok(Some(2i64)));
    }

    #[pg_test]
    fn equality_ignores_how_a_value_is_stored() {
        // An out-of-line value against the same number in memory.
        Spi::run(
            "CREATE TABLE wide AS SELECT format('300x50@0000002a:[%s]', string_agg('1', ','))::coopvec AS emb
             FROM generate_series(1, 15000)",
        )
        .unwrap();
        let equal = "SELECT count(*) FROM wide WHERE emb = emb::text::coopvec
                     AND coopvec_hash(emb) = coopvec_hash(emb::text::coopvec)
                     AND coopvec_hash_extended(emb, 7) = coopvec_hash_extended(emb::text::coopvec, 7)";
        assert_eq!(Spi::get_one(equal), Ok(Some(1i64)));
    }

    #[pg_test]
    fn every_function_is_immutable_strict_and_parallel_safe() {
        let wrong = "SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p
            JOIN pg_operator o ON o.oprcode = p.oid
            WHERE (o.oprleft IN ('coopvec'::regtype, 'coopquery'::regtype)
                   OR o.oprright IN ('coopvec'::regtype, 'coopquery'::regtype))
            AND NOT (provolatile = 'i' AND proisstrict AND proparallel = 's')
            -- Which model an array's embedding is of depends on the catalogue.
            AND 'float8[]'::regtype NOT IN (o.oprleft, o.oprright)";
        assert_eq!(Spi::get_one::<String>(wrong), Ok(None));
    }
}
