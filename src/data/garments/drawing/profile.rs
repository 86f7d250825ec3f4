//! Footwear seen from the side: boots and shoes with heels. The ground is at y = 0, the toe to the right.

use super::layer::{Cloth, Trace};
use super::outline::Curve;
use super::palette::{dim, hex, lightness};
use super::shoe::{shell, solid};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Closure, Material};

/// Draws a boot.
pub fn boot(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let laced = t.garment.closure == Some(Closure::Laces);
    let tall = if laced { t.cut.range(17.0, 21.0) } else { t.cut.range(18.0, 34.0) };
    let heel = if laced { 2.6 } else { t.cut.range(2.4, 6.0) };
    let wide = 5.4 + (tall - 17.0) * 0.06;
    let sole_colour = if laced && t.cut.chance(0.4) { hex(0xb98f5c) } else { hex(0x26221f) };
    let rubber = solid(sole_colour, Material::Synthetic);
    let rise = heel - 1.8;
    let tread = Curve::from([-6.2, -heel])
        .to([-6.0, 0.0])
        .to([-0.6, 0.0])
        .bend([-0.2, -rise * 0.9], [3.0, -rise * 0.55])
        .bend([6.0, 0.0], [9.0, 0.0])
        .bend([18.0, 0.3], [20.4, -1.4])
        .bend([20.6, -3.0], [19.0, -3.4])
        .to([-5.0, -heel - 1.4]);
    shell(t, tread, rubber, 0.6);
    let top = -tall - heel;
    // The opening of the shaft, seen a little from above.
    let inside = Cloth { print: None, tone: 0.35, ..cloth };
    shell(t, Curve::ellipse([0.3, top], wide + 0.2, 1.7), inside, 0.2);
    let upper = Curve::from([-wide, top + 0.2])
        .bend([-wide * 0.86, top * 0.55], [-5.2, -heel - 6.0])
        .bend([-6.5, -heel - 2.5], [-5.9, -heel - 0.4])
        .bend([4.0, -heel * 0.7 - 0.6], [12.0, -2.0])
        .to([19.4, -2.4])
        .bend([20.6, -4.6], [18.6, -6.4])
        .bend([14.5, -8.2], [9.0, -10.0 - rise])
        .bend([5.4, -12.0 - rise], [wide - 0.2, top * 0.62])
        .bend([wide + 0.5, top * 0.8], [wide + 0.5, top])
        .bend([0.3, top + 2.4], [-wide, top + 0.2]);
    shell(t, upper, cloth, 1.6);
    let edge = dim(cloth.base, if lightness(cloth.base) > 0.35 { 0.55 } else { 2.2 });
    let toe = Curve::from([13.0, -2.4]).bend([12.4, -6.0], [14.8, -8.0]);
    t.drawing.seam(toe);
    let quarter = Curve::from([-5.4, -heel - 5.5]).bend([1.0, -heel - 6.0], [4.6, -heel - 2.2]);
    t.drawing.seam(quarter.clone());
    t.drawing.stitches(quarter.offset(0.5), edge);
    match t.garment.closure {
        Some(Closure::Laces) => boot_laces(t, top, wide, rise),
        Some(Closure::Zip) => {
            let zip =
                Curve::from([-0.4, top + 2.2]).bend([-0.8, top * 0.5], [0.2, -heel - 3.0]).dense(0.8, false);
            t.drawing.raised(zip.clone(), Trace::Line(1.3), dim(cloth.base, 0.35), -0.1);
            t.drawing.raised(zip, Trace::Dash(0.6, 0.4, 0.3), t.look.metal, 0.1);
            t.drawing.raised(Curve::rect(-0.8, top + 2.2, 0.9, 2.2), Trace::Fill, t.look.metal, 0.2);
        }
        _ if tall > 24.0 => {
            let rim = Curve::from([-wide + 0.2, top + 2.6]).bend([0.3, top + 4.6], [wide + 0.3, top + 2.4]);
            t.drawing.seam(rim);
        }
        _ => {
            let gusset = Curve::from([-1.8, top + 2.0])
                .bend([-1.6, top * 0.55], [0.4, -heel - 5.8])
                .bend([2.2, top * 0.55], [2.6, top + 2.0]);
            shell(
                t,
                gusset,
                Cloth { base: dim(cloth.base, 0.5), material: Material::Knit, print: None, tone: 1.0 },
                0.15,
            );
            let tab = Curve::rect(-wide - 0.5, top - 1.8, 1.6, 3.6);
            shell(t, tab, Cloth { print: None, ..cloth }, 0.3);
        }
    }
}

/// Laces along the front of the shaft and the instep.
fn boot_laces(t: &mut Tailor, top: f32, wide: f32, rise: f32) {
    let front = Curve::from([wide - 0.6, top + 1.2]).bend([wide - 1.0, top * 0.55], [11.0, -9.0 - rise]);
    let colour = hex(t.cut.pick([0x2a2622, 0xcaa25a, 0xe3dfd6, 0x6a4a34]));
    let colour =
        if (lightness(colour) - lightness(t.look.cloth.base)).abs() < 0.15 { hex(0xd9c8a2) } else { colour };
    let rows = 7;
    for i in 0..rows {
        let share = i as f32 / (rows - 1) as f32;
        let Some([x, y]) = front.at(share * 0.96) else { continue };
        let (dx, dy) = (3.4 - share, 0.5 + 1.5 * share);
        t.drawing.raised(
            Curve::lines(&[[x + 0.7, y - 0.3], [x - dx, y + dy]]),
            Trace::Line(0.75),
            colour,
            0.35,
        );
        t.drawing.raised(
            Curve::lines(&[[x + 0.7, y + 1.6], [x - dx, y + dy]]),
            Trace::Line(0.5),
            dim(colour, 0.8),
            0.25,
        );
        t.drawing.raised(Curve::ellipse([x - dx, y + dy], 0.42, 0.42), Trace::Fill, t.look.metal, 0.15);
    }
    if let Some([x, y]) = front.at(0.05) {
        for (dx, dy) in [(4.6, -1.4), (5.2, 2.4), (2.4, 5.6), (0.4, 6.4)] {
            let loop_ = Curve::from([x - 1.0, y])
                .bend([x + dx, y + dy - 1.6], [x + dx, y + dy])
                .bend([x + dx - 1.6, y + dy + 0.8], [x - 1.0, y + 0.2]);
            t.drawing.raised(loop_, Trace::Line(0.55), colour, 0.25);
        }
    }
}

/// Draws a shoe with a high heel.
pub fn heel(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let high = t.cut.range(7.5, 10.5);
    let back = -high;
    let block = t.cut.chance(0.35);
    let dark = solid(dim(cloth.base, 0.45), Material::Leather);
    // The heel itself.
    let (foot, spread) = if block { (3.6, 4.2) } else { (0.9, 3.4) };
    let stem = Curve::from([-10.4, back + 0.4])
        .bend([-9.9, back * 0.4], [-9.6, 0.0])
        .to([-9.6 + foot, 0.0])
        .bend([-9.4 + foot * 0.9, back * 0.5], [-9.6 + spread + 0.6, back + 2.2]);
    shell(t, stem, Cloth { print: None, tone: 0.9, ..cloth }, 0.5);
    // The sole.
    let arch = [
        [-10.2, back + 0.8],
        [-6.0, back * 0.72],
        [1.0, back * 0.16],
        [6.0, -0.2],
        [12.0, 0.0],
        [15.2, -0.5],
    ];
    let bottom = Curve::through(&arch);
    shell(t, bottom.band(0.9), dark, 0.2);
    // The far side of the opening and the insole.
    let inner = Curve::from([-9.6, back - 4.6])
        .bend([-5.0, back - 2.6], [4.4, back * 0.4 - 2.9])
        .bend([8.4, -5.0], [9.0, -4.2])
        .bend([0.0, back * 0.5], [-8.0, back - 0.6]);
    let insole = hex(t.cut.pick([0xcdb290, 0xb58e68, 0xd8cbb8]));
    shell(t, inner, solid(insole, Material::Leather), 0.2);
    let open = t.garment.closure == Some(Closure::Buckle);
    if open && t.cut.chance(0.5) {
        open_upper(t, back);
    } else {
        let upper = Curve::from([-10.4, back + 0.6])
            .bend([-11.4, back - 2.6], [-10.0, back - 5.2])
            .bend([-8.0, back - 3.4], [-4.0, back * 0.8 - 0.6])
            .bend([2.0, back * 0.32 - 1.6], [6.4, -3.2])
            .bend([8.6, -3.4], [9.4, -4.9])
            .bend([13.6, -3.9], [15.4, -2.0])
            .bend([16.2, -0.7], [14.4, -0.3])
            .bend([7.0, -0.6], [5.6, -0.5])
            .bend([0.4, back * 0.2], [-6.0, back * 0.74])
            .bend([-9.0, back], [-10.4, back + 0.6]);
        shell(t, upper, cloth, 1.0);
        if !open && t.cut.chance(0.3) {
            for side in [-1.0, 1.0] {
                let bow = Curve::from([10.2, -4.2])
                    .bend([10.2 + side * 2.4, -6.6], [10.2 + side * 2.4, -4.0])
                    .bend([10.2 + side, -2.8], [10.2, -4.2]);
                shell(t, bow, Cloth { print: None, tone: 0.92, ..cloth }, 0.4);
            }
        }
    }
    if open {
        let ankle = Curve::ellipse([-5.6, back - 6.4], 4.6, 1.9);
        t.drawing.raised(ankle.closed(), Trace::Line(0.95), cloth.base, 0.5);
        let stay = Curve::from([-9.9, back - 3.8]).to([-9.8, back - 6.8]);
        t.drawing.raised(stay, Trace::Line(1.4), cloth.base, 0.4);
        let buckle = Curve::rect(-3.6, back - 5.5, 1.7, 1.8);
        t.drawing.raised(buckle.closed(), Trace::Line(0.45), t.look.metal, 0.2);
    }
}

/// The upper of a sandal with a heel: a counter around the heel and two bands over the toes.
fn open_upper(t: &mut Tailor, back: f32) {
    let cloth = t.look.cloth;
    let counter = Curve::from([-10.4, back + 0.6])
        .bend([-11.4, back - 2.6], [-10.2, back - 4.4])
        .bend([-7.0, back - 3.0], [-5.0, back * 0.7])
        .bend([-8.0, back], [-10.4, back + 0.6]);
    shell(t, counter, cloth, 0.8);
    for x in [5.0, 9.6] {
        let rise = 4.8 - (x - 5.0) * 0.25;
        let band = Curve::from([x, -0.6]).bend([x + 0.6, -rise], [x + 3.6, -rise]);
        t.drawing.raised(band, Trace::Line(1.7), cloth.base, 0.5);
    }
}
