//! Loading and dropping models, good ones and bad ones.

#[pgrx::pg_schema]
mod tests {
    use crate::model::tensor_names;
    use crate::pg::catalog::change::with_latest_snapshot;
    use crate::pg::catalog::{lookup, model, model_entry};
    use crate::pg::fixture::model::{failure, text, Folder, Garments};
    use candle_core::{DType, Device, Tensor};
    use pgrx::prelude::*;

    /// The only model there is.
    fn only_model() -> model_entry::ModelEntry {
        with_latest_snapshot(|| model(None)).unwrap()
    }

    /// The weights as stored.
    fn weights(model: &model_entry::ModelEntry) -> Vec<u8> {
        with_latest_snapshot(|| lookup::model_files(model)).unwrap().1
    }

    /// How many rows the five tables have.
    fn rows() -> String {
        text(
            "SELECT concat_ws(' ', (SELECT count(*) FROM coopembed.models), (SELECT count(*) FROM coopembed.model_weights),
                (SELECT count(*) FROM coopembed.attributes), (SELECT count(*) FROM coopembed.attribute_values),
                (SELECT count(*) FROM coopembed.categories))",
        )
        .unwrap()
    }

    #[pg_test]
    fn a_loaded_model_is_stored_whole() {
        let garments = Garments::new("summer");
        let fingerprint = garments.load_as("garments");
        let (config, weights) = (garments.config.to_json(), garments.weights());
        assert_eq!(fingerprint, garments.config.digest(&weights).to_string()[..8]);
        assert_eq!(rows(), "1 1 3 8 3");
        let entry = only_model();
        assert_eq!((entry.name.as_str(), entry.layout), ("garments", garments.layout()));
        assert_eq!(entry.digest, garments.config.digest(&weights));
        with_latest_snapshot(|| {
            assert_eq!(model_entry::config_text(&entry).unwrap(), config);
            assert_eq!(*model_entry::config(&entry).unwrap(), garments.config);
        });
        assert!(self::weights(&entry) == weights);
        assert_eq!(
            text("SELECT (to_jsonb(m) - 'loaded_at' - 'bytes' - 'fingerprint')::text FROM coop_models() m").unwrap(),
            "{\"name\": \"garments\", \"backbone\": \"efficientnet_lite0\", \"subspaces\": 3, \"attributes\": 3, \
             \"categories\": 3, \"input_size\": 32, \"is_default\": true, \"subspace_dim\": 4}"
        );
        let bytes = Spi::get_one::<i64>("SELECT bytes FROM coop_models()").unwrap().unwrap();
        assert_eq!(bytes, weights.len() as i64);
    }

    /// PostgreSQL's signal handlers expect a process of one thread.
    #[pg_test]
    fn loading_starts_no_threads() {
        Garments::new("summer").load_as("garments");
        assert_eq!(std::fs::read_dir("/proc/self/task").unwrap().count(), 1);
    }

    #[pg_test]
    fn weights_longer_than_a_part_come_back_in_order() {
        let mut garments = Garments::new("summer");
        // 20 MB of proxies: more than one part.
        let proxies = Tensor::arange(0f32, 10_000_008.0, &Device::Cpu).unwrap();
        let proxies = proxies.cos().unwrap().reshape(((), 12)).unwrap();
        garments.tensors.insert(tensor_names::INSTANCE_PROXIES.into(), proxies);
        garments.load_as("garments");
        assert!(Spi::get_one::<i64>("SELECT count(*) FROM coopembed.model_weights").unwrap() > Some(1));
        assert!(weights(&only_model()) == garments.weights());
    }

    #[pg_test]
    fn a_directory_is_loaded_from_the_server() {
        let garments = Garments::new("summer");
        let folder = Folder::new("directory");
        folder.write("config.json", garments.config.to_json()).write("model.safetensors", garments.weights());
        let sql = format!("SELECT coop_load_model('garments', '{}')", folder.path().display());
        assert_eq!(text(&sql).unwrap(), format!("{:08x}", garments.layout().fingerprint()));
        assert_eq!(rows(), "1 1 3 8 3");
    }

    #[pg_test]
    fn directories_that_hold_no_model_are_refused() {
        let garments = Garments::new("summer");
        let folder = Folder::new("no-model");
        let load = || failure(&format!("SELECT coop_load_model('m', '{}')", folder.path().display()));
        assert!(load().contains("There is no such file"), "{}", load());
        folder.write("config.json", garments.config.to_json());
        assert!(load().contains("model.safetensors"), "{}", load());
        folder.write("model.safetensors", b"");
        assert!(load().contains("not a complete safetensors file"), "{}", load());
        folder.write("config.json", b"\xff\xfe");
        assert!(load().contains("config.json could not be read"), "{}", load());
        assert!(failure("SELECT coop_load_model('m', '/no/such/directory')")
            .starts_with("there is no directory \"/no/such/directory\""));
        assert!(failure("SELECT coop_load_model('m', 'model/emoji')").contains("is not an absolute path"));
        assert_eq!(rows(), "0 0 0 0 0");
    }

    /// The error of loading these, after making sure that nothing of them is stored.
    fn refusal(config: &str, weights: &[u8]) -> String {
        Spi::run("CREATE TEMP TABLE IF NOT EXISTS bad (config text, weights bytea); TRUNCATE bad").unwrap();
        Spi::run_with_args("INSERT INTO bad VALUES ($1, $2)", &[config.into(), weights.into()]).unwrap();
        let error = failure("SELECT coop_load_model('bad', config, weights) FROM bad");
        assert_eq!(rows(), "0 0 0 0 0");
        error
    }

    #[pg_test]
    fn spoilt_tensors_are_refused_and_nothing_is_stored() {
        let garments = Garments::new("summer");
        let config = garments.config.to_json();
        let spoil = |change: &dyn Fn(&mut Garments)| {
            let mut spoilt = Garments::new("summer");
            change(&mut spoilt);
            refusal(&config, &spoilt.weights())
        };
        let query = tensor_names::attribute_queries("neckline");
        let error = spoil(&|g| drop(g.tensors.remove(&query)));
        assert!(error.contains("Missing (1): queries.attribute.neckline"), "{error}");
        let error = spoil(&|g| {
            g.tensors.insert(query.clone(), Tensor::zeros((2, 4), DType::F32, &Device::Cpu).unwrap());
        });
        assert!(error.contains("found shape [2, 4], expected [3, 4]"), "{error}");
        let error = spoil(&|g| {
            let nan = Tensor::full(f32::NAN, (3, 4), &Device::Cpu).unwrap();
            g.tensors.insert(query.clone(), nan);
        });
        assert!(error.contains("12 numbers are NaN or infinite"), "{error}");
        let error = spoil(&|g| drop(g.tensors.remove("backbone._conv_stem.weight")));
        assert!(error.contains("backbone._conv_stem.weight"), "{error}");
        let weights = garments.weights();
        for length in [0, 7, 1000, weights.len() - 1] {
            let error = refusal(&config, &weights[..length]);
            assert!(error.contains("not a complete safetensors file"), "{length}: {error}");
        }
    }

    #[pg_test]
    fn configs_that_cannot_be_used_are_refused_and_nothing_is_stored() {
        let garments = Garments::new("summer");
        let weights = garments.weights();
        for garbage in ["", "{", "null", "[]", "{\"format_version\": \"one\"}", "{\"format_version\": 1}"] {
            let error = refusal(garbage, &weights);
            assert!(error.starts_with("config.json could not be read"), "{error}");
        }
        let next = crate::model::FORMAT_VERSION + 1;
        let newer = garments
            .config
            .to_json()
            .replace("\"format_version\": 1", &format!("\"format_version\": {next}"));
        let error = refusal(&newer, &weights);
        assert!(error.starts_with(&format!("model format version {next} is not supported")), "{error}");
        let mut config = garments.config.clone();
        config.attributes[1].name = "neckline".into();
        let error = refusal(&config.to_json(), &weights);
        assert!(error.contains("The attribute \"neckline\" is listed twice"), "{error}");
        let mut config = garments.config.clone();
        config.architecture.backbone = "resnet19".into();
        let error = refusal(&config.to_json(), &weights);
        assert!(error.starts_with("backbone \"resnet19\" does not exist"), "{error}");
        let mut config = garments.config.clone();
        config.subspace_dim = 5;
        let error = refusal(&config.to_json(), &weights);
        assert!(error.contains("expected [3, 5]"), "{error}");
    }

    #[pg_test]
    fn names_that_cannot_name_a_model_are_refused() {
        for name in ["", " a", "a ", "a\tb", &"x".repeat(64)] {
            let error =
                failure(&format!("SELECT coop_load_model({}, '', '')", pgrx::spi::quote_literal(name)));
            assert!(error.contains("cannot name a model"), "{error}");
        }
    }

    #[pg_test]
    fn a_model_name_is_used_once() {
        let (summer, winter) = (Garments::new("summer"), Garments::new("winter"));
        summer.load_as("garments");
        Spi::run("CREATE TEMP TABLE offered (name text, config text, weights bytea)").unwrap();
        for (name, garments) in [("summer", &summer), ("winter", &winter)] {
            Spi::run_with_args(
                "INSERT INTO offered VALUES ($1, $2, $3)",
                &[name.into(), garments.config.to_json().into(), garments.weights().into()],
            )
            .unwrap();
        }
        let load = |which: &str| {
            failure(&format!(
                "SELECT coop_load_model('garments', config, weights) FROM offered WHERE name = '{which}'"
            ))
        };
        assert_eq!(
            load("summer"),
            "model \"garments\" already exists\nIt is the same model.\nThere is nothing to do."
        );
        assert_eq!(
            load("winter"),
            format!(
                "model \"garments\" already exists\nIt is model {}, this one is {}.\n\
                 Choose another name, or coop_drop_model() the old one first.",
                summer.layout(),
                winter.layout()
            )
        );
        let twice = "SELECT coop_load_model('twin', config, weights) FROM offered, generate_series(1, 2) \
                     WHERE name = 'winter'";
        assert!(failure(twice).starts_with("model \"twin\" already exists"), "{}", failure(twice));
        // The same model under a second name is no confusion.
        summer.load_as("alias");
        assert_eq!(rows(), "2 2 6 16 6");
    }

    #[pg_test]
    fn two_models_of_one_fingerprint_are_refused() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        // 2^32 models would have to be trained to see this otherwise: another digest with the same first bits.
        Spi::run("UPDATE coopembed.models SET digest = set_byte(digest, 31, get_byte(digest, 31) # 1)")
            .unwrap();
        Spi::run("CREATE TEMP TABLE offered (config text, weights bytea)").unwrap();
        let files = [garments.config.to_json().into(), garments.weights().into()];
        Spi::run_with_args("INSERT INTO offered VALUES ($1, $2)", &files).unwrap();
        let error = failure("SELECT coop_load_model('second', config, weights) FROM offered");
        assert!(error.starts_with("model \"garments\" has the fingerprint"), "{error}");
    }

    #[pg_test]
    fn dropping_takes_everything_with_it() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        garments.load_as("others");
        assert_eq!(
            failure("SELECT coop_drop_model('garments')"),
            "model \"garments\" is the default of this database\nOthers are loaded, as \"others\".\n\
             Choose another default first, for instance SELECT coop_set_default_model('others')."
        );
        Spi::run("SELECT coop_set_default_model('others')").unwrap();
        Spi::run("SELECT coop_drop_model('garments')").unwrap();
        assert_eq!(rows(), "1 1 3 8 3");
        assert_eq!(
            failure("SELECT coop_drop_model('garments')"),
            "model \"garments\" does not exist\nKnown: \"others\"."
        );
    }

    #[pg_test]
    fn leftover_rows_of_a_model_deleted_by_hand_are_replaced() {
        let garments = Garments::new("summer");
        garments.load_as("garments");
        Spi::run("DELETE FROM coopembed.models").unwrap();
        assert!(
            failure("SELECT coop_attr_query('neckline', 'v-neck', 'garments')").contains("does not exist")
        );
        garments.load_as("garments");
        assert_eq!(rows(), "1 1 3 8 3");
    }

    #[pg_test]
    fn privileges_decide_who_may_load_and_drop() {
        let garments = Garments::new("summer");
        let folder = Folder::new("rights");
        folder.write("config.json", garments.config.to_json()).write("model.safetensors", garments.weights());
        let load = format!("SELECT coop_load_model('garments', '{}')", folder.path().display());
        Spi::run("CREATE ROLE plain; CREATE ROLE reader IN ROLE pg_read_server_files; CREATE ROLE manager")
            .unwrap();
        Spi::run("GRANT EXECUTE ON FUNCTION coop_load_model(text, text), coop_drop_model(text) TO manager")
            .unwrap();
        let refused = |role: &str, sql: &str| failure(&format!("SET LOCAL ROLE {role}; {sql}"));
        for sql in [&load, "SELECT coop_load_model('m', '', '')", "SELECT coop_drop_model('m')"] {
            assert!(refused("plain", sql).starts_with("permission denied for function"), "{sql}");
        }
        assert!(refused("plain", "SELECT * FROM coopembed.model_weights").starts_with("permission denied"));
        assert!(refused("plain", "DELETE FROM coopembed.models").starts_with("permission denied"));
        assert!(refused("manager", &load).starts_with("permission denied to read a model directory"));
        Spi::run(&format!("SET ROLE reader; {load}")).unwrap();
        Spi::run("SET ROLE manager; SELECT coop_drop_model('garments'); RESET ROLE").unwrap();
        assert_eq!(rows(), "0 0 0 0 0");
    }

    #[pg_test]
    fn a_search_path_has_no_influence() {
        Spi::run(
            "CREATE SCHEMA evil;
             CREATE TYPE evil.coopquery AS (x int);
             CREATE FUNCTION evil.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'misled as %', current_user; END $$;
             CREATE OPERATOR evil.= (FUNCTION = evil.equal, LEFTARG = text, RIGHTARG = text);
             SET search_path = evil, pg_catalog, public",
        )
        .unwrap();
        let garments = Garments::new("summer");
        garments.load_as("garments");
        assert_eq!(
            text("SELECT coop_attr_query('neckline', 'v-neck', 'garments')::text"),
            Some(garments.attribute_query("neckline", "v-neck"))
        );
        assert_eq!(Spi::get_one::<i64>("SELECT count(*) FROM coop_attribute_values('sleeves')"), Ok(Some(3)));
        assert_eq!(Spi::get_one::<i64>("SELECT count(*) FROM coop_models()"), Ok(Some(1)));
        Spi::run("SELECT coop_drop_model('garments')").unwrap();
    }
}
