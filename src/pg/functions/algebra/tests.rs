//! Functions that change an embedding in some subspaces, and that explain a distance.

#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::model::{failure, text, Garments};
    use crate::pg::fixture::number;
    use crate::space::Embedding;
    use pgrx::prelude::*;

    /// Embeddings of the model, as a table `two(a, b)` of one row.
    fn two(garments: &Garments) {
        let literal = |sign: f32| {
            let numbers: Vec<f32> = (0..12).map(|i| sign * (i as f32 - 4.0)).collect();
            format!("'{}'::coopvec", Embedding::from_raw(garments.layout(), &numbers).unwrap().as_ref())
        };
        Spi::run(&format!("CREATE TABLE two AS SELECT {} AS a, {} AS b", literal(1.0), literal(-0.5)))
            .unwrap();
    }

    #[pg_test]
    fn a_replaced_attribute_is_the_values_query_at_unit_length() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        two(&garments);
        // The other subspaces stay; this one has length 1 and lies in the query's direction.
        assert_eq!(
            text("SELECT string_agg((coop_subspace(coop_replace(a, 'prints', 'floral'), n) = coop_subspace(a, n))::text, ' ' ORDER BY n)
                  FROM two, (VALUES ('neckline'), ('prints'), ('sleeves')) t (n)"),
            Some("true false true".into())
        );
        let cosine = number(
            "SELECT sum(x * y) / sqrt(sum(x * x) * sum(y * y)) / sqrt(sum(x * x)) FROM (
                 SELECT unnest(coop_subspace(coop_replace(a, 'prints', 'floral'), 'prints'))::float8 x,
                        unnest(string_to_array(substring(coop_attr_query('prints', 'floral')::text FROM '1\\*\\[(.*)\\]'), ',')::float8[]) y
                 FROM two) t",
        );
        assert!((cosine - 1.0).abs() < 2e-3, "{cosine}");
        assert_eq!(
            text("SELECT (coop_replace(a, 'prints', 'floral') = coop_replace(a, 3 * coop_attr_query('prints', 'floral')))::text FROM two"),
            Some("true".into())
        );
        assert_eq!(text("SELECT coop_replace(a, 'prints', NULL)::text FROM two"), None);
        assert!(failure("SELECT coop_replace(a, 'prints', 'flora') FROM two")
            .starts_with("value \"flora\" does not exist"));
        assert!(failure("SELECT coop_replace('3x4@0000002a:[1,0,0,0,1,0,0,0,1,0,0,0]', 'prints', 'floral')")
            .starts_with("the embedding's model 3x4@0000002a is not loaded"));
        assert!(failure("SELECT coop_replace(a, '3x4@0000002a:{0;1:1*[0,0,0,1]}'::coopquery) FROM two")
            .starts_with("embeddings of different models cannot be compared"));
    }

    #[pg_test]
    fn a_blend_takes_named_attributes_from_the_other() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        two(&garments);
        assert_eq!(
            text("SELECT string_agg(concat_ws(' ', n, coop_subspace(e, n) = coop_subspace(a, n), coop_subspace(e, n) = coop_subspace(b, n)), ', ' ORDER BY n)
                  FROM two, coop_blend(a, b, 'prints', 'sleeves') e, (VALUES ('neckline'), ('prints'), ('sleeves')) t (n)"),
            Some("neckline t f, prints f t, sleeves f t".into())
        );
        assert!(failure("SELECT coop_blend(a, b, 'prnts') FROM two")
            .starts_with("attribute \"prnts\" does not exist"));
        assert!(failure("SELECT coop_blend(a, b, NULL::text) FROM two")
            .starts_with("an attribute's name must not be null"));
        assert!(
            failure("SELECT coop_blend(a, b, VARIADIC '{}') FROM two").starts_with("no attribute is named")
        );
        assert!(failure("SELECT coop_subspace(a, 'prnts') FROM two")
            .starts_with("attribute \"prnts\" does not exist"));
    }

    #[pg_test]
    fn an_explanation_adds_up_to_the_squared_distance() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        two(&garments);
        let mix = "coop_attr_query('sleeves', 'long') + 2 * coop_like(b, 'prints') + coop_like(a, 'prints')";
        assert_eq!(
            text(&format!("SELECT string_agg(concat_ws(' ', attribute, weight, distance >= 0), ', ') FROM two, coop_explain(a, {mix})")),
            // The two targets for prints cannot both be reached; that part is in the row without attribute.
            Some("sleeves 1 t, prints 3 t, ".into())
        );
        for other in [mix, "b"] {
            let gap = number(&format!(
                "SELECT abs((a <-> ({other})) ^ 2 - (SELECT sum(contribution) FROM coop_explain(a, {other}))) FROM two"
            ));
            assert!(gap < 1e-5, "{other}: {gap}");
        }
        assert_eq!(number("SELECT count(*)::float8 FROM two, coop_explain(a, b)"), 3.0);
        assert_eq!(number("SELECT count(*)::float8 FROM two, coop_explain(a, NULL::coopquery)"), 0.0);
    }
}
