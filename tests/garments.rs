//! The method end to end: draws T-shirts, trains a small cooperative model on them with the program, and checks that the images nearest to
//! the query "neckline: v-neck" show v-necks. `tests/garments.sh` runs the same query in SQL with the data set and the model that this
//! test leaves in `target/tmp/garments`.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};

/// Runs the program.
fn coopembed(arguments: &[&str]) {
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_coopembed"))
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success(), "coopembed {arguments:?}");
}

/// Draws and trains, and returns the folders of the data set and of the model. The backbone is that of the model of clothes, whose
/// projection and vocabulary are not used.
fn trained_model() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("garments");
    let (data, model, backbone) = (home.join("data"), home.join("model"), home.join("backbone.safetensors"));
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home).expect("create the folder");
    let path = |p: &Path| p.to_str().expect("a UTF-8 path").to_owned();
    let weights = root.join("model/clothes/model.safetensors");
    coopembed(&[
        "data",
        "garments",
        "--out",
        &path(&data),
        "--garments",
        "300",
        "--shots",
        "2",
        "--size",
        "128",
        "--only",
        "category=t-shirt",
    ]);
    coopembed(&[
        "import-backbone",
        &path(&weights),
        "--arch",
        "efficientnet_lite0",
        "--out",
        &path(&backbone),
    ]);
    coopembed(&[
        "train",
        "--preset",
        "recommended",
        "--stages",
        "head",
        "--epochs",
        "30",
        "--tune",
        "false",
        "--calibration-folds",
        "0",
        "--data",
        &path(&data),
        "--backbone",
        &path(&backbone),
        "--size",
        "128",
        "--cache",
        &path(&home.join("cache")),
        "--out",
        &path(&model),
    ]);
    (data, model)
}

#[test]
fn the_images_nearest_to_a_v_neck_show_v_necks() {
    use coopembed::image::{prepare, Limits};
    use coopembed::model::{read_directory, Model};
    use coopembed::space::{distance, Embedding, Query};

    let (data, model) = trained_model();
    let (config, weights) = read_directory(&model).expect("the model directory");
    let model = Model::from_parts(&config, &weights).expect("a usable model");
    let (k, neckline) = model.config().attribute("neckline").expect("an attribute");
    let v = neckline.values.iter().position(|v| v.name == "v-neck").expect("a value");
    let target = model.prototypes().attribute_queries(k)[v].clone().expect("a query");
    let query = Query::subspace(model.layout(), k, &target).expect("a query");

    let mut table = csv::Reader::from_path(data.join("images.csv")).expect("images.csv");
    let header = table.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|h| h == name).expect("a column");
    let (path, split, neckline) = (column("path"), column("split"), column("neckline"));
    let mut ranked: Vec<(f64, bool)> = table
        .records()
        .map(|row| row.expect("a row"))
        .filter(|row| &row[split] != "train")
        .map(|row| {
            let bytes = std::fs::read(data.join(&row[path])).expect("an image");
            let pixels =
                prepare(&bytes, None, &model.config().preprocessing, &Limits::default()).expect("pixels");
            let raw = model.embed(&pixels, 1).expect("an embedding");
            let e = Embedding::from_raw(model.layout(), &raw).expect("finite numbers");
            (distance(e.as_ref(), query.as_ref()).expect("one model"), &row[neckline] == "v-neck")
        })
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(ranked[..5].iter().all(|(_, is_v)| *is_v), "{:?}", &ranked[..10]);
}
