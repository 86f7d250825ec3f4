//! `coop_predict()`, `coop_predict_category()` and `coop_tags()` in SQL.

#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::model::{failure, text, Garments};
    use crate::pg::fixture::number;
    use crate::space::Embedding;
    use pgrx::prelude::*;

    /// Loads a model with tags, and makes a table `one(emb)` of one of its embeddings.
    fn load() -> Garments {
        let garments = Garments::new("summer").tagged();
        garments.load_as("garments");
        let numbers: Vec<f32> = (0..12).map(|i| (i as f32 - 5.0) / 3.0).collect();
        let literal = Embedding::from_raw(garments.layout(), &numbers).unwrap().as_ref().to_string();
        Spi::run(&format!("CREATE TABLE one AS SELECT '{literal}'::coopvec AS emb")).unwrap();
        garments
    }

    #[pg_test]
    fn probabilities_are_a_softmax_over_the_proxies() {
        let garments = load();
        let e: Embedding = text("SELECT emb::text FROM one").unwrap().parse().unwrap();
        let expected = garments.tagger().attribute(e.as_ref(), 0).values;
        // "boat" has no training images and so no probability; "crew" and "v-neck" share all there is.
        for (value, p) in ["crew", "v-neck", "boat"].into_iter().zip(&expected) {
            let found = number(&format!(
                "SELECT probability FROM one, coop_predict(emb, 'neckline') WHERE value = '{value}'"
            ));
            assert!((found - p).abs() < 1e-12, "{value}: {found}, not {p}");
        }
        assert!((expected[0] + expected[1] - 1.0).abs() < 1e-12 && expected[2] == 0.0);
        let sorted = "SELECT (array_agg(probability) = array_agg(probability ORDER BY probability DESC))::text FROM one, ";
        assert_eq!(text(&format!("{sorted}coop_predict(emb, 'neckline')")), Some("true".into()));
        assert_eq!(text(&format!("{sorted}coop_predict_category(emb)")), Some("true".into()));
        assert!((number("SELECT sum(probability) FROM one, coop_predict_category(emb)") - 1.0).abs() < 1e-12);
    }

    #[pg_test]
    fn no_value_is_an_answer_where_the_model_has_a_proxy_for_it() {
        load();
        // Sleeves may be absent (tagged()), necklines may not.
        assert_eq!(
            text("SELECT count(*)::text FROM one, coop_predict(emb, 'sleeves') WHERE value IS NULL"),
            Some("1".into())
        );
        assert_eq!(
            text("SELECT count(*)::text FROM one, coop_predict(emb, 'neckline') WHERE value IS NULL"),
            Some("0".into())
        );
        assert!(
            (number("SELECT sum(probability) FROM one, coop_predict(emb, 'sleeves')") - 1.0).abs() < 1e-12
        );
    }

    #[pg_test]
    fn tags_name_the_likeliest_of_each() {
        load();
        for attribute in ["neckline", "sleeves", "prints"] {
            let same = text(&format!(
                "SELECT (coop_tags(emb) -> 'attributes' -> '{attribute}' = (SELECT jsonb_build_object('value', value, 'probability', probability)
                     FROM coop_predict(emb, '{attribute}') LIMIT 1))::text FROM one"
            ));
            assert_eq!(same, Some("true".into()), "{attribute}");
        }
        assert_eq!(
            text("SELECT (coop_tags(emb) -> 'category' ->> 'value' = (SELECT category FROM coop_predict_category(emb) LIMIT 1))::text FROM one"),
            Some("true".into())
        );
        assert_eq!(text("SELECT coop_tags(NULL)::text"), None);
    }

    #[pg_test]
    fn several_values_that_are_likely_are_all_tags() {
        let mut garments = Garments::new("spring").tagged();
        garments.config.attributes[0].multi = true;
        // So even in the softmax that both known necklines are shown.
        garments.config.tagging.as_mut().unwrap().attributes[0].temperature = 1e4;
        garments.config.format_version = garments.config.needed_version();
        assert_eq!(garments.config.format_version, 5);
        garments.load_as("spring");
        let numbers: Vec<f32> = (0..12).map(|i| (i as f32 - 5.0) / 3.0).collect();
        let literal = Embedding::from_raw(garments.layout(), &numbers).unwrap().as_ref().to_string();
        let neckline = format!("coop_tags('{literal}') -> 'attributes' -> 'neckline'");
        let values = format!("SELECT string_agg(t ->> 'value', '|' ORDER BY t ->> 'value') FROM jsonb_array_elements({neckline} -> 'values') t");
        assert_eq!(text(&values), Some("crew|v-neck".into()));
        assert_eq!(
            text(&format!("SELECT (({neckline}) - 'values' = ({neckline}) -> 'values' -> 0)::text")),
            Some("true".into())
        );
        assert!(number(&format!("SELECT sum(probability) FROM coop_predict('{literal}', 'neckline')")) > 1.9);
        assert_eq!(text(&format!("SELECT coop_tags('{literal}') #>> '{{attributes,prints,values}}'")), None);
    }

    #[pg_test]
    fn a_model_loaded_again_with_other_temperatures_gives_other_probabilities() {
        let mut garments = load();
        let first = "SELECT max(probability) FROM one, coop_predict(emb, 'neckline')";
        let before = number(first);
        let tagging = garments.config.tagging.as_mut().unwrap();
        tagging.attributes[0].temperature /= 10.0;
        // What embeddings and queries are has not changed, so the fingerprint is the same.
        Spi::run("SELECT coop_drop_model('garments')").unwrap();
        garments.load_as("garments");
        assert!(number(first) > before + 1e-3, "{before}");
    }

    #[pg_test]
    fn what_cannot_be_tagged_is_a_clear_error() {
        load();
        assert!(failure("SELECT coop_predict(emb, 'nekline') FROM one")
            .starts_with("attribute \"nekline\" does not exist"));
        assert!(failure("SELECT coop_tags('3x4@0000002a:[1,0,0,0,1,0,0,0,1,0,0,0]')")
            .starts_with("the embedding's model 3x4@0000002a is not loaded"));
        let plain = Garments::new("winter");
        plain.load_as("plain");
        let literal = Embedding::from_raw(plain.layout(), &[1.0; 12]).unwrap().as_ref().to_string();
        assert!(
            failure(&format!("SELECT coop_tags('{literal}')")).starts_with("the model was made without tags")
        );
        assert!(failure(&format!("SELECT coop_predict_category('{literal}')")).contains("coopembed train"));
        Spi::run("UPDATE coopembed.proxies SET points = '{1,2}' WHERE model = 'garments' AND attribute = 1")
            .unwrap();
        Spi::run("UPDATE coopembed.models SET loaded_at = loaded_at + '1 s'").unwrap();
        assert!(failure("SELECT coop_tags(emb) FROM one")
            .starts_with("the model's proxies do not fit its config"));
    }
}
