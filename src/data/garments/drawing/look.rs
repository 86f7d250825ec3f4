//! The exact shades and the print of a garment: what its labels leave open.

use super::garment::Garment;
use super::layer::Cloth;
use super::palette::{contrast, dim, hex, lightness, shade, shades, Rgb};
use super::print::{Motif, Print};
use super::rng::Rng;
use crate::data::garments::vocabulary::{Category, Colour, Material, Pattern};

/// The colours and the cloth of one garment.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The cloth most of it is cut from.
    pub cloth: Cloth,
    /// Ribbing, collars, piping: the main colour or one that goes with it, never printed.
    pub trim: Cloth,
    /// Thread of visible stitches.
    pub thread: Rgb,
    /// Zips, buckles, eyelets.
    pub metal: Rgb,
    /// Buttons.
    pub button: Rgb,
    /// Ink of pictures and letters.
    pub ink: Rgb,
    /// Second ink of pictures.
    pub second_ink: Rgb,
}

impl Look {
    /// The look of a garment.
    pub fn of(garment: &Garment) -> Self {
        let mut rng = garment.stream(1);
        let base = match (garment.material, garment.colour) {
            (Material::Denim, Colour::Blue) => {
                hex(rng.pick([0x3f5f8e, 0x2b3f63, 0x5c7fae, 0x86a5c9, 0x4a6f9f]))
            }
            (Material::Straw, Colour::Beige) => hex(rng.pick([0xd9bf8a, 0xcdb07a])),
            (_, Colour::Multi) => multi_ground(garment.pattern, &mut rng),
            (_, colour) => shade(colour, &mut rng),
        };
        let cloth =
            Cloth { base, material: garment.material, print: print(garment, base, &mut rng), tone: 1.0 };
        let mut trim = Cloth { print: None, ..cloth };
        let sporty = matches!(garment.category, Category::Polo | Category::TShirt | Category::Bodysuit);
        if garment.colour == Colour::Multi {
            trim.base = cloth.print.map_or(base, |print| print.inks[0]);
        } else if sporty && rng.chance(0.22) || garment.category == Category::Bodysuit && rng.chance(0.4) {
            trim.base = cloth.print.map_or_else(|| contrast(base, &mut rng), |print| print.inks[0]);
        }
        if garment.material == Material::Lace || garment.material == Material::Padded {
            trim.material = Material::Woven;
        }
        let thread = match garment.material {
            Material::Denim => hex(0xe2a552),
            _ if lightness(base) > 0.5 => dim(base, 0.62),
            _ => base.map(|c| (c * 1.9 + 0.03).min(1.0)),
        };
        let button = match lightness(base) {
            light if light > 0.6 => hex(rng.pick([0x4a3a30, 0x2c2c30, 0x8a6a48, 0x6a6d74])),
            middle if middle > 0.3 => hex(rng.pick([0xf0ede6, 0x2a2420])),
            _ => hex(rng.pick([0xf0ede6, 0xd8d2c4, 0xb59a6a])),
        };
        let ink = contrast(base, &mut rng);
        let metal = hex(rng.pick([0xd2d4d8, 0xb4b6ba, 0xcfae62, 0xd2d4d8]));
        Self { cloth, trim, thread, metal, button, ink, second_ink: contrast(base, &mut rng) }
    }

    /// The inside of the garment, in shadow.
    pub fn inside(&self) -> Cloth {
        Cloth { print: None, tone: 0.42, ..self.trim }
    }
}

/// The ground of a cloth without a dominant colour.
fn multi_ground(pattern: Pattern, rng: &mut Rng) -> Rgb {
    match pattern {
        Pattern::Striped | Pattern::Checked => hex(rng.pick([0xece8dd, 0x2a3a5c])),
        _ => hex(rng.pick([0xf0ece2, 0x20222c, 0xe6d7c3, 0x22304e])),
    }
}

/// The print of a garment whose ground is `base`; pictures and letters are not repeating prints.
fn print(garment: &Garment, base: Rgb, rng: &mut Rng) -> Option<Print> {
    let small = match garment.category {
        Category::Bodysuit => 0.62,
        Category::Hat | Category::Sandals | Category::Shoes | Category::Sneakers | Category::Heels => 0.42,
        Category::Boots => 0.5,
        _ => 1.0,
    };
    let (motif, period) = match garment.pattern {
        Pattern::Plain | Pattern::Graphic | Pattern::Text => return None,
        Pattern::Striped if garment.colour == Colour::Multi => (Motif::Bands, rng.range(2.6, 4.5)),
        Pattern::Striped if garment.category == Category::Shirt => {
            (rng.pick([Motif::Pinstripes, Motif::Stripes]), rng.range(2.2, 3.6))
        }
        Pattern::Striped => (Motif::Stripes, rng.range(2.6, 6.5)),
        Pattern::Checked if garment.colour == Colour::Multi => (Motif::Tartan, rng.range(7.0, 11.0)),
        Pattern::Checked => {
            let motif = rng.pick([Motif::Gingham, Motif::Tartan, Motif::Tartan, Motif::Windowpane]);
            (motif, if motif == Motif::Gingham { rng.range(3.0, 5.0) } else { rng.range(6.0, 11.0) })
        }
        Pattern::Dotted => (Motif::Dots, rng.range(3.2, 5.6)),
        Pattern::Floral => match rng.below(3) {
            0 => (Motif::Blossoms, rng.range(6.0, 9.0)),
            1 => (Motif::Roses, rng.range(8.5, 13.0)),
            _ => (Motif::Daisies, rng.range(6.5, 10.0)),
        },
        Pattern::Camo => (Motif::Camouflage, rng.range(9.0, 13.0)),
        Pattern::Other => {
            let motif = rng.pick([
                Motif::Leopard,
                Motif::Chevrons,
                Motif::Stars,
                Motif::Triangles,
                Motif::Diamonds,
                Motif::Hearts,
            ]);
            let large = matches!(motif, Motif::Diamonds | Motif::Leopard | Motif::Triangles);
            (motif, if large { rng.range(6.0, 9.0) } else { rng.range(4.5, 7.0) })
        }
    };
    let formal = matches!(garment.category, Category::Shirt | Category::Blazer | Category::Pants);
    let upright = garment.pattern == Pattern::Striped && (formal || rng.chance(0.15));
    let seed = rng.bits() as u32;
    Some(Print { motif, period: period * small, inks: inks(garment, motif, base, rng), upright, seed })
}

/// Inks that go with the ground and do not hide the garment's colour.
fn inks(garment: &Garment, motif: Motif, base: Rgb, rng: &mut Rng) -> [Rgb; 4] {
    const BRIGHT: [u32; 8] = [0xd8485a, 0xe9a93c, 0x3f7fb8, 0xe58aa8, 0x4f9a68, 0xe0703a, 0x7d5ba6, 0xf0d264];
    let leaf = hex(rng.pick([0x4f7f4a, 0x6f8f4a, 0x2f6650]));
    if garment.colour == Colour::Multi {
        let start = rng.below(BRIGHT.len());
        let bright = |k: usize| hex(BRIGHT[(start + 3 * k) % BRIGHT.len()]);
        let last = if garment.pattern == Pattern::Floral { leaf } else { bright(3) };
        return [bright(0), bright(1), bright(2), last];
    }
    match motif {
        Motif::Camouflage => match garment.colour {
            Colour::Grey => [0x5d6066, 0xb4b6b8, 0x2a2b2e, 0x8c8e92].map(hex),
            Colour::Brown => [0x4a3424, 0xa98d64, 0x2a211b, 0x7d5236].map(hex),
            _ => [0x3d4a2c, 0x8d8a5c, 0x23251f, 0x5d6b3c].map(hex),
        },
        Motif::Leopard => {
            let rim = if lightness(base) > 0.35 { hex(0x2a1d16) } else { hex(0xc9a26b) };
            [rim, dim(base, 0.7), rim, rim]
        }
        Motif::Blossoms | Motif::Roses | Motif::Daisies => {
            let flower = |rng: &mut Rng| {
                const PETALS: [u32; 7] =
                    [0xf2ece6, 0xe58aa8, 0xd8485a, 0x6a8fd0, 0xa58ac8, 0xf0c76a, 0xe88a5a];
                let start = rng.below(PETALS.len());
                (start..start + PETALS.len())
                    .map(|i| hex(PETALS[i % PETALS.len()]))
                    .find(|petals| (lightness(*petals) - lightness(base)).abs() > 0.18)
                    .unwrap_or_else(|| contrast(base, rng))
            };
            [
                flower(rng),
                flower(rng),
                hex(0xe8b93c),
                if lightness(base) < 0.3 { hex(0x86a86a) } else { leaf },
            ]
        }
        Motif::Gingham | Motif::Tartan if lightness(base) > 0.75 => {
            let tint = shades(rng.pick([Colour::Blue, Colour::Black, Colour::Red, Colour::Green]));
            [hex(tint[0]), contrast(base, rng), contrast(base, rng), contrast(base, rng)]
        }
        _ => {
            let first = contrast(base, rng);
            [first, contrast(base, rng), contrast(base, rng), first]
        }
    }
}
