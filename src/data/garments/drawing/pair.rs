//! Two of a kind: places a single shoe twice.

use super::layer::{Drawing, Paint};
use super::outline::{add, scale, turn, Point};
use super::tailor::Tailor;

/// How a pair is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Side by side, seen from above; the left one is the mirror image of the right one.
    Above,
    /// Seen from the side, one behind the other.
    Side,
}

/// Draws one shoe with `build` and places it twice. From above, the shoe points down (heel at y = 0) and is
/// a right-hand shoe as seen; from the side, its toe points to the right and the ground is at y = 0.
pub fn pair(t: &mut Tailor, placing: Placing, build: impl FnOnce(&mut Tailor)) {
    let before = std::mem::take(&mut t.drawing);
    build(t);
    let single = std::mem::replace(&mut t.drawing, before);
    let [left, right] = t.pose.limbs;
    match placing {
        Placing::Above => {
            let gap = 6.9 + (left + right) * 3.0;
            place(t, &single, |p| add(turn([-p[0], p[1]], left * 1.1 + 0.04), [-gap, left * 9.0]));
            place(t, &single, |p| add(turn(p, right * 1.1 - 0.04), [gap, right * 9.0]));
        }
        Placing::Side => {
            let behind = [5.5 + left * 14.0, -7.5 + right * 8.0];
            place(t, &single, |p| add(scale(turn(p, left * 0.35 - 0.08), 0.97), behind));
            place(t, &single, |p| turn(p, right * 0.2));
        }
    }
}

fn place(t: &mut Tailor, single: &Drawing, at: impl Fn(Point) -> Point) {
    for layer in &single.layers {
        let mut copy = layer.clone();
        copy.curves = layer.curves.iter().map(|curve| curve.map(&at)).collect();
        if let Paint::Cloth(piece) = &mut copy.paint {
            piece.frame.origin = at(piece.frame.origin);
            for gather in &mut piece.folds.gathers {
                (gather.from, gather.to) = (at(gather.from), at(gather.to));
            }
        }
        t.drawing.layers.push(copy);
    }
}
