//! What the garment lies on: sheets, boards, carpets, walls, blankets and tiles.

use super::noise::{crease, fractal, lattice, smooth, step};
use super::outline::{turn, Point};
use super::palette::{dim, Rgb};
use super::shot::{Ground, Shot};

/// Colour and height (cm) of the ground at a point of its plane (cm).
pub fn ground(shot: &Shot, p: Point, pixel: f32) -> (Rgb, f32) {
    let seed = shot.seed as u32;
    let [x, y] = turn(p, lattice(seed, 7, 7) * 0.5 - 0.25);
    let base = shot.ground_colour;
    match shot.ground {
        Ground::Sheet => {
            let waves = fractal(seed, x / 26.0, y / 26.0, 3);
            let bend = 9.0 * smooth(seed + 8, x / 22.0, y / 22.0);
            let (u, v) = (x + bend, y - bend);
            let long = crease(seed + 1, (u + 0.4 * v) / 14.0, (v - 0.4 * u) / 52.0);
            let cross = crease(seed + 2, (u - 0.7 * v) / 46.0, (v + 0.7 * u) / 17.0);
            let patch = step(-0.3, 0.5, smooth(seed + 5, x / 30.0, y / 30.0));
            let fine = fractal(seed + 3, u / 4.5, v / 4.5, 3);
            (base, 2.2 * waves + 1.5 * patch * long + 1.1 * (1.0 - patch) * cross + 0.28 * fine)
        }
        Ground::Boards => {
            let (width, long) = (11.0, 90.0);
            let column = (x / width).floor();
            let along = y / long + lattice(seed, column as i32, 3);
            let board = lattice(seed + 1, column as i32, along.floor() as i32);
            let grain = fractal(seed + 2 + (board * 900.0) as u32, x / 0.9, y / 17.0, 4);
            let rings = smooth(seed + 3, x / 2.5 + 3.0 * board + 0.4 * grain, y / 40.0);
            let edge = (x / width - column - 0.5).abs() * 2.0;
            let end = (along - along.floor() - 0.5).abs() * 2.0;
            let gap = step(1.0 - 0.5 / width - pixel / width, 1.0, edge).max(step(0.994, 1.0, end));
            let tone = 0.84 + 0.26 * board + 0.16 * grain + 0.1 * rings;
            (dim(base, tone * (1.0 - 0.55 * gap)), -0.05 * gap)
        }
        Ground::Carpet => {
            let pile = fractal(seed, x / 1.1, y / 1.1, 3);
            let tufts = smooth(seed + 1, x / 3.2, y / 3.2);
            let worn = fractal(seed + 2, x / 18.0, y / 18.0, 2);
            (dim(base, 1.0 + 0.3 * pile + 0.1 * tufts + 0.12 * worn), 0.22 * pile + 0.15 * tufts)
        }
        Ground::Wall => {
            let paint = fractal(seed, x / 0.8, y / 0.8, 2);
            let stain = fractal(seed + 1, x / 40.0, y / 40.0, 2);
            (dim(base, 1.0 + 0.02 * paint + 0.05 * stain), 0.015 * paint)
        }
        Ground::Blanket => {
            let (a, b) = ((x + y) / 17.0, (x - y) / 17.0);
            let groove = |t: f32| ((t - t.floor() - 0.5).abs() * 2.0).powi(6);
            let (quilt, soft) = (groove(a).max(groove(b)), fractal(seed, x / 12.0, y / 12.0, 3));
            (dim(base, 1.0 - 0.12 * quilt + 0.03 * soft), 0.9 * soft - 0.55 * quilt)
        }
        Ground::Tiles => {
            let side = 33.0;
            let (column, row) = ((x / side).floor(), (y / side).floor());
            let edge = ((x / side - column - 0.5).abs()).max((y / side - row - 0.5).abs()) * 2.0;
            let gap = step(1.0 - 0.9 / side - pixel / side, 1.0, edge);
            let cloud = fractal(seed, x / 9.0 + 31.0 * column, y / 9.0 + 17.0 * row, 4);
            let tone = 1.0 + 0.08 * cloud + 0.06 * (lattice(seed, column as i32, row as i32) - 0.5);
            (dim(base, tone * (1.0 - 0.42 * gap)), -0.04 * gap)
        }
    }
}
