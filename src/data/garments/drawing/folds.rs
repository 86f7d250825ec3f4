//! Folds and creases of cloth that somebody laid down by hand.

use super::layer::{Folds, Frame, Gather};
use super::noise::{crease, fractal, smooth, step};
use super::outline::Point;

/// Height of the cloth at a point of the garment, in cm, about 0 on average.
pub fn height(folds: &Folds, frame: &Frame, seed: u32, p: Point) -> f32 {
    if folds.depth <= 0.0 && folds.gathers.is_empty() {
        return 0.0;
    }
    let [u, v] = frame.local(p);
    let width = folds.width.max(0.5);
    // Bend the coordinates a little, so that no fold is straight.
    let bend = 0.7 * width * smooth(seed + 9, u / (2.2 * width), v / (2.2 * width));
    let (u, v) = (u + bend, v - 0.6 * bend);
    let long = smooth(seed, u / (1.2 * width), v / (4.5 * width));
    let tilted = |k: u32, lean: f32, across: f32, along: f32| {
        let (sin, cos) = lean.sin_cos();
        crease(seed + k, (u * cos + v * sin) / (across * width), (v * cos - u * sin) / (along * width))
    };
    // Creases come in patches; elsewhere the cloth lies smooth.
    let patch = |k: u32| step(-0.25, 0.6, smooth(seed + k, u / (2.6 * width), v / (2.6 * width)));
    let sharp = tilted(2, 0.45, 1.25, 3.4) * patch(12) + 0.8 * tilted(4, -0.6, 1.1, 2.8) * patch(14);
    let small = tilted(5, 0.9, 0.55, 1.5) * patch(15) + tilted(6, -0.2, 0.5, 1.6) * patch(16);
    let fine = fractal(seed + 3, u / (0.4 * width), v / (0.55 * width), 2);
    let laid = folds.depth * (0.6 * long + 0.75 * sharp + 0.28 * small + 0.13 * fine);
    laid + folds.gathers.iter().map(|gather| gathered(gather, seed, p)).sum::<f32>()
}

fn gathered(gather: &Gather, seed: u32, p: Point) -> f32 {
    let (dx, dy) = (gather.to[0] - gather.from[0], gather.to[1] - gather.from[1]);
    let length = dx.hypot(dy).max(1e-3);
    let (x, y) = (p[0] - gather.from[0], p[1] - gather.from[1]);
    let along = (x * dx + y * dy) / length;
    let away = ((x * dy - y * dx) / length).abs();
    let beyond = (along - length).max(-along).max(0.0);
    let fade = (-(away + beyond) / gather.reach).exp();
    if fade < 0.02 {
        return 0.0;
    }
    // Folds spread as they leave the seam.
    let spread = gather.spacing * (1.0 + 0.5 * away / gather.reach);
    let middle = along - 0.5 * length;
    gather.depth * fade * smooth(seed + 21, middle / spread + 50.0, away / (gather.reach * 1.5))
}
