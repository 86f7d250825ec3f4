//! What stands up around the neck: collars with two leaves, lapels, hoods and high necks.

use super::body::Body;
use super::layer::{Cloth, Frame, Trace};
use super::neck::Opening;
use super::outline::{Curve, Point};
use super::palette::{dim, hex, lightness};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Category, Closure, Material, Neckline};

/// Draws the collar, lapels, hood or high neck on top of the finished front, if there is one.
pub fn collar(t: &mut Tailor, body: &Body, opening: &Opening) {
    match t.garment.neckline {
        Some(Neckline::Collar) => leaves(t, opening),
        Some(Neckline::Lapel) => lapels(t, body, opening),
        Some(Neckline::Hood) => hood(t, opening),
        Some(Neckline::High) => high(t, opening),
        _ => {}
    }
}

/// The cloth of a collar: the main cloth, unless the garment has a contrasting trim.
fn collar_cloth(t: &Tailor) -> Cloth {
    if t.garment.category == Category::Polo {
        t.look.trim
    } else {
        t.look.cloth
    }
}

/// A piece on both sides, each with the grain along its own lean.
fn both(t: &mut Tailor, right: &Curve, cloth: Cloth, lean: f32) {
    let frame = |angle: f32| Frame { origin: [0.0, 0.0], angle };
    t.trim(right.mirrored(), cloth, frame(-lean));
    t.trim(right.clone(), cloth, frame(lean));
}

fn leaves(t: &mut Tailor, opening: &Opening) {
    let [x, y] = opening.corner;
    let s = t.scale;
    let wide = t.cut.range(0.95, 1.15);
    let spread = if t.garment.category == Category::Polo { 3.4 } else { t.cut.range(0.6, 2.4) } * s;
    let front = opening.depth;
    // The inside of the stand, behind the neck.
    let stand = Curve::from([-x, y + 1.0])
        .bend([-x * 0.9, -4.6 * s], [0.0, -4.8 * s])
        .bend([x * 0.9, -4.6 * s], [x, y + 1.0])
        .bend([x * 0.8, y + 4.0 * s], [0.0, front])
        .bend([-x * 0.8, y + 4.0 * s], [-x, y + 1.0]);
    t.inside(stand);
    let back = Curve::from([-x * 0.88, -1.4 * s]).bend([0.0, -0.2 * s], [x * 0.88, -1.4 * s]);
    t.drawing.seam(back);
    let tag = Curve::rect(-1.8 * s, 0.2 * s, 3.6 * s, 2.4 * s);
    t.drawing.raised(tag, Trace::Fill, hex(0xe8e6e0), 0.08);
    let right = Curve::from([x * 0.55, -4.4 * s])
        .bend([x * 1.0, -4.0 * s], [x + 2.0 * s, y + 1.6 * s])
        .bend([x + 2.6 * s, y + 5.5 * s], [(x + 0.2) * wide, front + 4.4 * s])
        .bend([x * 0.55, front + 2.2 * s], [spread * 0.35 + 0.2, front + 0.4 * s])
        .bend([x * 0.62, y + 3.4 * s], [x * 0.72, -0.6 * s])
        .bend([x * 0.75, -3.0 * s], [x * 0.55, -4.4 * s]);
    let cloth = collar_cloth(t);
    both(t, &right, cloth, -0.5);
    if t.garment.category != Category::Polo {
        let edge = Curve::lines(&right.0[12..right.0.len().min(32)]).offset(-0.7 * s);
        t.drawing.stitches(edge.mirrored(), t.look.thread);
        t.drawing.stitches(edge, t.look.thread);
    }
}

fn lapels(t: &mut Tailor, body: &Body, opening: &Opening) {
    let [x, y] = opening.corner;
    let (front, s) = (opening.depth, t.scale);
    let wide = t.cut.range(0.9, 1.1) * body.underarm[0] * 0.58;
    let notch = front * 0.36;
    let lapel = Curve::from([x * 0.9, y + 2.0])
        .to([wide * 0.86, notch - 1.0 * s])
        .to([wide, notch + 1.4 * s])
        .bend([wide * 0.85, front * 0.72], [1.2, front])
        .to([-0.6, front + 0.3])
        .bend([x * 0.62, front * 0.55], [x * 0.9, y + 2.0]);
    both(t, &lapel, t.look.cloth, -0.35);
    let collar = Curve::from([0.0, -3.6 * s])
        .bend([x * 0.9, -3.6 * s], [x + 2.4 * s, y + 0.8])
        .bend([x + 3.8 * s, y + 5.0 * s], [wide * 0.98, notch - 2.4 * s])
        .to([wide * 0.74, notch + 0.4 * s])
        .bend([x * 0.8, y + 5.0 * s], [x * 0.66, y])
        .bend([x * 0.5, -0.9 * s], [0.0, -0.6 * s]);
    both(t, &collar, t.look.cloth, 0.4);
}

fn hood(t: &mut Tailor, opening: &Opening) {
    let [x, y] = opening.corner;
    let s = t.scale;
    let (wide, tall) = (t.cut.range(16.5, 18.5) * s, t.cut.range(25.0, 29.0) * s);
    let lean = t.pose.limbs[0] * 12.0 * s;
    let low = opening.depth + 4.0 * s;
    let dome = [
        [0.0, low],
        [x * 0.8, y + 4.4 * s],
        [wide * 0.86, 0.0],
        [wide + lean, -tall * 0.42],
        [wide * 0.66 + lean, -tall * 0.88],
        [lean, -tall],
    ];
    let mut right = dome.to_vec();
    right.extend(
        dome.iter().rev().skip(1).map(|p| [2.0 * lean * (-p[1] / tall).clamp(0.0, 1.0) - p[0], p[1]]),
    );
    t.main(Curve::through(&right), Vec::new());
    let opens = t.cut.range(0.5, 0.62);
    let face = Curve::through(&[
        [0.0, low - 1.0 * s],
        [x * 0.62, 0.0],
        [wide * opens + lean * 0.8, -tall * 0.4],
        [wide * opens * 0.62 + lean * 0.9, -tall * 0.72],
        [lean * 0.9, -tall * 0.8],
        [-wide * opens * 0.62 + lean * 0.9, -tall * 0.72],
        [-wide * opens + lean * 0.8, -tall * 0.4],
        [-x * 0.62, 0.0],
        [0.0, low - 1.0 * s],
    ]);
    let fur = t.garment.category == Category::Outwear && t.cut.chance(0.3);
    if fur {
        let pelt = hex(t.cut.pick([0xb79d7c, 0x8a7258, 0xcfc4b2, 0x4a3d33]));
        let cloth = Cloth { base: pelt, material: Material::Fleece, print: None, tone: 1.0 };
        t.trim(
            face.map(|[px, py]| [px * 1.34, (py + tall * 0.35) * 1.16 - tall * 0.35]),
            cloth,
            Frame::default(),
        );
    }
    let shade = if lightness(t.look.cloth.base) > 0.5 { 0.5 } else { 0.45 };
    let lining = Cloth { tone: shade, ..t.look.trim };
    t.trim(face.clone(), lining, Frame::default());
    t.drawing.seam(face.map(|[px, py]| [px * 1.12, py * 1.03 - 0.2]));
    let middle = Curve::from([lean, -tall]).bend([lean, -tall * 0.9], [lean * 0.9, -tall * 0.8]);
    t.drawing.seam(middle);
    if t.garment.category == Category::Hoodie {
        cords(t, [x * 0.5, low - 2.6 * s]);
    }
}

/// The two ends of the cord of a hood.
fn cords(t: &mut Tailor, [x, y]: Point) {
    let light = lightness(t.look.cloth.base) > 0.5;
    let plain = dim(t.look.cloth.base, 0.55);
    let colour = if light { plain } else { hex(t.cut.pick([0xe8e6e2, 0xc9c7c2])) };
    for (side, limb) in [(-1.0, 0), (1.0, 1)] {
        let end = [side * x * 1.2 + t.pose.limbs[limb] * 20.0, y + t.cut.range(12.0, 17.0)];
        let cord = Curve::from([side * x, y]).bend([side * x * 1.7, y + 6.0], end);
        t.drawing.raised(cord, Trace::Line(0.85), colour, 0.3);
        t.drawing.raised(Curve::ellipse(end, 0.7, 1.0), Trace::Fill, dim(colour, 0.8), 0.2);
        t.drawing.raised(Curve::ellipse([side * x, y], 0.6, 0.6), Trace::Fill, t.look.metal, 0.1);
    }
}

fn high(t: &mut Tailor, opening: &Opening) {
    let [x, y] = opening.corner;
    let s = t.scale;
    let zipped = t.garment.closure == Some(Closure::Zip);
    let coat = t.garment.category == Category::Outwear;
    let woven = matches!(t.garment.category, Category::Shirt | Category::Blouse);
    let tall = if woven {
        4.2
    } else if coat || zipped {
        7.5
    } else {
        t.cut.range(7.5, 11.0)
    } * s;
    let narrow = x * 0.92;
    let low = opening.depth + if coat { 1.5 } else { 0.0 };
    if zipped || coat || woven {
        let inner = Curve::from([-narrow, -tall]).bend([0.0, -tall * 0.62], [narrow, -tall]);
        t.inside(inner.to([x, low - 2.0]).to([-x, low - 2.0]));
        // The collar stands open: its two halves lean apart at the zip.
        let gap = if t.cut.chance(0.5) { 2.6 * s } else { 0.5 * s };
        let right = Curve::from([narrow, -tall - 0.3])
            .bend([narrow * 1.02, -tall * 0.3], [x + 1.6, y + 1.5])
            .bend([x * 0.7, low], [0.0, low + 1.5])
            .bend([gap * 0.3, -tall * 0.1], [gap, -tall * 0.55])
            .bend([narrow * 0.8, -tall * 0.62], [narrow, -tall - 0.3]);
        both(t, &right, Cloth { print: None, ..t.look.cloth }, 0.0);
        return;
    }
    let tube = Curve::from([-x - 0.6, y + 1.0])
        .bend([-narrow, -tall * 0.4], [-narrow, -tall])
        .bend([0.0, -tall - 1.2], [narrow, -tall])
        .bend([narrow, -tall * 0.4], [x + 0.6, y + 1.0])
        .bend([x * 0.7, low], [0.0, low])
        .bend([-x * 0.7, low], [-x - 0.6, y + 1.0]);
    t.trim(tube, Cloth { print: t.look.cloth.print, ..t.look.trim }, Frame::default());
    let top = Curve::from([-narrow, -tall]).bend([0.0, -tall - 1.2], [narrow, -tall]);
    let bottom = Curve::from([-x - 0.6, y + 1.0]).bend([0.0, low + 1.5], [x + 0.6, y + 1.0]);
    t.ribs(&top, &bottom, 1.0 * s);
    if tall > 8.5 * s {
        // Rolled over: the lower edge of the roll.
        let roll =
            Curve::from([-x * 0.98, -tall * 0.12]).bend([0.0, low * 0.4 + 1.4], [x * 0.98, -tall * 0.12]);
        t.drawing.seam(roll);
    }
    let mouth = Curve::from([-narrow, -tall])
        .bend([0.0, -tall - 1.2], [narrow, -tall])
        .bend([0.0, -tall + 2.6 * s], [-narrow, -tall]);
    t.inside(mouth);
}
