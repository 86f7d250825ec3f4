//! Curves in the plane of the garment: centimetres, x to the right of its middle, y downwards.

/// A point (or a vector) in centimetres.
pub type Point = [f32; 2];

/// A curve as a chain of points, dense enough that straight pieces between them cannot be seen.
#[derive(Clone, Debug, Default)]
pub struct Curve(pub Vec<Point>);

/// Pieces per Bézier segment or per span of a spline.
const PIECES: usize = 10;

impl Curve {
    /// A curve that so far consists of its starting point.
    pub fn from(start: Point) -> Self {
        Self(vec![start])
    }

    /// Straight lines through all the points.
    pub fn lines(points: &[Point]) -> Self {
        Self(points.to_vec())
    }

    /// A smooth curve (Catmull-Rom spline) through all the points.
    pub fn through(points: &[Point]) -> Self {
        let Some((&first, &last)) = points.first().zip(points.last()) else { return Self::default() };
        let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
        let mut curve = Self::from(first);
        for i in 0..points.len() as isize - 1 {
            let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
            for piece in 1..PIECES {
                let t = piece as f32 / PIECES as f32;
                curve.0.push(std::array::from_fn(|k| {
                    let linear = (c[k] - a[k]) * t;
                    let square = (2.0 * a[k] - 5.0 * b[k] + 4.0 * c[k] - d[k]) * t * t;
                    let cube = (3.0 * (b[k] - c[k]) + d[k] - a[k]) * t * t * t;
                    b[k] + 0.5 * (linear + square + cube)
                }));
            }
            curve.0.push(c);
        }
        curve.0.push(last);
        curve
    }

    /// An ellipse around `centre`.
    pub fn ellipse(centre: Point, rx: f32, ry: f32) -> Self {
        let turn = |i: usize| i as f32 / 40.0 * std::f32::consts::TAU;
        Self((0..40).map(|i| [centre[0] + rx * turn(i).cos(), centre[1] + ry * turn(i).sin()]).collect())
    }

    /// A rectangle with sides parallel to the axes.
    pub fn rect(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self::lines(&[[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    }

    /// Continues with a straight line.
    pub fn to(mut self, end: Point) -> Self {
        self.0.push(end);
        self
    }

    /// Continues with a quadratic Bézier curve.
    pub fn bend(mut self, control: Point, end: Point) -> Self {
        let Some(&start) = self.0.last() else { return Self::from(end) };
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            let (p, q, r) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
            self.0.push(std::array::from_fn(|k| p * start[k] + q * control[k] + r * end[k]));
        }
        self
    }

    /// Continues with a straight line to where the curve began.
    pub fn closed(mut self) -> Self {
        self.0.extend(self.0.first().copied());
        self
    }

    /// Continues with all the points of another curve.
    pub fn then(mut self, next: &Curve) -> Self {
        self.0.extend_from_slice(&next.0);
        self
    }

    /// The point at a share (by number of points, in `0.0..=1.0`) of the way along; `None` if empty.
    pub fn at(&self, share: f32) -> Option<Point> {
        let place = share * self.0.len().saturating_sub(1) as f32;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        Some(between(*self.0.get(low)?, *self.0.get(high)?, place.fract()))
    }

    /// The same curve from end to start.
    pub fn reversed(&self) -> Self {
        Self(self.0.iter().rev().copied().collect())
    }

    /// The mirror image in the garment's middle line (x = 0).
    pub fn mirrored(&self) -> Self {
        self.map(|[x, y]| [-x, y])
    }

    /// From a right half that runs from the top to the bottom: the whole outline.
    pub fn with_mirror(&self) -> Self {
        self.clone().then(&self.mirrored().reversed())
    }

    /// The curve with every point moved by `place`.
    pub fn map(&self, place: impl Fn(Point) -> Point) -> Self {
        Self(self.0.iter().map(|&p| place(p)).collect())
    }

    /// A parallel curve `distance` to the left of the direction of travel (as seen with y downwards).
    pub fn offset(&self, distance: f32) -> Self {
        let last = self.0.len().saturating_sub(1);
        let normal = |i: usize| {
            let (a, b) = (self.0[i.saturating_sub(1)], self.0[(i + 1).min(last)]);
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            let length = dx.hypot(dy).max(1e-6);
            [dy / length, -dx / length]
        };
        Self((0..self.0.len()).map(|i| add(self.0[i], scale(normal(i), distance))).collect())
    }

    /// The closed band between this curve and its parallel at `distance`.
    pub fn band(&self, distance: f32) -> Self {
        self.clone().then(&self.offset(distance).reversed())
    }

    /// Points at most `step` apart: long straight pieces get points of their own.
    pub fn dense(&self, step: f32, closed: bool) -> Self {
        let mut dense = Self::default();
        let ends = self.0.iter().skip(1).chain(self.0.first().filter(|_| closed));
        for (&a, &b) in self.0.iter().zip(ends) {
            let pieces = ((b[0] - a[0]).hypot(b[1] - a[1]) / step).ceil().max(1.0);
            dense.0.extend((0..pieces as usize).map(|i| between(a, b, i as f32 / pieces)));
        }
        if !closed {
            dense.0.extend(self.0.last());
        }
        dense
    }
}

/// The sum of two vectors.
pub fn add(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1]]
}

/// A vector times a number.
pub fn scale(a: Point, factor: f32) -> Point {
    [a[0] * factor, a[1] * factor]
}

/// The point at `t` of the way from `a` to `b`.
pub fn between(a: Point, b: Point, t: f32) -> Point {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]
}

/// The vector turned by `angle` radians (clockwise as seen, since y points down).
pub fn turn(a: Point, angle: f32) -> Point {
    let (sin, cos) = angle.sin_cos();
    [a[0] * cos - a[1] * sin, a[0] * sin + a[1] * cos]
}
