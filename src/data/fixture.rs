//! A small labelled set for tests, drawn here.

use image::{Rgb, RgbImage};
use std::path::Path;

const COLOURS: [(&str, [u8; 3]); 3] =
    [("red", [220, 30, 30]), ("green", [30, 180, 60]), ("blue", [40, 60, 220])];
const SHAPES: [&str; 2] = ["square", "cross"];

/// 12 instances of a colour, a shape (their category) and a size, three pictures each; the size of half of them is not
/// told. Half of the instances train.
pub(crate) fn draw(folder: &Path) {
    let mut csv = "path,instance,category,split,colour,size\n".to_owned();
    for (c, (colour, rgb)) in COLOURS.iter().enumerate() {
        for (s, shape) in SHAPES.iter().enumerate() {
            for half in 0..2 {
                let instance = format!("{colour}-{shape}-{half}");
                let large = (c + s + half) % 2;
                for view in 0..3 {
                    let (width, place) = (4 + 4 * large as i32, 12 + 4 * view);
                    let inside = |x: u32, y: u32| {
                        let (dx, dy) = ((x as i32 - place).abs(), (y as i32 - 16).abs());
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
