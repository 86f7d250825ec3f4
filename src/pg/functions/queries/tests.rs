//! Queries by name and by example, and the errors for wrong names.

#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::model::{failure, text, Garments};
    use crate::space::Embedding;
    use pgrx::prelude::*;

    /// An embedding of the model, as an SQL literal.
    fn embedding(garments: &Garments) -> String {
        let numbers: Vec<f32> = (0..12).map(|i| i as f32 / 16.0).collect();
        format!("'{}'::coopvec", Embedding::from_f32(garments.layout(), &numbers).unwrap().as_ref())
    }

    #[pg_test]
    fn queries_are_those_of_the_model() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        for (attribute, value) in [("neckline", "v-neck"), ("neckline", "crew"), ("prints", "floral")] {
            let expected = garments.attribute_query(attribute, value);
            assert_eq!(
                text(&format!("SELECT coop_attr_query('{attribute}', '{value}')::text")),
                Some(expected)
            );
        }
        let expected = garments.category_query("blouse");
        assert_eq!(text("SELECT coop_category_query('blouse')::text"), Some(expected));
    }

    #[pg_test]
    fn an_unknown_name_lists_the_nearest() {
        Garments::new("summer").load_as("garments");
        assert_eq!(
            failure("SELECT coop_attr_query('nekline', 'v-neck')"),
            "attribute \"nekline\" does not exist\nThe model is \"garments\".\n\
             Known: \"neckline\", \"prints\", \"sleeves\"."
        );
        assert_eq!(
            failure("SELECT coop_attr_query('neckline', 'vneck')"),
            "value \"vneck\" does not exist\nThe attribute is \"neckline\" of model \"garments\".\n\
             Known: \"v-neck\", \"crew\", \"boat\"."
        );
        assert!(failure("SELECT coop_category_query('blous')")
            .ends_with("Known: \"blouse\", \"coat\", \"dress\"."));
        for call in [
            "coop_attr_query('neckline', 'v-neck', 'garmets')",
            "coop_category_query('blouse', 'garmets')",
            "coop_vector('{1}', 'garmets')",
            "coop_attributes('garmets')",
            "coop_attribute_values('neckline', 'garmets')",
            "coop_categories('garmets')",
        ] {
            assert_eq!(
                failure(&format!("SELECT {call}")),
                "model \"garmets\" does not exist\nKnown: \"garments\".",
                "{call}"
            );
        }
        assert!(failure("SELECT coop_attribute_values('nekline')")
            .starts_with("attribute \"nekline\" does not exist"));
    }

    #[pg_test]
    fn a_value_that_no_training_image_shows_has_no_query() {
        Garments::new("summer").load_as("garments");
        assert_eq!(
            failure("SELECT coop_attr_query('neckline', 'boat')"),
            "value \"boat\" of attribute \"neckline\" has no query\nNo training image of model \"garments\" shows it.\n\
             These have one: \"crew\", \"v-neck\"."
        );
        assert_eq!(
            failure("SELECT coop_category_query('coat')"),
            "category \"coat\" has no query\nNo training image of model \"garments\" shows it.\n\
             These have one: \"blouse\", \"dress\"."
        );
    }

    #[pg_test]
    fn the_default_is_the_setting_or_the_first_model_that_was_loaded() {
        let (summer, winter) = (Garments::new("summer"), Garments::new("winter"));
        let asked = "SELECT coop_attr_query('neckline', 'v-neck')::text";
        assert_eq!(failure(asked), "no model is loaded\nLoad one with coop_load_model(name, directory).");
        summer.load_as("summer");
        assert_eq!(text(asked), Some(summer.attribute_query("neckline", "v-neck")));
        winter.load_as("winter");
        assert_eq!(text(asked), Some(summer.attribute_query("neckline", "v-neck")));
        Spi::run("SELECT coop_set_default_model('winter')").unwrap();
        assert_eq!(text(asked), Some(winter.attribute_query("neckline", "v-neck")));
        Spi::run("DELETE FROM coopembed.default_model").unwrap();
        assert_eq!(
            failure(asked),
            "several models are loaded and none is the default\nLoaded: \"summer\", \"winter\".\n\
             Name the model in the call, or choose a default: SELECT coop_set_default_model('...')."
        );
        for (name, model) in [("summer", &summer), ("winter", &winter)] {
            let expected = Some(model.attribute_query("neckline", "v-neck"));
            let named = format!("SELECT coop_attr_query('neckline', 'v-neck', '{name}')::text");
            assert_eq!(text(&named), expected);
            Spi::run(&format!("SET coopembed.model = '{name}'")).unwrap();
            assert_eq!(text(asked), expected);
            let default = text("SELECT string_agg(name, ' ') FROM coop_models() WHERE is_default");
            assert_eq!(default.as_deref(), Some(name));
        }
        Spi::run("SET coopembed.model = 'sumer'").unwrap();
        assert_eq!(
            failure(asked),
            "model \"sumer\" does not exist\nIt is the setting coopembed.model.\nKnown: \"summer\", \"winter\"."
        );
    }

    #[pg_test]
    fn null_gives_null() {
        Garments::new("summer").load_as("garments");
        for call in [
            "coop_attr_query(NULL, 'v-neck')",
            "coop_attr_query('neckline', NULL)",
            "coop_attr_query('neckline', 'v-neck', NULL)",
            "coop_category_query(NULL)",
            "coop_category_query('blouse', NULL)",
            "coop_like(NULL, 'neckline')",
            "coop_like(NULL)",
            "coop_vector(NULL)",
            "coop_vector('{1}', NULL)",
            "coop_load_model(NULL, '/tmp')",
            "coop_load_model('m', NULL)",
        ] {
            assert_eq!(text(&format!("SELECT {call}::text")), None, "{call}");
        }
        for call in ["coop_attributes(NULL)", "coop_attribute_values(NULL)", "coop_categories(NULL)"] {
            let count = Spi::get_one::<i64>(&format!("SELECT count(*) FROM {call}"));
            assert_eq!(count, Ok(Some(0)), "{call}");
        }
    }

    #[pg_test]
    fn coop_like_takes_the_named_subspaces() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        let like = |arguments: &str| text(&format!("SELECT coop_like({arguments})::text")).unwrap();
        let e = embedding(&garments);
        let layout = garments.layout();
        assert_eq!(
            like(&format!("{e}, 'sleeves'")),
            format!("{layout}:{{0;1:1*[0.25,0.3125,0.375,0.4375]}}")
        );
        let both = format!("{layout}:{{0;0:1*[0,0.0625,0.125,0.1875];2:1*[0.5,0.5625,0.625,0.6875]}}");
        assert_eq!(like(&format!("{e}, 'prints', 'neckline'")), both);
        assert_eq!(like(&format!("{e}, VARIADIC ARRAY['neckline', 'prints', 'prints']")), both);
        let all = format!(
            "{layout}:{{0;0:1*[0,0.0625,0.125,0.1875];1:1*[0.25,0.3125,0.375,0.4375];2:1*[0.5,0.5625,0.625,0.6875]}}"
        );
        assert_eq!(like(&e), all);
    }

    #[pg_test]
    fn coop_like_needs_the_model_that_made_the_embedding() {
        let (summer, winter) = (Garments::new("summer"), Garments::new("winter"));
        summer.load_as("any name will do");
        winter.load_as("winter");
        let e = embedding(&summer);
        let like = |arguments: &str| failure(&format!("SELECT coop_like({e}, {arguments})"));
        assert_eq!(
            like("'print'"),
            "attribute \"print\" does not exist\nThe model is \"any name will do\".\n\
             Known: \"prints\", \"neckline\", \"sleeves\"."
        );
        assert_eq!(like("NULL"), "an attribute's name must not be null");
        assert!(like("VARIADIC '{}'")
            .starts_with("no attribute is named\ncoop_like(embedding) without attributes"));
        Spi::run("SELECT coop_set_default_model('winter')").unwrap();
        Spi::run("SELECT coop_drop_model('any name will do')").unwrap();
        assert_eq!(
            like("'prints'"),
            format!(
                "the embedding's model {} is not loaded\nLoaded: \"winter\".\n\
                 Load that model again with coop_load_model(); its name does not matter, its fingerprint does.",
                summer.layout()
            )
        );
    }

    #[pg_test]
    fn coop_vector_does_not_normalise() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        let numbers = "ARRAY[0,1,2,3,4,5,6,7,8,9,10,11.5]::real[]";
        let expected = Some(format!("{}:[0,1,2,3,4,5,6,7,8,9,10,11.5]", garments.layout()));
        assert_eq!(text(&format!("SELECT ({numbers}::coopvec)::text")), expected);
        assert_eq!(text(&format!("SELECT coop_vector({numbers}, 'garments')::text")), expected);
        for (numbers, error) in [
            ("'{1,2}'::real[]", "expected 12 numbers, not 2"),
            ("'{}'::real[]", "expected 12 numbers, not 0"),
            ("array_fill('NaN'::real, '{12}')", "numbers must be finite"),
            ("array_fill(1e6::real, '{12}')", "numbers must be finite"),
            ("array_fill(NULL::real, '{12}')", "numbers of an embedding must not be null"),
        ] {
            let found = failure(&format!("SELECT coop_vector({numbers})"));
            assert!(found.starts_with(error), "{numbers}: {found}");
        }
    }

    #[pg_test]
    fn the_vocabulary_is_listed_in_order() {
        Garments::new("summer").load_as("garments");
        let listed = |of: &str| text(&format!("SELECT string_agg(l::text, ' ') FROM {of} l")).unwrap();
        let attributes = "(1,neckline,f,3) (2,sleeves,t,3) (3,prints,f,2)";
        assert_eq!(listed("coop_attributes()"), attributes);
        assert_eq!(listed("coop_attributes('garments')"), attributes);
        let values = "(1,crew,5,t,f) (2,v-neck,3,t,f) (3,boat,0,f,f)";
        assert_eq!(listed("coop_attribute_values('neckline')"), values);
        assert_eq!(listed("coop_attribute_values('neckline', 'garments')"), values);
        let categories = "(1,blouse,4,t,f) (2,dress,4,t,f) (3,coat,0,f,f)";
        assert_eq!(listed("coop_categories()"), categories);
        assert_eq!(listed("coop_categories('garments')"), categories);
    }

    #[pg_test]
    fn a_user_needs_no_privileges_on_the_tables() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        Spi::run(
            "CREATE ROLE plain;
             REVOKE ALL ON SCHEMA coopembed FROM PUBLIC;
             REVOKE ALL ON ALL TABLES IN SCHEMA coopembed FROM PUBLIC;
             SET ROLE plain",
        )
        .unwrap();
        assert_eq!(
            text("SELECT coop_attr_query('neckline', 'v-neck')::text"),
            Some(garments.attribute_query("neckline", "v-neck"))
        );
        assert_eq!(text("SELECT name FROM coop_models()").as_deref(), Some("garments"));
        assert_eq!(text("SELECT current_user::text").as_deref(), Some("plain"));
    }

    #[pg_test]
    fn a_failed_lookup_leaves_the_user_as_it_was() {
        Garments::new("summer").load_as("garments");
        Spi::run("CREATE ROLE plain; SET ROLE plain").unwrap();
        failure("SELECT coop_attr_query('neckline', 'vneck')");
        failure("SELECT coop_attr_query('neckline', 'v-neck', 'nothing')");
        assert_eq!(text("SELECT current_user::text").as_deref(), Some("plain"));
        assert!(failure("SELECT * FROM coopembed.model_weights").starts_with("permission denied"));
    }

    /// A table `gallery (id, emb)` of embeddings of the model.
    fn gallery(garments: &Garments) {
        let layout = garments.layout();
        Spi::run(&format!(
            "CREATE TABLE gallery AS SELECT id, format('{layout}:[%s]', (
                 SELECT string_agg((hashint4(id * 12 + i) / 2147483648.0)::real::text, ',') FROM generate_series(1, 12) i
             ))::coopvec AS emb FROM generate_series(1, 200) id"
        ))
        .unwrap();
    }

    /// How often a statement looks a value's query up: scans of the table that holds them.
    fn lookups(sql: &str) -> i64 {
        let scans = || {
            let sql = "SELECT seq_scan + idx_scan FROM pg_stat_xact_all_tables \
                       WHERE relid = 'coopembed.attribute_values'::regclass";
            Spi::get_one::<i64>(sql).unwrap().unwrap()
        };
        let before = scans();
        Spi::run(sql).unwrap();
        scans() - before
    }

    #[pg_test]
    fn a_query_is_looked_up_once_for_a_statement() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        gallery(&garments);
        let near = "SELECT id FROM gallery ORDER BY emb <-> coop_attr_query";
        assert_eq!(lookups(&format!("{near}('neckline', 'v-neck')")), 1);
        assert_eq!(lookups(&format!("{near}('neckline', 'v-neck') LIMIT 5")), 1);
        assert_eq!(lookups(&format!("{near}('neckline', 'v-neck', 'garments')")), 1);
        assert_eq!(
            lookups(&format!("{near}('neckline', 'v-neck') + 2 * coop_attr_query('prints', 'floral')")),
            2
        );
        assert_eq!(
            lookups("SELECT id FROM gallery WHERE emb <-> coop_attr_query('neckline', 'v-neck') < 1"),
            1
        );
        let plan = crate::pg::fixture::explain(&format!("{near}('neckline', 'v-neck')"));
        assert!(plan.contains("InitPlan"), "{plan}");
        let like = "SELECT id FROM gallery ORDER BY emb <-> \
                    coop_like((SELECT emb FROM gallery WHERE id = 7), 'neckline') LIMIT 1";
        assert_eq!(Spi::get_one::<i32>(like), Ok(Some(7)));
        let plan = crate::pg::fixture::explain(like);
        assert!(plan.contains("Sort Key: ((gallery.emb <-> $1))"), "{plan}");
    }

    #[pg_test]
    fn a_prepared_statement_looks_up_once_and_follows_the_catalogue() {
        let (summer, winter) = (Garments::new("summer"), Garments::new("winter"));
        summer.load_as("garments");
        gallery(&summer);
        Spi::run("SET LOCAL plan_cache_mode = force_generic_plan").unwrap();
        Spi::run(
            "PREPARE near(text) AS SELECT id FROM gallery ORDER BY emb <-> coop_attr_query('neckline', $1)",
        )
        .unwrap();
        Spi::run("PREPARE fixed AS SELECT coop_attr_query('neckline', 'v-neck')::text FROM gallery LIMIT 1")
            .unwrap();
        assert_eq!(lookups("EXECUTE near('v-neck')"), 1);
        assert_eq!(lookups("EXECUTE near('crew')"), 1);
        let expected = |garments: &Garments| Some(garments.attribute_query("neckline", "v-neck"));
        assert_eq!(text("EXECUTE fixed"), expected(&summer));
        Spi::run("SELECT coop_drop_model('garments')").unwrap();
        winter.load_as("garments");
        assert_eq!(text("EXECUTE fixed"), expected(&winter));
        summer.load_as("summer");
        Spi::run("SET coopembed.model = 'summer'").unwrap();
        assert_eq!(text("EXECUTE fixed"), expected(&summer));
    }

    #[pg_test]
    fn statements_that_write_and_parallel_workers_look_up_too() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        let expected = garments.attribute_query("neckline", "v-neck");
        Spi::run("CREATE TABLE queries AS SELECT coop_attr_query('neckline', 'v-neck') AS q").unwrap();
        Spi::run("INSERT INTO queries SELECT coop_attr_query('neckline', 'v-neck') FROM queries").unwrap();
        Spi::run("UPDATE queries SET q = coop_attr_query('neckline', 'v-neck')").unwrap();
        assert_eq!(text("SELECT string_agg(DISTINCT q::text, ' ') FROM queries"), Some(expected.clone()));
        // On one parallel worker, whatever it costs; the setting has had two names.
        Spi::run(
            "SELECT set_config(name, 'on', true) FROM pg_settings
             WHERE name IN ('force_parallel_mode', 'debug_parallel_query')",
        )
        .unwrap();
        let sql = "SELECT coop_attr_query('neckline', 'v-neck')::text";
        assert!(crate::pg::fixture::explain(sql).contains("Gather"));
        assert_eq!(text(sql), Some(expected));
    }

    #[pg_test]
    fn a_lookup_uses_the_snapshot_of_its_statement() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        // What a data-modifying part of the same statement does is not seen by the rest of it, as with any table.
        let sql = "WITH gone AS (DELETE FROM coopembed.attribute_values RETURNING 1) \
                   SELECT coop_attr_query('neckline', 'v-neck')::text FROM (SELECT count(*) FROM gone) g";
        assert_eq!(text(sql), Some(garments.attribute_query("neckline", "v-neck")));
        assert!(failure("SELECT coop_attr_query('neckline', 'v-neck')")
            .starts_with("value \"v-neck\" does not exist"));
    }
}
