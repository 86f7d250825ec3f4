//! Hats: caps, beanies, straw hats and bucket hats.

use super::layer::{Cloth, Folds, Frame, Piece, Trace};
use super::lettering::{letters, word};
use super::outline::Curve;
use super::palette::{dim, hex};
use super::picture::picture;
use super::shoe::{shell, solid};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Material, Pattern};

/// Draws the hat its material asks for.
pub fn hat(t: &mut Tailor) {
    match t.garment.material {
        Material::Knit => beanie(t),
        Material::Straw => sun_hat(t),
        _ if t.garment.pattern == Pattern::Plain && t.cut.chance(0.2) => bucket(t),
        _ => cap(t),
    }
}

/// A piece of a hat, with shallow folds.
fn felt(t: &mut Tailor, outline: Curve, cloth: Cloth, lift: f32) {
    let folds = Folds { depth: 0.45 * t.pose.crumple, width: 6.0, gathers: Vec::new() };
    t.drawing.piece(outline, Piece { cloth, frame: Frame::default(), folds, lift });
}

fn badge(t: &mut Tailor, centre: [f32; 2], width: f32) {
    let inks = [t.look.ink, t.look.second_ink];
    match t.garment.pattern {
        Pattern::Text => {
            let name = word(&mut t.cut);
            letters(&mut t.drawing, name, centre, width, 0.5, inks[0]);
        }
        Pattern::Graphic => picture(&mut t.drawing, centre, width * 0.6, inks, &mut t.cut),
        _ => {}
    }
}

fn cap(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let turn = t.cut.range(-3.0, 3.0);
    let crown = Curve::from([-10.4, 0.6])
        .bend([-11.6, -8.0], [-6.6, -12.2])
        .bend([-3.0, -14.8], [turn * 0.3, -14.8])
        .bend([4.0, -14.8], [7.0, -12.0])
        .bend([11.4, -8.0], [10.4, 0.6])
        .bend([5.0, 3.8], [0.0, 3.8])
        .bend([-5.0, 3.8], [-10.4, 0.6]);
    felt(t, crown, cloth, 1.6);
    let top = [turn * 0.3, -14.2];
    for (x, low) in [(-6.8, 2.4), (turn * 0.4, 3.6), (6.8, 2.4)] {
        let seam = Curve::from(top).bend([x * 1.15 + turn * 0.3, -9.0], [x, low]);
        t.drawing.stitches(seam.offset(0.5), t.look.thread);
        t.drawing.seam(seam);
    }
    for (x, y) in [(-3.8, -8.6), (3.8, -8.6)] {
        let hole = Curve::ellipse([x, y], 0.42, 0.42);
        t.drawing.raised(hole.closed(), Trace::Line(0.3), t.look.thread, 0.1);
    }
    t.drawing.raised(Curve::ellipse(top, 1.0, 0.6), Trace::Fill, cloth.base, 0.35);
    let peak = if t.cut.chance(0.3) { Cloth { base: t.look.ink, print: None, ..cloth } } else { cloth };
    let visor = Curve::from([-9.8, 1.4])
        .bend([-10.6, 6.0], [-6.8 + turn, 9.4])
        .bend([turn, 12.4], [6.8 + turn, 9.2])
        .bend([10.6, 6.0], [9.8, 1.4])
        .bend([5.0, 4.6], [0.0, 4.6])
        .bend([-5.0, 4.6], [-9.8, 1.4]);
    felt(t, visor, peak, 1.0);
    for k in 1..5 {
        let d = k as f32 * 1.2;
        let row = Curve::from([-9.6 + d * 0.2, 2.0 + d * 0.7])
            .bend([turn * 0.9, 4.0 + d * 1.8], [9.6 - d * 0.2, 2.0 + d * 0.7]);
        t.drawing.stitches(row, if peak.base == cloth.base { t.look.thread } else { dim(peak.base, 0.6) });
    }
    badge(t, [0.2 * turn, -3.4], 10.5);
}

fn beanie(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let tall = t.cut.range(15.0, 20.0);
    let dome = Curve::from([-10.2, 4.0])
        .bend([-11.0, -tall * 0.55], [-6.4, -tall * 0.82])
        .bend([-3.0, -tall], [0.0, -tall])
        .bend([3.4, -tall], [6.6, -tall * 0.8])
        .bend([11.0, -tall * 0.55], [10.2, 4.0]);
    felt(t, dome, cloth, 1.8);
    for i in -4..=4 {
        let x = i as f32 * 2.3;
        let rib = Curve::from([x * 0.12, -tall + 0.8]).bend([x * 1.05, -tall * 0.75], [x * 1.04, 2.0]);
        t.drawing.seam(rib);
    }
    let fold = Curve::from([-10.8, -1.8])
        .bend([0.0, 0.2], [10.8, -1.8])
        .to([10.5, 4.6])
        .bend([0.0, 7.2], [-10.5, 4.6]);
    let rim = Cloth { print: None, ..t.look.trim };
    felt(t, fold, rim, 1.0);
    let top = Curve::from([-10.8, -1.8]).bend([0.0, 0.2], [10.8, -1.8]);
    let low = Curve::from([-10.5, 4.6]).bend([0.0, 7.2], [10.5, 4.6]);
    t.ribs(&top, &low, 1.1);
    if t.cut.chance(0.5) {
        let wool = if t.cut.chance(0.5) { cloth.base } else { t.look.ink };
        let ball = Curve::ellipse([0.3, -tall - 2.2], 4.0, 3.8).map(|[x, y]| {
            let fuzz = 0.93 + 0.12 * ((x * 7.0 + y * 11.0).sin() * (x * 3.0 - y * 5.0).cos());
            [0.3 + (x - 0.3) * fuzz, -tall - 2.2 + (y + tall + 2.2) * fuzz]
        });
        felt(t, ball, Cloth { base: wool, material: Material::Fleece, print: None, tone: 1.0 }, 2.2);
    }
    badge(t, [0.0, 2.6], 8.0);
    if matches!(t.garment.pattern, Pattern::Text | Pattern::Graphic) {
        return;
    }
    if t.cut.chance(0.3) {
        let tag = Curve::rect(2.6, 1.8, 4.4, 2.6);
        t.drawing.raised(tag, Trace::Fill, hex(0x8a5a34), 0.15);
    }
}

fn sun_hat(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let (rx, ry) = (t.cut.range(19.0, 22.0), t.cut.range(12.5, 15.5));
    felt(t, Curve::ellipse([0.0, 0.0], rx, ry), cloth, 1.0);
    for k in 1..5 {
        let share = 1.0 - 0.11 * k as f32;
        let ring = Curve::ellipse([0.0, -0.5 * k as f32 * 0.5], rx * share, ry * share);
        t.drawing.seam(ring.closed());
    }
    let top = -ry * 0.72;
    let crown = Curve::from([-9.4, -0.6])
        .bend([-9.6, top - 2.0], [-5.6, top - 3.4])
        .bend([0.0, top - 5.2], [5.6, top - 3.4])
        .bend([9.6, top - 2.0], [9.4, -0.6])
        .bend([0.0, 5.0], [-9.4, -0.6]);
    felt(t, crown, Cloth { tone: 1.04, ..cloth }, 2.4);
    let ribbon = solid(t.look.ink, Material::Synthetic);
    let band = Curve::from([-9.5, -3.8]).bend([0.0, 1.6], [9.5, -3.8]).band(-3.2);
    shell(t, band, ribbon, 0.3);
    if t.cut.chance(0.5) {
        for side in [-1.0, 1.0] {
            let bow = Curve::from([6.4, -0.4])
                .bend([6.4 + side * 3.2, -3.6], [6.4 + side * 3.4, -0.2])
                .bend([6.4 + side * 2.0, 2.2], [6.4, -0.4]);
            shell(t, bow, ribbon, 0.4);
        }
    }
}

fn bucket(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let brim = Curve::from([-9.6, -1.0])
        .to([-15.4, 6.2])
        .bend([0.0, 12.6], [15.4, 6.2])
        .to([9.6, -1.0])
        .bend([0.0, 3.0], [-9.6, -1.0]);
    felt(t, brim, cloth, 1.0);
    for k in 1..5 {
        let d = k as f32 * 1.35;
        let row = Curve::from([-9.8 - d * 0.95, -0.6 + d * 1.2])
            .bend([0.0, 3.2 + d * 1.5], [9.8 + d * 0.95, -0.6 + d * 1.2]);
        t.drawing.stitches(row, t.look.thread);
    }
    let crown = Curve::from([-9.8, -0.8])
        .bend([-8.6, -9.0], [-7.4, -11.6])
        .bend([0.0, -14.0], [7.4, -11.6])
        .bend([8.6, -9.0], [9.8, -0.8])
        .bend([0.0, 3.4], [-9.8, -0.8]);
    felt(t, crown, cloth, 1.6);
    t.drawing.seam(Curve::from([-7.2, -10.8]).bend([0.0, -8.0], [7.2, -10.8]));
}
