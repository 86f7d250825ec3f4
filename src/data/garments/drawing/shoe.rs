//! Shoes seen from above: sneakers, leather shoes, sandals.

use super::layer::{Cloth, Folds, Frame, Piece, Trace};
use super::outline::{Curve, Point};
use super::palette::{dim, hex, lightness, Rgb};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Closure, Material};

/// The outline of a sole from above, widened by `grow` cm; `toe` is the half width near the tip.
pub fn sole(grow: f32, toe: f32, length: f32) -> Curve {
    let l = length / 28.0;
    let points = [
        [-3.3 - grow, 13.0],
        [-3.1 - grow, 8.0],
        [-3.0 - grow, 3.2],
        [-1.7 - grow * 0.7, 0.5 - grow],
        [0.1, -grow],
        [1.9 + grow * 0.7, 0.5 - grow],
        [3.2 + grow, 3.2],
        [3.5 + grow, 8.0],
        [4.1 + grow, 13.5],
        [5.0 + grow, 19.5],
        [toe + 0.7 + grow, 24.4],
        [toe * 0.62 + grow * 0.8, 27.1 + grow * 0.7],
        [-0.2, 28.0 + grow],
        [-toe * 0.72 - grow * 0.8, 27.2 + grow * 0.7],
        [-toe - 0.5 - grow, 25.0],
        [-4.5 - grow, 19.5],
        [-3.3 - grow, 13.0],
    ];
    Curve::through(&points.map(|[x, y]: Point| [x, y * l]))
}

/// A smooth piece of the shoe that stands up by `lift` cm.
pub fn shell(t: &mut Tailor, outline: Curve, cloth: Cloth, lift: f32) {
    let folds = Folds { depth: 0.12 * t.pose.crumple, width: 4.0, gathers: Vec::new() };
    t.drawing.piece(outline, Piece { cloth, frame: Frame { origin: [2.0, 1.0], angle: 0.3 }, folds, lift });
}

/// A cloth of one colour for soles, linings and straps.
pub fn solid(base: Rgb, material: Material) -> Cloth {
    Cloth { base, material, print: None, tone: 1.0 }
}

/// The dark inside of a shoe with its insole.
fn mouth(t: &mut Tailor, centre: Point, rx: f32, ry: f32) {
    let dark = dim(t.look.cloth.base, 0.25);
    shell(t, Curve::ellipse(centre, rx, ry), solid(dark, Material::Jersey), 0.1);
    let insole = hex(t.cut.pick([0xb9a58c, 0x8d8f94, 0x5c4636, 0xcfc6b8]));
    let foot = Curve::ellipse([centre[0], centre[1] + ry * 0.06], rx * 0.74, ry * 0.84);
    shell(t, foot, Cloth { tone: 0.62, ..solid(insole, Material::Jersey) }, 0.1);
    let badge = Curve::rect(centre[0] - 0.9, centre[1] - ry * 0.5, 1.8, 1.0);
    t.drawing.ink(badge, dim(insole, 0.35));
    let rim = Curve::ellipse(centre, rx, ry);
    let thread = dim(t.look.cloth.base, 0.6);
    t.drawing.raised(rim.closed(), Trace::Line(0.7), thread, 0.25);
}

/// Crossed laces from `top` to `bottom` with a bow at the top.
fn laces(t: &mut Tailor, x: f32, top: f32, bottom: f32, half: f32, colour: Rgb) {
    let rows = 5;
    for i in 0..rows {
        let y = top + (bottom - top) * i as f32 / (rows - 1) as f32;
        let half = half * (1.0 - 0.08 * i as f32);
        for side in [-1.0, 1.0] {
            t.drawing.raised(
                Curve::ellipse([x + side * half, y], 0.36, 0.36),
                Trace::Fill,
                t.look.metal,
                0.1,
            );
        }
        let bar = Curve::from([x - half, y]).bend([x, y + 0.5], [x + half, y + 0.1]);
        t.drawing.raised(bar, Trace::Line(0.62), colour, 0.3);
        if i + 1 < rows {
            let step = (bottom - top) / (rows - 1) as f32;
            let cross = Curve::lines(&[[x + half, y], [x - half * 0.9, y + step]]);
            t.drawing.raised(cross, Trace::Line(0.5), dim(colour, 0.85), 0.2);
        }
    }
    for side in [-1.0, 1.0] {
        let bow = Curve::from([x, top])
            .bend([x + side * 4.4, top - 2.6], [x + side * 4.0, top + 0.6])
            .bend([x + side * 2.4, top + 1.6], [x, top + 0.2]);
        t.drawing.raised(bow, Trace::Line(0.55), colour, 0.3);
        let end = Curve::from([x, top + 0.2]).bend([x + side * 2.6, top + 1.2], [x + side * 3.9, top + 4.2]);
        t.drawing.raised(end, Trace::Line(0.5), colour, 0.25);
    }
}

/// Straps across the shoe that hold by velcro.
fn straps(t: &mut Tailor, rows: &[f32], half: f32, cloth: Cloth) {
    for &y in rows {
        let band = Curve::from([-half, y + 0.4]).bend([0.0, y - 0.9], [half, y - 0.3]).band(-2.5);
        shell(t, band.clone(), cloth, 0.5);
        let edge = band.map(|[px, py]| [px * 0.9, y + 1.0 + (py - y - 1.0) * 0.7]);
        t.drawing.stitches(edge, dim(cloth.base, if lightness(cloth.base) > 0.5 { 0.6 } else { 2.2 }));
    }
}

/// Draws a sneaker from above.
pub fn sneaker(t: &mut Tailor) {
    let rubber = if t.cut.chance(0.75) { hex(0xe6e4df) } else { hex(0x2c2c2f) };
    let accent = t.look.ink;
    shell(t, sole(0.55, 3.9, 28.0), solid(rubber, Material::Synthetic), 0.6);
    let cloth = t.look.cloth;
    shell(t, sole(-0.25, 3.7, 27.6), cloth, 1.3);
    let toe = Curve::from([-4.4, 21.4])
        .bend([0.0, 18.0], [4.8, 21.2])
        .bend([4.4, 27.3], [0.1, 27.3])
        .bend([-4.2, 27.0], [-4.4, 21.4]);
    let canvas = t.garment.material == Material::Canvas;
    let cap =
        if canvas { solid(rubber, Material::Synthetic) } else { Cloth { print: None, tone: 0.86, ..cloth } };
    shell(t, toe, cap, 0.4);
    for side in [-1.0, 1.0] {
        let overlay = Curve::from([side * 3.5, 6.0]).bend([side * 4.4, 14.0], [side * 4.7, 18.5]);
        if !canvas {
            t.drawing.raised(overlay, Trace::Line(1.3), accent, 0.08);
        }
    }
    let velcro = t.garment.closure == Some(Closure::Velcro);
    let tongue = Curve::through(&[
        [-2.2, 18.6],
        [-2.5, 12.0],
        [-2.4, 7.4],
        [0.0, 6.4],
        [2.6, 7.4],
        [2.7, 12.0],
        [2.4, 18.6],
    ]);
    mouth(t, [0.1, 6.0], 2.8, 5.4);
    shell(t, tongue, Cloth { print: None, tone: 0.92, ..cloth }, 0.5);
    t.drawing.raised(Curve::rect(-1.1, 7.6, 2.4, 1.8), Trace::Fill, accent, 0.05);
    if velcro {
        straps(t, &[10.5, 14.4], 4.4, Cloth { print: None, ..cloth });
    } else {
        let white = if lightness(cloth.base) > 0.75 { hex(0xd6d4d0) } else { hex(0xece9e4) };
        let colour = if t.cut.chance(0.75) { white } else { hex(0x242428) };
        laces(t, 0.1, 10.6, 17.8, 2.5, colour);
    }
    let tab = Curve::rect(-1.2, -0.5, 2.4, 2.6);
    shell(t, tab, solid(accent, Material::Synthetic), 0.4);
}

/// Draws a leather shoe, loafer, ballet flat or strapped shoe from above.
pub fn shoe(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let toe = t.cut.range(2.9, 3.6);
    let dark = if lightness(cloth.base) < 0.3 { dim(cloth.base, 0.6) } else { hex(0x3a2a20) };
    shell(t, sole(0.3, toe, 28.5), solid(dark, Material::Leather), 0.5);
    shell(t, sole(-0.2, toe - 0.1, 28.0), cloth, 1.2);
    let edge = dim(cloth.base, if lightness(cloth.base) > 0.4 { 0.6 } else { 1.9 });
    match t.garment.closure {
        Some(Closure::Laces) => {
            mouth(t, [0.1, 5.6], 2.7, 5.2);
            let tongue = Curve::through(&[
                [-1.6, 17.0],
                [-1.9, 11.5],
                [-1.6, 8.0],
                [1.8, 8.0],
                [2.1, 11.5],
                [1.8, 17.0],
            ]);
            shell(t, tongue, Cloth { tone: 0.8, ..cloth }, 0.3);
            let cap = Curve::from([-4.3, 20.6]).bend([0.1, 23.0], [4.7, 20.4]);
            t.drawing.seam(cap.clone());
            t.drawing.stitches(cap.offset(0.5), edge);
            laces(
                t,
                0.1,
                10.8,
                15.6,
                1.9,
                dim(cloth.base, if lightness(cloth.base) > 0.3 { 0.5 } else { 1.8 }),
            );
        }
        Some(Closure::Velcro | Closure::Buckle) => {
            mouth(t, [0.1, 8.0], 2.9, 7.4);
            let strap = Cloth { print: None, ..cloth };
            if t.garment.closure == Some(Closure::Velcro) {
                let rows: &[f32] = if t.cut.chance(0.5) { &[9.5] } else { &[8.6, 12.2] };
                straps(t, rows, 4.6, strap);
            } else {
                let band = Curve::from([-4.2, 10.2]).bend([0.0, 9.0], [4.5, 9.8]).band(-1.5);
                shell(t, band, strap, 0.5);
                let buckle = Curve::rect(2.4, 9.2, 1.9, 2.3);
                t.drawing.raised(buckle.closed(), Trace::Line(0.65), t.look.metal, 0.2);
            }
        }
        _ if t.cut.chance(0.6) => {
            mouth(t, [0.1, 6.6], 2.8, 6.2);
            let saddle = Curve::from([-4.2, 14.6]).bend([0.0, 12.6], [4.6, 14.4]).band(-2.6);
            shell(t, saddle, Cloth { tone: 0.9, ..cloth }, 0.35);
            let apron =
                Curve::from([-3.4, 15.0]).bend([-3.8, 24.0], [0.1, 24.6]).bend([4.0, 24.0], [3.8, 15.0]);
            t.drawing.seam(apron.clone());
            t.drawing.stitches(apron.offset(0.5), edge);
        }
        _ => {
            mouth(t, [0.1, 9.2], 3.0, 8.6);
            for side in [-1.0, 1.0] {
                let bow = Curve::from([0.1, 19.4])
                    .bend([side * 2.6, 17.2], [side * 2.5, 19.6])
                    .bend([side * 2.2, 21.6], [0.1, 19.4]);
                shell(t, bow, Cloth { print: None, tone: 0.9, ..cloth }, 0.4);
            }
        }
    }
}

/// Draws a sandal, slide or flip-flop from above.
pub fn sandal(t: &mut Tailor) {
    let cloth = t.look.cloth;
    let leather = t.garment.material == Material::Leather;
    let bed = if leather {
        hex(t.cut.pick([0xb08a60, 0x8d6a48, 0xc9ad84]))
    } else {
        hex(t.cut.pick([0x4a4b50, 0x8d8f94, 0xcbb89a]))
    };
    shell(t, sole(0.5, 3.9, 28.0), solid(dim(bed, 0.4), Material::Synthetic), 0.9);
    shell(
        t,
        sole(0.15, 3.8, 27.9),
        solid(bed, if leather { Material::Leather } else { Material::Jersey }),
        0.35,
    );
    shell(
        t,
        Curve::ellipse([0.1, 5.2], 2.4, 4.0),
        Cloth { tone: 0.9, ..solid(bed, Material::Jersey) },
        -0.25,
    );
    shell(
        t,
        Curve::ellipse([0.3, 21.0], 3.4, 4.6),
        Cloth { tone: 0.92, ..solid(bed, Material::Jersey) },
        -0.25,
    );
    match t.garment.closure {
        Some(Closure::Buckle) => {
            for y in [11.0, 17.6] {
                strap(t, y, 3.0, cloth);
                let buckle = Curve::rect(2.2, y + 0.3, 2.0, 2.6);
                t.drawing.raised(buckle.closed(), Trace::Line(0.65), t.look.metal, 0.25);
            }
        }
        Some(Closure::Velcro) => {
            let heel = Curve::from([-3.6, 6.5])
                .bend([-4.4, -2.6], [0.1, -1.4])
                .bend([4.6, -2.6], [3.9, 6.5])
                .band(-1.8);
            shell(t, heel, cloth, 0.6);
            for y in [8.6, 17.4] {
                strap(t, y, 3.2, cloth);
                let patch = Curve::rect(-1.6, y + 0.2, 4.4, 2.5);
                shell(t, patch, Cloth { print: None, tone: 0.8, ..cloth }, 0.3);
            }
        }
        _ if !leather && t.cut.chance(0.5) => {
            for side in [-1.0, 1.0] {
                let band =
                    Curve::from([0.2, 22.6]).bend([side * 2.4, 18.0], [side * 4.6, 11.0]).band(side * 1.5);
                shell(t, band, cloth, 0.6);
            }
            t.drawing.raised(Curve::ellipse([0.2, 22.4], 0.8, 1.0), Trace::Fill, cloth.base, 0.4);
        }
        _ => strap(t, 14.4, 7.2, cloth),
    }
}

/// A band across the foot, `width` cm wide, that starts at `y`.
fn strap(t: &mut Tailor, y: f32, width: f32, cloth: Cloth) {
    let half = 4.5 + 0.035 * (y + 0.5 * width);
    let band = Curve::from([-half, y + 0.6]).bend([0.1, y - 1.2], [half + 0.4, y + 0.3]).band(-width);
    shell(t, band.clone(), cloth, 0.9);
    let edge = Curve::from([-half, y + 0.6]).bend([0.1, y - 1.2], [half + 0.4, y + 0.3]);
    let tone = if lightness(cloth.base) > 0.5 { 0.6 } else { 2.0 };
    t.drawing.stitches(edge.offset(-0.5), dim(cloth.base, tone));
    t.drawing.stitches(edge.offset(-width + 0.5), dim(cloth.base, tone));
}
