//! The method end to end: draws a catalogue of garments, trains a small cooperative model on it with the program, and checks
//! that the images nearest to the query "neckline: v-neck" show v-necks. `tests/garments.sh` runs the same query in SQL with
//! the data set and the model that this test leaves in `target/tmp/garments`.
#![cfg(feature = "cli")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const NECKLINES: [&str; 4] = ["v-neck", "round", "square", "boat"];
const SLEEVES: [&str; 3] = ["sleeveless", "short", "long"];
const PRINTS: [&str; 3] = ["plain", "striped", "dotted"];
const CATEGORIES: [&str; 3] = ["blouse", "dress", "tunic"];
const COLORS: [&str; 8] =
    ["#b33939", "#218c74", "#2c2c54", "#cd6133", "#84817a", "#40407a", "#cc8e35", "#6d214f"];

/// One product: an index into each list above.
#[derive(Clone, Copy)]
struct Garment {
    neckline: usize,
    sleeves: usize,
    prints: usize,
    category: usize,
    color: usize,
}

/// A fixed pseudo-random sequence, so that the images never change.
struct Noise(u64);

impl Noise {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}

/// An SVG of a garment, moved, turned and scaled a little differently each time.
fn draw(g: Garment, noise: &mut Noise) -> String {
    let hem = [68.0, 92.0, 80.0][g.category];
    let flare = [0.0, 14.0, 4.0][g.category];
    let neck = match NECKLINES[g.neckline] {
        "v-neck" => "L 50 46 ",
        "round" => "C 40 38 60 38 ",
        "square" => "L 41 34 L 59 34 ",
        _ => "C 46 22 54 22 ",
    };
    let (left, right) = if NECKLINES[g.neckline] == "boat" { (34, 66) } else { (40, 60) };
    let body = format!(
        "M {left} 20 {neck}{right} 20 L 70 24 L 68 55 L {} {hem} L {} {hem} L 32 55 L 30 24 Z",
        68.0 + flare,
        32.0 - flare
    );
    let fill = match PRINTS[g.prints] {
        "plain" => COLORS[g.color],
        _ => "url(#print)",
    };
    let motif = match PRINTS[g.prints] {
        "striped" => "<rect y='0' width='8' height='3' fill='#ffffff'/>",
        "dotted" => "<circle cx='4' cy='4' r='1.8' fill='#ffffff'/>",
        _ => "",
    };
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'>\
         <defs><pattern id='print' width='8' height='8' patternUnits='userSpaceOnUse'>\
         <rect width='8' height='8' fill='{}'/>{motif}</pattern></defs>\
         <rect width='100' height='100' fill='#ffffff'/>\
         <g transform='translate({:.2} {:.2}) rotate({:.2} 50 50) scale({:.3})' stroke='#222222' stroke-width='1'>",
        COLORS[g.color],
        3.0 * noise.next(),
        3.0 * noise.next(),
        4.0 * noise.next(),
        1.0 + 0.05 * noise.next(),
    );
    let length = [0.0, 14.0, 40.0][g.sleeves];
    if length > 0.0 {
        for (shoulder, out) in [(30.0, -1.0), (70.0, 1.0)] {
            let _ = write!(
                svg,
                "<path d='M {shoulder} 24 L {} {} L {} {} L {shoulder} 38 Z' fill='{fill}'/>",
                shoulder + out * (3.0 + length * 0.35),
                24.0 + length,
                shoulder + out * (length * 0.35 - 6.0),
                27.0 + length,
            );
        }
    }
    let _ = write!(svg, "<path d='{body}' fill='{fill}'/></g></svg>");
    svg
}

/// Renders at `size` pixels over white.
fn render(svg: &str, size: u32) -> resvg::tiny_skia::Pixmap {
    let tree =
        resvg::usvg::Tree::from_str(svg, &resvg::usvg::Options::default()).expect("our own SVG parses");
    let mut pixmap = resvg::tiny_skia::Pixmap::new(size, size).expect("a positive size");
    let scale = size as f32 / 100.0;
    resvg::render(&tree, resvg::tiny_skia::Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap
}

/// Writes the catalogue as a data set: three images of each combination of attribute values. Every second combination is for
/// training; of the rest, one image is a query and two are in the gallery. Every seventh garment has no value for prints.
fn write_catalogue(root: &Path) {
    let images = root.join("images");
    std::fs::create_dir_all(&images).expect("create the folder");
    let mut noise = Noise(2019);
    let mut csv = String::from("path,instance,category,split,neckline,sleeves,prints\n");
    let mut product = 0;
    for (neckline, neckline_name) in NECKLINES.iter().enumerate() {
        for (sleeves, sleeves_name) in SLEEVES.iter().enumerate() {
            for (prints, prints_name) in PRINTS.iter().enumerate() {
                for (category, category_name) in CATEGORIES.iter().enumerate() {
                    product += 1;
                    let color = (product * 5 + category) % COLORS.len();
                    let g = Garment { neckline, sleeves, prints, category, color };
                    for view in 0..3 {
                        let path = format!("images/{product:03}-{view}.png");
                        let image = render(&draw(g, &mut noise), 96);
                        std::fs::write(root.join(&path), image.encode_png().expect("encode")).expect("write");
                        let split = match (product % 2, view) {
                            (0, _) => "train",
                            (_, 0) => "query",
                            _ => "gallery",
                        };
                        let print = if product % 7 == 0 { "" } else { prints_name };
                        let _ = writeln!(
                            csv,
                            "{path},p{product:03},{category_name},{split},{neckline_name},{sleeves_name},{print}"
                        );
                    }
                }
            }
        }
    }
    std::fs::write(root.join("images.csv"), csv).expect("write images.csv");
    let attributes = serde_json::json!({
        "neckline": {"ordered": false, "values": NECKLINES},
        "sleeves": {"ordered": true, "values": SLEEVES},
        "prints": {"ordered": false, "values": PRINTS},
    });
    std::fs::write(root.join("attributes.json"), attributes.to_string()).expect("write attributes.json");
}

/// Runs the program.
fn coopembed(arguments: &[&str]) {
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_coopembed"))
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success(), "coopembed {arguments:?}");
}

/// Trains on the catalogue, and returns the folders of the data set and of the model.
fn trained_model() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("garments");
    let (data, model) = (home.join("data"), home.join("model"));
    let _ = std::fs::remove_dir_all(&home);
    write_catalogue(&data);
    let backbone = home.join("backbone.safetensors");
    let path = |p: &Path| p.to_str().expect("a UTF-8 path").to_owned();
    let shipped = root.join("model/emoji/model.safetensors");
    coopembed(&[
        "import-backbone",
        &path(&shipped),
        "--arch",
        "efficientnet_lite0",
        "--out",
        &path(&backbone),
    ]);
    coopembed(&[
        "train",
        "--data",
        &path(&data),
        "--backbone",
        &path(&backbone),
        "--arch",
        "efficientnet_lite0",
        "--size",
        "96",
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

    let table = std::fs::read_to_string(data.join("images.csv")).expect("images.csv");
    let mut ranked: Vec<(f64, bool)> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|row| row[3] != "train")
        .map(|row| {
            let bytes = std::fs::read(data.join(row[0])).expect("an image");
            let pixels =
                prepare(&bytes, None, &model.config().preprocessing, &Limits::default()).expect("pixels");
            let raw = model.embed(&pixels, 1).expect("an embedding");
            let e = Embedding::from_raw(model.layout(), &raw).expect("finite numbers");
            (distance(e.as_ref(), query.as_ref()).expect("one model"), row[4] == "v-neck")
        })
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(ranked[..5].iter().all(|(_, is_v)| *is_v), "{:?}", &ranked[..10]);
}
