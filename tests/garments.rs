//! A garment catalogue drawn in code, a small cooperative model trained on it, and the question the method is for:
//! "anything with a v-neck". `tests/garments.sh` asks the same in SQL of the model that this test leaves in
//! `target/garments`.
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

/// A small fixed pseudo-random sequence, so that the pictures never change.
struct Noise(u64);

impl Noise {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}

/// The picture of a garment, seen a little differently each time.
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
