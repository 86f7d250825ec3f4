//! Prints that repeat over the cloth, as functions of the place on the cloth.

use super::noise::{fractal, lattice, mix, smooth, step};
use super::palette::Rgb;

/// The kinds of repeating print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motif {
    /// Stripes across the cloth.
    Stripes,
    /// Thin lines far apart, across the cloth.
    Pinstripes,
    /// Bands of several colours.
    Bands,
    /// Two-tone squares with a half tone between.
    Gingham,
    /// Broad and thin bands crossing each other.
    Tartan,
    /// Thin lines crossing each other.
    Windowpane,
    /// Round dots on a staggered grid.
    Dots,
    /// Small scattered flowers with five round petals.
    Blossoms,
    /// Large flowers with many petals and leaves.
    Roses,
    /// Daisies with narrow petals.
    Daisies,
    /// Blotches in four greens or greys.
    Camouflage,
    /// Rosettes of a leopard.
    Leopard,
    /// Zigzag lines.
    Chevrons,
    /// Five-pointed stars.
    Stars,
    /// Triangles in rows.
    Triangles,
    /// Diamonds with a core.
    Diamonds,
    /// Little hearts.
    Hearts,
}

/// A repeating print: a motif, its size and its inks.
#[derive(Clone, Copy, Debug)]
pub struct Print {
    /// What repeats.
    pub motif: Motif,
    /// Distance between repeats, in cm.
    pub period: f32,
    /// The inks; the first is the most visible.
    pub inks: [Rgb; 4],
    /// Whether stripes run along the cloth instead of across.
    pub upright: bool,
    /// Varies what the motif leaves to chance.
    pub seed: u32,
}

/// An ink and how much of the cloth it covers, in `0.0..=1.0`.
type Dab = (Rgb, f32);

impl Print {
    /// The ink at a place on the cloth (cm), with edges softened over `blur` cm.
    pub fn at(&self, [u, v]: [f32; 2], blur: f32) -> Dab {
        let (x, y) = if self.upright { (v, u) } else { (u, v) };
        let (x, y, soft) = (x / self.period, y / self.period, (blur / self.period).max(0.01));
        let first = self.inks[0];
        match self.motif {
            Motif::Stripes => (first, bar(y, 0.42, soft)),
            Motif::Pinstripes => (first, bar(y, 0.16, soft)),
            Motif::Bands => {
                let row = y.floor() as i32;
                let edge = bar(y, 0.94, soft);
                let ink = self.inks[row.rem_euclid(4) as usize];
                if row.rem_euclid(5) == 4 {
                    (ink, 0.0)
                } else {
                    (ink, edge)
                }
            }
            Motif::Gingham => (first, 0.5 * (bar(x, 0.5, soft) + bar(y, 0.5, soft))),
            Motif::Tartan => self.tartan(x, y, soft),
            Motif::Windowpane => (first, bar(x, 0.1, soft).max(bar(y, 0.1, soft))),
            Motif::Dots => {
                let row = (y * 1.15 + 0.5).floor();
                let dx = wrap(x + 0.5 * row);
                (first, disc(dx.hypot(wrap(y * 1.15) / 1.15), 0.24, soft))
            }
            Motif::Camouflage => {
                let n = |k: u32, s: f32| fractal(self.seed + k, x * s + 3.0 * k as f32, y * s * 1.6, 3);
                let dark = step(0.12, 0.12 + soft, n(1, 0.8));
                let light = step(0.16, 0.16 + soft, n(2, 0.9));
                let black = step(0.26, 0.26 + soft, n(3, 1.1));
                if black > 0.5 {
                    (self.inks[2], black)
                } else if dark > 0.5 {
                    (self.inks[0], dark)
                } else {
                    (self.inks[1], light)
                }
            }
            Motif::Chevrons => (first, bar(y + wrap(x * 0.7).abs() * 1.8, 0.42, soft)),
            Motif::Triangles => {
                let (cx, cy) = (wrap(x + 0.5 * y.floor()), y - y.floor());
                let inside = step(-soft, soft, 0.42 * cy - cx.abs() + 0.02) * step(0.0, soft, cy - 0.2);
                (self.inks[lattice(self.seed, y.floor() as i32, 1).mul_add(3.0, 0.0) as usize], inside)
            }
            Motif::Blossoms | Motif::Roses | Motif::Daisies => {
                let large = self.scattered(x, y, soft);
                if large.1 > 0.1 {
                    large
                } else {
                    self.filling(x * 2.3, y * 2.3, soft * 2.3)
                }
            }
            _ => self.scattered(x, y, soft),
        }
    }

    fn tartan(&self, x: f32, y: f32, soft: f32) -> Dab {
        let along = |t: f32| (bar(t, 0.46, soft), bar(t + 0.5, 0.05, soft), bar(t + 0.12, 0.05, soft));
        let ((bx, lx, mx), (by, ly, my)) = (along(x), along(y));
        let (broad, fine, other) = (0.5 * (bx + by), lx.max(ly), mx.max(my));
        if fine > 0.3 {
            (self.inks[1], 0.8 * fine)
        } else if other > 0.3 {
            (self.inks[2], 0.8 * other)
        } else {
            (self.inks[0], broad * 0.9)
        }
    }

    /// Motifs that lie scattered, one in each cell of a jittered grid.
    fn scattered(&self, x: f32, y: f32, soft: f32) -> Dab {
        let mut best = (self.inks[0], 0.0);
        for j in -1..=1 {
            for i in -1..=1 {
                let (cx, cy) = (x.floor() as i32 + i, y.floor() as i32 + j);
                let chance = |k: u32| lattice(self.seed.wrapping_add(k), cx, cy);
                let dx = x - cx as f32 - 0.5 - 0.5 * (chance(1) - 0.5) - 0.5 * (cy & 1) as f32 + 0.25;
                let dy = y - cy as f32 - 0.5 - 0.5 * (chance(2) - 0.5);
                let (radius, angle) = (dx.hypot(dy), dy.atan2(dx) + std::f32::consts::TAU * chance(3));
                if radius > 0.85 {
                    continue;
                }
                let size = 0.8 + 0.4 * chance(4);
                let dab = self.figure(radius / size, angle, [dx, dy], chance(5), soft);
                if dab.1 > best.1 {
                    best = dab;
                }
            }
        }
        best
    }

    /// Buds and leaves between the flowers.
    fn filling(&self, x: f32, y: f32, soft: f32) -> Dab {
        let (cx, cy) = (x.floor() as i32, y.floor() as i32);
        let chance = |k: u32| lattice(self.seed.wrapping_add(70 + k), cx, cy);
        let dx = x - cx as f32 - 0.5 - 0.3 * (chance(1) - 0.5);
        let dy = y - cy as f32 - 0.5 - 0.3 * (chance(2) - 0.5);
        let (sin, cos) = (std::f32::consts::TAU * chance(3)).sin_cos();
        let (along, across) = (dx * cos + dy * sin, dy * cos - dx * sin);
        match chance(4) {
            luck if luck < 0.35 => (self.inks[3], disc((along / 0.34).hypot(across / 0.13), 1.0, soft * 4.0)),
            luck if luck < 0.6 => (self.inks[1], disc(dx.hypot(dy), 0.16, soft)),
            _ => (self.inks[3], 0.0),
        }
    }

    /// One motif around its own middle; `radius` is in periods, `luck` picks its variant.
    fn figure(&self, radius: f32, angle: f32, [dx, dy]: [f32; 2], luck: f32, soft: f32) -> Dab {
        let wave = |petals: f32| (angle * petals).cos();
        let ink = self.inks[if luck < 0.6 { 0 } else { 1 }];
        let leaf = |reach: f32| {
            let (lx, ly) = (radius * (angle * 1.0).cos(), radius * (angle * 1.0).sin());
            let middle = (lx.abs() - reach) / 0.15;
            disc(middle.hypot(ly / 0.07), 1.0, soft / 0.1)
        };
        match self.motif {
            Motif::Blossoms => {
                let petals = disc(radius, 0.2 + 0.13 * wave(2.5).abs().sqrt(), soft);
                let heart = disc(radius, 0.075, soft);
                let green = leaf(0.36);
                if heart > 0.5 {
                    (self.inks[2], heart)
                } else {
                    over((ink, petals), (self.inks[3], green))
                }
            }
            Motif::Roses => {
                let edge = 0.29 + 0.11 * wave(3.0).abs().sqrt() * (0.8 + 0.4 * luck);
                let petals = disc(radius, edge, soft);
                let whorl = smooth(self.seed, radius * 13.0, angle * 1.4) * 0.5 + 0.5;
                let shade = mix(0.62, 1.08, whorl) * mix(0.8, 1.0, step(0.0, 0.25, radius));
                let rose = ink.map(|c| (c * shade).min(1.0));
                over((rose, petals), (self.inks[3], leaf(0.42)))
            }
            Motif::Daisies => {
                let petals = disc(radius, 0.2 + 0.13 * wave(9.0), soft);
                let heart = disc(radius, 0.1, soft);
                if heart > 0.5 {
                    (self.inks[2], heart)
                } else {
                    over((ink, petals), (self.inks[3], leaf(0.4)))
                }
            }
            Motif::Leopard => {
                let edge = 0.3 + 0.08 * smooth(self.seed, angle.cos() * 2.0 + luck * 40.0, angle.sin() * 2.0);
                let rim = disc((radius - edge + 0.07).abs(), 0.07, soft);
                let gap = step(-0.55, -0.4, (angle * 3.0 + luck * 6.0).sin());
                let inside = disc(radius, edge - 0.08, soft);
                over((self.inks[0], rim * gap), (self.inks[1], inside * 0.7))
            }
            Motif::Stars => (ink, disc(radius, 0.21 + 0.09 * (angle * 5.0).cos(), soft)),
            Motif::Diamonds => {
                let away = (dx.abs() + 0.7 * dy.abs()) / 0.34;
                let rim = disc((away - 0.9).abs(), 0.14, soft * 3.0);
                let core = disc(away, 0.5, soft * 3.0);
                if rim > core {
                    (self.inks[0], rim)
                } else {
                    (self.inks[1], core)
                }
            }
            _ => {
                let (hx, hy) = (dx.abs() / 0.26, -dy / 0.26);
                let shape = hx * hx + (hy - 0.75 * hx.sqrt()).powi(2);
                (ink, 1.0 - step(1.0 - 6.0 * soft, 1.0 + 6.0 * soft, shape))
            }
        }
    }
}

/// The distance to the nearest whole number, with its sign, in `-0.5..=0.5`.
fn wrap(t: f32) -> f32 {
    t - (t + 0.5).floor()
}

/// A bar that covers `share` of every unit.
fn bar(t: f32, share: f32, soft: f32) -> f32 {
    1.0 - step(share / 2.0 - soft / 2.0, share / 2.0 + soft / 2.0, wrap(t).abs())
}

/// 1 inside `edge`, 0 outside.
fn disc(radius: f32, edge: f32, soft: f32) -> f32 {
    1.0 - step(edge - soft / 2.0, edge + soft / 2.0, radius)
}

/// The stronger of two dabs, where the first wins if it covers half.
fn over(front: Dab, back: Dab) -> Dab {
    if front.1 > 0.5 || front.1 >= back.1 {
        front
    } else {
        back
    }
}
