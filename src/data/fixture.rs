//! Small labelled data sets for tests.

use super::manifest::{AttributeEntry, ImageEntry, Manifest, Split, ValueSet};
use image::{Rgb, RgbImage};
use std::path::Path;

const COLOURS: [(&str, [u8; 3]); 3] =
    [("red", [220, 30, 30]), ("green", [30, 180, 60]), ("blue", [40, 60, 220])];
const SHAPES: [&str; 2] = ["square", "cross"];

/// Writes a set of 12 instances with a colour, a shape (their category) and a size, three images each, to a folder. A third of the
/// instances have no size label. Half of the instances are for training.
pub(crate) fn draw(folder: &Path) {
    let mut csv = "path,instance,category,split,colour,size\n".to_owned();
    for (c, (colour, rgb)) in COLOURS.iter().enumerate() {
        for (s, shape) in SHAPES.iter().enumerate() {
            for half in 0..2 {
                let instance = format!("{colour}-{shape}-{half}");
                let large = (c + s + half) % 2;
                for view in 0..3 {
                    let (width, centre) = (4 + 4 * large as i32, 12 + 4 * view);
                    let inside = |x: u32, y: u32| {
                        let (dx, dy) = ((x as i32 - centre).abs(), (y as i32 - 16).abs());
                        if s == 0 {
                            dx.max(dy) <= width
                        } else {
                            dx.min(dy) <= width / 3 && dx.max(dy) <= width + 2
                        }
                    };
                    let pixel = |x, y| Rgb(if inside(x, y) { [255; 3] } else { *rgb });
                    let path = format!("{instance}-{view}.png");
                    RgbImage::from_fn(32, 32, pixel).save(folder.join(&path)).unwrap();
                    let split = match (half, view) {
                        (0, _) => "train",
                        (_, 0) => "query",
                        _ => "gallery",
                    };
                    let size = if c == 2 { "" } else { ["small", "large"][large] };
                    csv.push_str(&format!("{path},{instance},{shape},{split},{colour},{size}\n"));
                }
            }
        }
    }
    std::fs::write(folder.join("images.csv"), csv).unwrap();
    let json = r#"{"colour": {"values": ["red", "green", "blue"]}, "size": {"ordered": true, "values": ["small", "large"]}}"#;
    std::fs::write(folder.join("attributes.json"), json).unwrap();
}

/// At most one value of each attribute.
pub(crate) fn value_sets<const K: usize>(values: [Option<u32>; K]) -> Vec<ValueSet> {
    values.map(ValueSet::from).into()
}

/// 50 instances of two training images and one gallery image, with one of three colours, the only size, and for some instances one of
/// two prints.
pub(crate) fn manifest() -> Manifest {
    let attribute = |name: &str, values: usize| AttributeEntry {
        name: name.into(),
        ordered: false,
        multi: false,
        values: (0..values).map(|v| v.to_string()).collect(),
    };
    let image = |i: u32, split| ImageEntry {
        path: format!("{i}"),
        instance: i / 3,
        category: 0,
        split,
        crop: None,
        values: value_sets([Some(i / 3 % 3), Some(0), (i % 6 < 3).then_some(i / 3 % 4 / 2)]),
        mirror: true,
    };
    Manifest {
        root: "".into(),
        images: (0..150).map(|i| image(i, if i % 3 == 2 { Split::Gallery } else { Split::Train })).collect(),
        attributes: vec![attribute("colour", 3), attribute("size", 1), attribute("print", 2)],
        instances: (0..50).map(|i| i.to_string()).collect(),
        categories: vec!["c".into()],
        instance_category: vec![0; 50],
        instance_group: (0..50).collect(),
        warnings: vec![],
    }
}
