//! The surface of each material close up: weave, ribs, grain, quilting, gloss.

use super::noise::{crease, fractal, lattice, smooth, step};
use crate::data::garments::vocabulary::Material;

/// A place on a material's surface.
#[derive(Clone, Copy, Debug)]
pub struct Texture {
    /// Brightness relative to the cloth's colour, about 1.
    pub tone: f32,
    /// Height above the mean surface, in cm.
    pub height: f32,
}

/// How strongly a material reflects the light, and how far it scatters: (strength, sharpness).
pub fn gloss(material: Material) -> (f32, f32) {
    match material {
        Material::Leather => (0.2, 22.0),
        Material::Padded => (0.12, 14.0),
        Material::Synthetic => (0.05, 12.0),
        Material::Woven => (0.018, 5.0),
        _ => (0.012, 3.0),
    }
}

/// Thickness of a layer of the material as it lies, in cm: decides edges and shadows.
pub fn thickness(material: Material) -> f32 {
    match material {
        Material::Padded => 1.3,
        Material::Fleece | Material::Knit => 0.75,
        Material::Leather | Material::Straw => 0.6,
        Material::Denim | Material::Canvas => 0.5,
        Material::Jersey | Material::Synthetic => 0.38,
        Material::Woven | Material::Lace => 0.32,
    }
}

/// The surface at a place on the cloth (cm); details below `pixel` cm fade into their mean.
pub fn texture(material: Material, seed: u32, [u, v]: [f32; 2], pixel: f32) -> Texture {
    // How visible a detail of the given period is at this resolution.
    let seen = |period: f32| step(1.6, 3.2, period / pixel);
    let fibre = |strength: f32| {
        1.0 + strength * (lattice(seed, (u / pixel) as i32, (v / pixel) as i32) - 0.5)
            + strength * smooth(seed + 1, u * 1.1, v * 1.1)
    };
    match material {
        Material::Jersey => Texture { tone: fibre(0.035), height: 0.0 },
        Material::Synthetic => {
            let mesh = (u * 14.0).sin() * (v * 14.0).sin() * seen(0.45);
            Texture { tone: fibre(0.025) + 0.11 * mesh, height: 0.0 }
        }
        Material::Woven => {
            let slub = smooth(seed, u * 0.5, v * 5.0) + smooth(seed + 3, u * 5.0, v * 0.5);
            Texture { tone: fibre(0.03) + 0.018 * slub, height: 0.0 }
        }
        Material::Canvas => {
            let weave = (u * 8.0).sin() * (v * 8.0).sin() * seen(0.8);
            Texture { tone: fibre(0.06) + 0.035 * weave, height: 0.006 * weave }
        }
        Material::Denim => {
            let twill = ((u + v * 0.6) * 7.0).sin() * seen(0.9);
            let slub = smooth(seed, u * 2.4, v * 0.35);
            let worn = fractal(seed + 5, u * 0.07, v * 0.05, 3);
            let tone = fibre(0.12) + 0.08 * twill + 0.15 * slub + 0.3 * worn;
            Texture { tone: tone.max(0.84), height: 0.015 * twill }
        }
        Material::Knit => knit(seed, u, v, seen(1.4)),
        Material::Fleece => {
            let fuzz = fractal(seed, u * 1.6, v * 1.6, 3);
            Texture { tone: fibre(0.08) + 0.09 * fuzz, height: 0.09 * fuzz }
        }
        Material::Leather => {
            let grain = crease(seed, u * 3.1, v * 3.1) * seen(0.35);
            let wear = fractal(seed + 2, u * 0.18, v * 0.18, 3);
            Texture { tone: 1.0 + 0.14 * wear - 0.05 * grain, height: -0.012 * grain }
        }
        Material::Padded => {
            let row = v / 7.5;
            let puff = (row - row.floor() - 0.5).abs() * 2.0;
            let pucker = smooth(seed, u * 0.45, row.floor() * 9.0 + v * 0.12) * puff * puff;
            let round = (1.0 - puff * puff).max(0.0).sqrt();
            let stitch = step(0.9, 1.0, puff);
            Texture { tone: fibre(0.02) - 0.3 * stitch, height: 1.25 * round + 0.55 * pucker }
        }
        Material::Lace => {
            let solid = lace_motif(u, v);
            let net = (u * 6.5).sin() * (v * 6.5).sin() * seen(0.9);
            let open = 0.54 + 0.16 * net;
            Texture { tone: fibre(0.04) + 0.06 - open * (1.0 - solid), height: 0.07 * solid }
        }
        Material::Straw => {
            let (row, column) = ((v / 0.9).floor(), (u / 1.4 + 0.5 * (v / 0.9).floor()).floor());
            let strand = lattice(seed, column as i32, row as i32);
            let ridge = ((v / 0.9).fract().abs() - 0.5).abs() * 2.0;
            Texture { tone: 0.82 + 0.32 * strand - 0.22 * ridge, height: 0.12 * (1.0 - ridge) }
        }
    }
}

/// The close parts of lace: flowers in staggered rows, joined by stems; 1 where the lace is close.
fn lace_motif(u: f32, v: f32) -> f32 {
    let (x, y) = (u / 5.2, v / 5.2);
    let row = y.floor();
    let dx = (x + 0.5 * row).rem_euclid(1.0) - 0.5;
    let dy = y - row - 0.5;
    let (radius, angle) = (dx.hypot(dy), dy.atan2(dx));
    let edge = 0.27 + 0.09 * (angle * 6.0).cos();
    let petals = 1.0 - step(edge - 0.04, edge + 0.04, radius);
    let eye = step(0.05, 0.09, radius);
    let vein = step(0.0, 0.12, (angle * 3.0).sin().abs() + 0.3 * (1.0 - step(0.1, 0.2, radius)));
    let stem = 1.0 - step(0.03, 0.07, (dy - 0.3 * (dx * std::f32::consts::TAU).cos()).abs());
    (petals * eye * (0.55 + 0.45 * vein)).max(stem)
}

/// Knitted cloth: fine ribs, chunky ribs, or cables, by seed.
fn knit(seed: u32, u: f32, v: f32, seen: f32) -> Texture {
    let yarn = 1.0 + 0.07 * smooth(seed, u * 2.0, v * 1.2);
    let width = [1.7, 2.8, 2.2][seed as usize % 3];
    let (x, column) = ((u / width).rem_euclid(1.0) - 0.5, (u / width).floor());
    // Each stitch is a "v": its two legs slope towards the middle of the column.
    let stitch = ((v / (width * 0.62) + x.abs() * 1.4) * std::f32::consts::TAU).sin() * seen;
    let rib = (x * std::f32::consts::PI).cos();
    let cable = if seed % 3 == 2 && (column as i32).rem_euclid(5) == 0 {
        (v * 0.9 + x * 5.0).sin() * 0.5
    } else {
        0.0
    };
    let tone = yarn + 0.2 * (rib - 0.6) * seen + 0.1 * stitch + 0.12 * cable;
    Texture { tone, height: (0.3 * rib + 0.05 * stitch + 0.2 * cable) * seen }
}
