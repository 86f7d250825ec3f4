//! Frills and bows, by which people tell a blouse from a t-shirt.

use super::layer::{Cloth, Frame, Trace};
use super::neck::Opening;
use super::outline::{add, scale, Curve};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Closure, Neckline};

/// Trims a blouse with a frill along its neck opening, or with a bow if it closes without buttons.
pub fn frills(t: &mut Tailor, opening: &Opening) {
    if matches!(t.garment.neckline, Some(Neckline::Collar | Neckline::High)) {
        return;
    }
    if t.cut.chance(0.5) {
        frill(t, &opening.edge(), t.scale * 3.6);
    } else if t.garment.closure != Some(Closure::Buttons) {
        bow(t, opening);
    }
}

/// A gathered strip sewn along a curve; it lies `width` cm wide to the right of the direction of travel.
fn frill(t: &mut Tailor, seam: &Curve, width: f32) {
    let inner = seam.dense(0.8, false);
    let outer = inner.offset(-width);
    let wave = |i: usize| 0.82 + 0.18 * (i as f32 * 0.9).sin() + 0.1 * (i as f32 * 0.37).sin();
    let edge = Curve(
        inner
            .0
            .iter()
            .zip(&outer.0)
            .enumerate()
            .map(|(i, (a, b))| add(*a, scale([b[0] - a[0], b[1] - a[1]], wave(i))))
            .collect(),
    );
    t.trim(inner.clone().then(&edge.reversed()), t.look.cloth, Frame { origin: [1.7, 2.3], angle: 0.5 });
    for i in (3..inner.0.len().saturating_sub(3)).step_by(3) {
        if let (Some(a), Some(b)) = (inner.0.get(i), edge.0.get(i)) {
            t.drawing.groove(Curve::lines(&[*a, *b]), 0.5, 0.16, 0.25);
        }
    }
    t.drawing.seam(inner.offset(-0.7));
}

/// Two loops and two ends tied at the middle of the neck.
fn bow(t: &mut Tailor, opening: &Opening) {
    let (y, cloth) = (opening.depth + 1.0, Cloth { tone: 0.96, ..t.look.cloth });
    for (side, limb) in [(-1.0, 0), (1.0, 1)] {
        let sway = t.pose.limbs[limb] * 16.0;
        let end = Curve::from([0.0, y])
            .bend([side * 2.2, y + 7.0], [side * 4.0 + sway, y + 17.0])
            .to([side * 6.6 + sway, y + 15.6])
            .bend([side * 4.4, y + 6.0], [side * 0.8, y]);
        t.trim(end, cloth, Frame::default());
        let tie = Curve::from([0.0, y - 0.4])
            .bend([side * 4.6, y - 5.0], [side * 7.4, y - 2.2])
            .bend([side * 8.2, y + 2.8], [side * 3.6, y + 2.4])
            .bend([side * 1.4, y + 1.8], [0.0, y + 0.6]);
        t.trim(tie, cloth, Frame::default());
    }
    t.drawing.raised(Curve::ellipse([0.0, y + 0.3], 1.3, 1.5), Trace::Fill, cloth.base, 0.4);
}
