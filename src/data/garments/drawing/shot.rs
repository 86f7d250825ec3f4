//! The conditions under which a garment is photographed: ground, light, camera, and how it was laid.

use super::garment::Garment;
use super::look::Look;
use super::palette::{hex, lightness, Rgb};
use super::rng::{mix, Rng};

/// What the garment lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// A bed sheet with wrinkles.
    Sheet,
    /// A floor of wooden boards.
    Boards,
    /// A carpet with a pile.
    Carpet,
    /// Plain painted wall or table.
    Wall,
    /// A quilted blanket.
    Blanket,
    /// Floor tiles.
    Tiles,
}

/// One photograph of a garment, apart from the garment itself.
#[derive(Clone, Debug)]
pub struct Shot {
    /// Varies folds, fibres of the ground and sensor noise.
    pub seed: u64,
    /// What the garment lies on.
    pub ground: Ground,
    /// Main colour of the ground.
    pub ground_colour: Rgb,
    /// Direction of the light in the picture, in radians (0 from the right, growing clockwise).
    pub light_angle: f32,
    /// Height of the light above the ground, in radians.
    pub light_height: f32,
    /// Share of the light that comes from everywhere, in `0.0..=1.0`.
    pub ambient: f32,
    /// Exposure, about 1.
    pub exposure: f32,
    /// Gain of each channel: an imperfect white balance.
    pub white_balance: Rgb,
    /// Rotation of the garment, in radians.
    pub rotation: f32,
    /// How much the far side of the picture is smaller, per half picture, horizontally and vertically.
    pub perspective: [f32; 2],
    /// Share of the picture's side that the garment's longer side fills.
    pub fill: f32,
    /// Shift of the garment from the middle, as a share of the picture's side.
    pub offset: [f32; 2],
    /// Blur of the lens, as a share of the picture's side.
    pub blur: f32,
    /// Standard deviation of the sensor's noise in linear light.
    pub noise: f32,
    /// Darkening of the corners, in `0.0..=1.0`.
    pub vignette: f32,
    /// How the garment was laid down.
    pub pose: Pose,
}

/// How the garment was laid down; drawings that do not need a value ignore it.
#[derive(Clone, Copy, Debug)]
pub struct Pose {
    /// Turn of the left and the right limb (sleeve, trouser leg, shoe) from its usual place, in radians.
    pub limbs: [f32; 2],
    /// Bend of the left and the right limb at its middle, in radians.
    pub bends: [f32; 2],
    /// Depth of the folds relative to the usual.
    pub crumple: f32,
    /// How far the outline wanders, relative to the usual.
    pub wobble: f32,
}

/// Least difference between the lightness of garment and ground that people look for.
const CONTRAST: f32 = 0.16;

impl Shot {
    /// A shot of a garment on a ground from which it stands out, as people choose it: the first of a few.
    pub fn suiting(garment: &Garment, seed: u64) -> Self {
        let cloth = lightness(Look::of(garment).cloth.base);
        let mut shot = Self::sample(seed);
        for again in 1..12 {
            if (lightness(shot.ground_colour) - cloth).abs() > CONTRAST {
                break;
            }
            shot = Self::sample(mix(mix(seed).wrapping_add(again)));
        }
        shot
    }

    /// The shot that belongs to a seed.
    pub fn sample(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0x5407);
        let ground = rng.pick([
            Ground::Sheet,
            Ground::Sheet,
            Ground::Sheet,
            Ground::Boards,
            Ground::Boards,
            Ground::Carpet,
            Ground::Wall,
            Ground::Blanket,
            Ground::Tiles,
        ]);
        let colours: &[u32] = match ground {
            Ground::Sheet => {
                &[0xe9e6df, 0xd9d4c8, 0xdfe2e6, 0xa8232c, 0x29324c, 0xb9bec6, 0xcdb8a8, 0x9fb0bf, 0xe6dccb]
            }
            Ground::Boards => &[0xb98a55, 0xc9a26b, 0x8a8681, 0x6a4a34, 0xd2b48a, 0xa89a8a],
            Ground::Carpet => &[0xb8b0a3, 0x8d8578, 0xcac4ba, 0x6f7480],
            Ground::Wall => &[0xd6d4cf, 0xe3e1dc, 0xc2c4c6, 0xd9cfc2],
            Ground::Blanket => &[0x9a9ca1, 0xb8b9bd, 0xc7bfb4, 0x868b95],
            Ground::Tiles => &[0xcfc8bb, 0xd8d5d0, 0xbdb4a5],
        };
        let warm = rng.range(-0.06, 0.09);
        let tint = rng.range(-0.015, 0.02);
        let mut both = |low: f32, high: f32| [rng.range(low, high), rng.range(low, high)];
        let pose = Pose {
            limbs: both(-0.16, 0.16),
            bends: both(-0.3, 0.22),
            crumple: both(0.6, 1.35)[0],
            wobble: both(0.6, 1.3)[0],
        };
        Self {
            seed,
            ground,
            ground_colour: hex(colours[rng.below(colours.len())]),
            light_angle: rng.range(-2.9, -0.3),
            light_height: rng.range(0.6, 0.95),
            ambient: rng.range(0.34, 0.55),
            exposure: rng.range(0.86, 1.12),
            white_balance: [1.0 + warm, 1.0 + tint, 1.0 - warm],
            rotation: (rng.range(-1.0, 1.0) * rng.unit()) * 0.26,
            perspective: [rng.range(-0.035, 0.035), rng.range(-0.02, 0.08)],
            fill: rng.range(0.76, 0.92),
            offset: [rng.range(-0.03, 0.03), rng.range(-0.03, 0.03)],
            blur: rng.range(0.001, 0.0032),
            noise: rng.range(0.004, 0.014),
            vignette: rng.range(0.05, 0.25),
            pose,
        }
    }
}
