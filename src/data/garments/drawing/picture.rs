//! Pictures printed on garments, each drawn from a few shapes in a square of side 2 around 0.

use super::layer::{Drawing, Trace};
use super::outline::{Curve, Point};
use super::palette::{dim, Rgb};
use super::rng::Rng;

/// Draws one of the pictures around `centre`, about `size` cm wide.
pub fn picture(drawing: &mut Drawing, centre: Point, size: f32, [ink, second]: [Rgb; 2], rng: &mut Rng) {
    let pencil = Pencil { centre, unit: size / 2.0 };
    match rng.below(8) {
        0 => mountains(drawing, &pencil, ink, second),
        1 => cat(drawing, &pencil, ink, second),
        2 => whale(drawing, &pencil, ink, second),
        3 => palm(drawing, &pencil, ink, second),
        4 => rocket(drawing, &pencil, ink, second),
        5 => dinosaur(drawing, &pencil, ink, second),
        6 => planet(drawing, &pencil, ink, second),
        _ => heart(drawing, &pencil, ink, second),
    }
}

/// Places shapes of the unit square on the cloth.
struct Pencil {
    centre: Point,
    unit: f32,
}

impl Pencil {
    fn place(&self, curve: &Curve) -> Curve {
        curve.map(|[x, y]| [self.centre[0] + x * self.unit, self.centre[1] + y * self.unit])
    }

    fn fill(&self, drawing: &mut Drawing, curve: &Curve, ink: Rgb) {
        drawing.ink(self.place(curve), ink);
    }

    fn dot(&self, drawing: &mut Drawing, at: Point, radius: f32, ink: Rgb) {
        self.fill(drawing, &Curve::ellipse(at, radius, radius), ink);
    }

    fn stroke(&self, drawing: &mut Drawing, curve: &Curve, width: f32, ink: Rgb) {
        drawing.raised(self.place(curve), Trace::Line(width * self.unit), ink, 0.0);
    }
}

fn mountains(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    p.dot(d, [0.0, 0.0], 1.0, second);
    p.dot(d, [0.3, -0.4], 0.28, ink);
    p.fill(d, &Curve::lines(&[[-0.86, 0.5], [-0.3, -0.4], [0.05, 0.1], [0.35, -0.15], [0.86, 0.5]]), ink);
    p.fill(d, &Curve::lines(&[[-0.44, -0.17], [-0.3, -0.4], [-0.16, -0.2], [-0.3, -0.08]]), dim(second, 0.8));
    p.stroke(d, &Curve::lines(&[[-0.78, 0.62], [0.78, 0.62]]), 0.07, ink);
    p.stroke(d, &Curve::lines(&[[-0.6, 0.78], [0.6, 0.78]]), 0.06, ink);
}

fn cat(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    for side in [-1.0, 1.0] {
        p.fill(d, &Curve::lines(&[[side * 0.85, -0.95], [side * 0.15, -0.5], [side * 0.8, -0.05]]), ink);
        p.fill(d, &Curve::lines(&[[side * 0.74, -0.7], [side * 0.38, -0.48], [side * 0.72, -0.25]]), second);
    }
    p.fill(d, &Curve::ellipse([0.0, 0.15], 0.9, 0.75), ink);
    for side in [-1.0, 1.0] {
        p.fill(d, &Curve::ellipse([side * 0.36, 0.0], 0.15, 0.2), second);
        p.dot(d, [side * 0.36, 0.02], 0.08, dim(ink, 0.4));
        for y in [0.28, 0.42] {
            p.stroke(d, &Curve::lines(&[[side * 0.3, y], [side * 1.08, y + (y - 0.3) * 0.8]]), 0.035, second);
        }
    }
    p.fill(d, &Curve::lines(&[[-0.12, 0.26], [0.12, 0.26], [0.0, 0.4]]), second);
    p.stroke(
        d,
        &Curve::from([-0.22, 0.52]).bend([-0.1, 0.62], [0.0, 0.42]).bend([0.1, 0.62], [0.22, 0.52]),
        0.05,
        second,
    );
}

fn whale(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    let body = Curve::from([-0.95, 0.1])
        .bend([-0.9, -0.55], [-0.2, -0.5])
        .bend([0.4, -0.45], [0.7, -0.02])
        .bend([0.72, -0.3], [0.5, -0.55])
        .bend([0.85, -0.5], [0.9, -0.25])
        .bend([1.05, -0.5], [1.25, -0.45])
        .bend([1.0, -0.1], [0.86, 0.2])
        .bend([0.5, 0.65], [-0.2, 0.6])
        .bend([-0.9, 0.55], [-0.95, 0.1]);
    p.fill(d, &body, ink);
    p.fill(
        d,
        &Curve::from([-0.9, 0.28]).bend([-0.3, 0.35], [0.3, 0.5]).bend([-0.8, 0.75], [-0.9, 0.28]),
        second,
    );
    p.dot(d, [-0.6, 0.02], 0.07, second);
    for side in [-1.0, 1.0] {
        let spout = Curve::from([-0.3, -0.55]).bend([-0.3, -0.95], [-0.3 + side * 0.3, -0.85]);
        p.stroke(d, &spout, 0.07, second);
    }
}

fn palm(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    p.dot(d, [0.15, -0.15], 0.72, second);
    p.stroke(d, &Curve::from([-0.1, 0.75]).bend([0.12, 0.2], [0.0, -0.35]), 0.12, ink);
    for (x, y) in [(-0.8, -0.2), (-0.62, -0.75), (0.05, -1.0), (0.7, -0.7), (0.8, -0.1)] {
        let leaf = Curve::from([0.0, -0.35])
            .bend([x * 0.5, y - 0.25], [x, y])
            .bend([x * 0.55, y * 0.6], [0.0, -0.35]);
        p.fill(d, &leaf, ink);
    }
    p.fill(d, &Curve::from([-0.8, 0.82]).bend([0.0, 0.45], [0.8, 0.82]), ink);
}

fn rocket(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    for side in [-1.0, 1.0] {
        p.fill(d, &Curve::lines(&[[side * 0.25, 0.15], [side * 0.62, 0.68], [side * 0.22, 0.55]]), second);
    }
    let flame = Curve::from([-0.18, 0.6]).bend([-0.1, 0.8], [0.0, 1.05]).bend([0.1, 0.8], [0.18, 0.6]);
    p.fill(d, &flame, second);
    let hull = Curve::from([0.0, -1.0])
        .bend([0.42, -0.6], [0.28, 0.6])
        .to([-0.28, 0.6])
        .bend([-0.42, -0.6], [0.0, -1.0]);
    p.fill(d, &hull, ink);
    p.dot(d, [0.0, -0.3], 0.17, second);
    p.dot(d, [0.0, -0.3], 0.1, dim(ink, 0.6));
    for (x, y) in [(-0.75, -0.6), (0.72, -0.4), (-0.7, 0.1), (0.8, 0.2)] {
        p.dot(d, [x, y], 0.06, ink);
    }
}

fn dinosaur(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    let body = Curve::through(&[
        [-1.0, 0.35],
        [-0.5, 0.0],
        [-0.1, -0.2],
        [0.15, -0.5],
        [0.3, -0.85],
        [0.7, -0.9],
        [0.88, -0.65],
        [0.6, -0.5],
        [0.5, -0.1],
        [0.42, 0.3],
        [0.4, 0.8],
        [0.2, 0.8],
        [0.1, 0.42],
        [-0.2, 0.42],
        [-0.22, 0.8],
        [-0.42, 0.8],
        [-0.45, 0.35],
        [-1.0, 0.35],
    ]);
    for (x, y) in [(-0.6, -0.05), (-0.3, -0.2), (0.0, -0.42), (0.14, -0.7)] {
        p.fill(d, &Curve::lines(&[[x - 0.14, y + 0.16], [x - 0.06, y - 0.14], [x + 0.14, y + 0.06]]), second);
    }
    p.fill(d, &body, ink);
    p.dot(d, [0.58, -0.72], 0.06, second);
}

fn planet(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    p.dot(d, [0.0, 0.0], 0.62, ink);
    p.fill(d, &Curve::ellipse([-0.15, -0.2], 0.14, 0.1), dim(ink, 0.6));
    p.fill(d, &Curve::ellipse([0.2, 0.25], 0.1, 0.08), dim(ink, 0.6));
    let ring = Curve::ellipse([0.0, 0.0], 1.05, 0.3).map(|[x, y]| [x, y - x * 0.35]);
    let front = Curve(ring.0[0..21].to_vec());
    p.stroke(d, &front, 0.11, second);
    let stars = [[-0.75, -0.7], [0.55, -0.85], [0.9, 0.55], [-0.6, 0.8], [0.1, 0.95]];
    for at in stars {
        p.fill(
            d,
            &Curve::lines(&[
                [at[0], at[1] - 0.12],
                [at[0] + 0.08, at[1]],
                [at[0], at[1] + 0.12],
                [at[0] - 0.08, at[1]],
            ]),
            second,
        );
    }
}

fn heart(d: &mut Drawing, p: &Pencil, ink: Rgb, second: Rgb) {
    let half = Curve::from([0.0, -0.45]).bend([0.35, -1.05], [0.85, -0.7]).bend([1.25, -0.1], [0.0, 0.9]);
    let whole = half.clone().then(&half.mirrored().reversed());
    p.fill(d, &whole, ink);
    p.fill(d, &whole.map(|[x, y]| [x * 0.74, y * 0.74]), second);
    p.fill(d, &whole.map(|[x, y]| [x * 0.5, y * 0.5]), ink);
}
