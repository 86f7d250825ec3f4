//! From the plane of the garment (cm) to the picture (pixels), and back.

use super::outline::Point;
use super::shot::Shot;

/// A projective map of the plane and its inverse.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    forward: [[f32; 3]; 3],
    backward: [[f32; 3]; 3],
    /// Size of a pixel in the middle of the picture, in cm.
    pub pixel: f32,
}

impl Projection {
    /// The view of a garment that reaches from `low` to `high` (cm), in a picture of `size` pixels.
    pub fn new(shot: &Shot, (low, high): (Point, Point), size: f32) -> Self {
        let (width, height) = (high[0] - low[0], high[1] - low[1]);
        let (sin, cos) = shot.rotation.sin_cos();
        // The turned garment needs more room than the upright one.
        let extent = (width * cos.abs() + height * sin.abs()).max(width * sin.abs() + height * cos.abs());
        let zoom = size * shot.fill / extent.max(1.0);
        let (cx, cy) = ((low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0);
        let place = [
            [cos * zoom, -sin * zoom, -(cos * cx - sin * cy) * zoom],
            [sin * zoom, cos * zoom, -(sin * cx + cos * cy) * zoom],
            [0.0, 0.0, 1.0],
        ];
        let [px, py] = shot.perspective.map(|p| p / (size / 2.0));
        let tilt = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [px, -py, 1.0]];
        let [ox, oy] = shot.offset.map(|o| (0.5 + o) * size);
        let shift = [[1.0, 0.0, ox], [0.0, 1.0, oy], [0.0, 0.0, 1.0]];
        let forward = product(shift, product(tilt, place));
        Self { forward, backward: inverse(forward), pixel: 1.0 / zoom }
    }

    /// The pixel coordinates of a point in cm.
    pub fn project(&self, p: Point) -> Point {
        apply(&self.forward, p)
    }

    /// The point in cm seen at pixel coordinates.
    pub fn unproject(&self, p: Point) -> Point {
        apply(&self.backward, p)
    }
}

fn apply(m: &[[f32; 3]; 3], [x, y]: Point) -> Point {
    let [u, v, w] = m.map(|row| row[0] * x + row[1] * y + row[2]);
    [u / w, v / w]
}

fn product(a: [[f32; 3]; 3], b: [[f32; 3]; 3]) -> [[f32; 3]; 3] {
    a.map(|row| std::array::from_fn(|j| row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]))
}

/// The inverse up to a factor, which does not matter to a projective map: the adjugate.
fn inverse(m: [[f32; 3]; 3]) -> [[f32; 3]; 3] {
    let minor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    std::array::from_fn(|i| std::array::from_fn(|j| minor(j, i)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unproject_undoes_project() {
        for seed in 0..50 {
            let view = Projection::new(&Shot::sample(seed), ([-30.0, 0.0], [35.0, 70.0]), 320.0);
            for p in [[0.0, 0.0], [-30.0, 70.0], [12.5, 33.0]] {
                let q = view.unproject(view.project(p));
                assert!((p[0] - q[0]).hypot(p[1] - q[1]) < 0.05, "{p:?} became {q:?}");
            }
        }
    }
}
