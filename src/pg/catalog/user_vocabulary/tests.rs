//! Values and categories that users define.

#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::model::{failure, text, Garments};
    use crate::space::Embedding;
    use pgrx::prelude::*;

    /// The model, and a table `labelled(emb)` of two of its embeddings.
    fn load() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        let literal = |shift: f32| {
            let numbers: Vec<f32> = (0..12).map(|i| i as f32 - shift).collect();
            format!("('{}'::coopvec)", Embedding::from_raw(garments.layout(), &numbers).unwrap().as_ref())
        };
        Spi::run(&format!(
            "CREATE TABLE labelled (emb coopvec); INSERT INTO labelled VALUES {}, {}",
            literal(1.0),
            literal(3.0)
        ))
        .unwrap();
    }

    #[pg_test]
    fn a_user_defined_value_is_used_like_a_built_in_one() {
        load();
        Spi::run("SELECT coop_define_attribute_value('neckline', 'cowl', avg(emb)) FROM labelled").unwrap();
        Spi::run("SELECT coop_define_category('cape', avg(emb)) FROM labelled").unwrap();
        for (query, same) in [
            ("coop_attr_query('neckline', 'cowl')", "coop_like(avg(emb), 'neckline')"),
            ("coop_category_query('cape')", "coop_like(avg(emb))"),
        ] {
            let equal = text(&format!("SELECT (({query})::text = ({same})::text)::text FROM labelled"));
            assert_eq!(equal, Some("true".into()), "{query}");
        }
        // A query says it as well, and of one that says more only the attribute's part counts.
        Spi::run("SELECT coop_define_attribute_value('neckline', 'hood', coop_like(avg(emb), 'prints') + 2 * coop_like(avg(emb), 'neckline')) FROM labelled")
            .unwrap();
        assert_eq!(
            text("SELECT (coop_attr_query('neckline', 'hood')::text = coop_attr_query('neckline', 'cowl')::text)::text"),
            Some("true".into())
        );
        assert_eq!(
            text("SELECT string_agg(concat_ws(' ', ordinal, value, has_query, own), ', ' ORDER BY ordinal) FROM coop_attribute_values('neckline')"),
            Some("1 crew t f, 2 v-neck t f, 3 boat f f, 4 cowl t t, 5 hood t t".into())
        );
        assert_eq!(
            text("SELECT string_agg(concat_ws(' ', ordinal, name, own), ', ' ORDER BY ordinal) FROM coop_categories()"),
            Some("1 blouse f, 2 dress f, 3 coat f, 4 cape t".into())
        );
        assert!(text("SELECT coop_replace(emb, 'neckline', 'cowl')::text FROM labelled LIMIT 1").is_some());

        Spi::run(
            "SELECT coop_drop_attribute_value('neckline', 'cowl'), coop_drop_category('cape', 'garments')",
        )
        .unwrap();
        assert!(failure("SELECT coop_attr_query('neckline', 'cowl')")
            .starts_with("value \"cowl\" does not exist"));
        assert!(failure("SELECT coop_category_query('cape')").starts_with("category \"cape\" does not exist"));
        // What is left goes with the model.
        Spi::run("SELECT coop_drop_model('garments')").unwrap();
        assert_eq!(text("SELECT count(*)::text FROM coopembed.attribute_values"), Some("0".into()));
    }

    #[pg_test]
    fn what_cannot_be_defined_or_dropped_is_a_clear_error() {
        load();
        let define = |arguments: &str| {
            failure(&format!("SELECT coop_define_attribute_value({arguments}) FROM labelled"))
        };
        assert!(define("'neckline', 'crew', avg(emb)").starts_with(
            "value \"crew\" of attribute \"neckline\" already exists\nThe model is \"garments\".\nIt is the model's own."
        ));
        assert!(define("'nekline', 'cowl', avg(emb)").starts_with("attribute \"nekline\" does not exist"));
        assert!(define("'neckline', ' cowl', avg(emb)").starts_with("\" cowl\" cannot name a value"));
        assert!(define("'neckline', '', avg(emb)").starts_with("\"\" cannot name a value"));
        assert!(define("'neckline', 'cowl', coop_like(avg(emb), 'prints')")
            .starts_with("the query says nothing about attribute \"neckline\""));
        assert!(failure("SELECT coop_define_attribute_value('neckline', 'cowl', '3x4@0000002a:{0;1:1*[0,0,0,1]}'::coopquery)")
            .starts_with("the embedding's model 3x4@0000002a is not loaded"));
        Spi::run("SELECT coop_define_category('cape', avg(emb)) FROM labelled").unwrap();
        assert!(
            failure("SELECT coop_define_category('cape', avg(emb)) FROM labelled").contains("Drop it first")
        );
        assert!(
            failure("SELECT coop_drop_attribute_value('neckline', 'crew')").contains("is the model's own")
        );
        assert!(failure("SELECT coop_drop_attribute_value('neckline', 'cowl')")
            .starts_with("value \"cowl\" of attribute \"neckline\" does not exist"));
        assert!(failure("SELECT coop_drop_category('blouse')").contains("is the model's own"));
        assert!(failure("SELECT coop_drop_category('cape', 'garmets')")
            .starts_with("model \"garmets\" does not exist"));
    }

    #[pg_test]
    fn other_roles_may_not_define_values() {
        load();
        Spi::run("CREATE ROLE visitor; GRANT SELECT ON labelled TO visitor; SET LOCAL ROLE visitor").unwrap();
        assert!(failure("SELECT coop_define_category('cape', avg(emb)) FROM labelled")
            .starts_with("permission denied"));
        Spi::run("RESET ROLE; GRANT EXECUTE ON FUNCTION coop_define_category(text, coopvec) TO visitor; SET LOCAL ROLE visitor").unwrap();
        Spi::run("SELECT coop_define_category('cape', avg(emb)) FROM labelled").unwrap();
        assert!(text("SELECT coop_category_query('cape')::text").is_some());
    }
}
