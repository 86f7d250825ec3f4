//! The neck opening of a top or a dress: its shape, its edge, and the inside of the back that it shows.

use super::body::Body;
use super::layer::{Cloth, Frame, Trace};
use super::outline::{Curve, Point};
use super::palette::hex;
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Category, Closure, Material, Neckline, Sleeves};

/// A neck opening.
pub struct Opening {
    /// Right end of the opening, on the shoulder.
    pub corner: Point,
    /// Lowest point of the opening in the middle.
    pub depth: f32,
    /// Front edge from the right corner to the middle.
    front: Curve,
    /// How much the back edge lies below the corners.
    back: f32,
    /// Width of the band around the edge; 0 for none.
    band: f32,
}

impl Opening {
    /// The opening of a garment.
    pub fn of(t: &mut Tailor, body: &Body) -> Self {
        let small = body.underarm[0] / 26.0;
        let open = t.garment.category == Category::Blouse || t.garment.category == Category::Dress;
        let vary = t.cut.range(0.93, 1.07);
        let (half, depth, back, band) = match t.garment.neckline {
            Some(Neckline::Scoop) => (12.4, 18.5, 2.5, 1.3),
            Some(Neckline::VNeck) => (10.2, if open { 23.0 } else { 24.0 }, 1.6, 1.8),
            Some(Neckline::Boat) => (17.5, 5.6, 2.0, 1.2),
            Some(Neckline::Square) => (11.5, 14.5, 3.0, 1.7),
            Some(Neckline::Strap) => (11.5, 13.0, 5.0, 1.0),
            Some(Neckline::Henley) => (9.2, 8.5, 1.6, 2.2),
            Some(Neckline::Lapel) => (9.0, 36.0, 1.0, 0.0),
            Some(Neckline::Collar) => (8.8, 9.5, 0.5, 0.0),
            Some(Neckline::Hood | Neckline::High) => (9.0, 5.0, 0.5, 0.0),
            Some(Neckline::Crew) | None => (9.6, 9.6, 1.6, if open { 1.2 } else { 2.5 }),
        };
        let buttoned = t.garment.category == Category::LongSleeve
            && t.garment.closure == Some(Closure::Buttons)
            && t.garment.neckline == Some(Neckline::VNeck);
        let depth = if buttoned { 30.0 } else { depth } * small.powf(0.7) * vary;
        let limit = body.shoulder[0] - 2.6 * small;
        let corner = body.on_shoulder((half * small * (0.5 + 0.5 * vary)).min(limit));
        let [x, y] = corner;
        let from = Curve::from(corner);
        let front = match t.garment.neckline {
            Some(Neckline::VNeck) => from.bend([x * 0.6, y + depth * 0.5], [0.0, y + depth]),
            Some(Neckline::Lapel) => from.bend([x * 0.8, depth * 0.5], [0.0, depth]),
            Some(Neckline::Scoop) => from.bend([x * 0.92, y + depth], [0.0, y + depth]),
            Some(Neckline::Boat) => from.bend([x * 0.6, y + depth], [0.0, y + depth]),
            Some(Neckline::Square) => {
                from.to([x * 0.94, y + depth - 1.5]).to([x * 0.9, y + depth]).to([0.0, y + depth])
            }
            Some(Neckline::Strap) => {
                let top = [x, depth - 1.5];
                Curve::from(top).bend([x * 0.5, depth + 2.0], [0.0, depth + 1.2])
            }
            _ => from.bend([x * 0.82, y + depth], [0.0, y + depth]),
        };
        let corner = front.0.first().copied().unwrap_or(corner);
        Self { corner, depth: y + depth, front, back, band: band * small }
    }

    /// The front edge from left to right.
    pub fn edge(&self) -> Curve {
        self.front.mirrored().then(&self.front.reversed())
    }

    /// The back edge from left to right.
    fn back_edge(&self) -> Curve {
        let [x, y] = self.corner;
        let middle = y + self.back;
        Curve::from([-x, y]).bend([-x * 0.7, middle], [0.0, middle]).bend([x * 0.7, middle], [x, y])
    }

    /// Draws the inside of the back with its tag: to be called before the front is laid on it.
    pub fn inside(&self, t: &mut Tailor) {
        let [x, y] = self.corner;
        let low = self.depth + 5.0;
        if t.garment.neckline == Some(Neckline::Strap) {
            let back = self.back_edge();
            t.inside(back.to([x, y + 12.0]).to([-x, y + 12.0]));
            return;
        }
        let back = self.back_edge();
        t.inside(back.clone().to([x, low]).to([-x, low]));
        let band = self.band.max(1.0);
        let cloth = Cloth { tone: 0.66, ..t.look.trim };
        if self.band > 0.0 {
            t.trim(back.band(-band), cloth, Frame::default());
        }
        let (w, top) = (3.4 * t.scale, y + self.back + band * 0.8);
        let tag = t.cut.pick([0xf0eeea, 0x2a2a2e, 0xe9e2d0, 0xf0eeea]);
        t.drawing.raised(Curve::rect(-w / 2.0, top, w, w * 0.75), Trace::Fill, hex(tag), 0.08);
        let line = Curve::lines(&[[-w * 0.3, top + w * 0.35], [w * 0.3, top + w * 0.35]]);
        t.drawing.lines(vec![line], 0.35 * t.scale, hex(0x8a8a8a));
    }

    /// Draws the edge of the front: to be called after the front is laid.
    pub fn bind(&self, t: &mut Tailor) {
        let edge = self.edge();
        match t.garment.neckline {
            Some(Neckline::Strap) => {
                t.trim(edge.band(-self.band), t.look.trim, Frame::default());
                self.straps(t);
            }
            _ if self.band <= 0.0 => {}
            _ if t.garment.material == Material::Woven || t.garment.material == Material::Lace => {
                t.drawing.seam(edge.offset(-self.band));
                t.drawing.stitches(edge.offset(-self.band * 0.85), t.look.thread);
            }
            Some(Neckline::Crew | Neckline::Henley | Neckline::VNeck) => {
                t.ribbing(&edge, -self.band, t.look.trim);
            }
            _ => t.trim(edge.band(-self.band), t.look.trim, Frame::default()),
        }
    }

    /// Thin straps over the shoulders.
    fn straps(&self, t: &mut Tailor) {
        let [x, y] = self.corner;
        let width = t.cut.range(1.0, 1.9) * t.scale;
        let high = t.cut.range(13.0, 17.0) * t.scale;
        for (side, limb) in [(-1.0, 0), (1.0, 1)] {
            let sway = side * t.pose.limbs[limb] * 14.0 * t.scale;
            let top = [side * x * 0.86 + sway, y - high];
            let front = Curve::from([side * (x - width * 0.5), y + 1.0])
                .bend([side * x * 1.02 + sway * 0.3, y - high * 0.5], top);
            let back = Curve::from(top)
                .bend([side * x * 0.7 + sway * 0.3, y - high * 0.4], [side * x * 0.78, y + self.back - 0.5]);
            let dark = Cloth { tone: 0.75, ..t.look.trim };
            t.trim(back.band(-width), dark, Frame::default());
            t.trim(front.band(-width), t.look.trim, Frame::default());
        }
    }
}

/// Bindings of the armholes of a garment without sleeves.
pub fn armholes(t: &mut Tailor, body: &Body) {
    if t.garment.sleeves != Some(Sleeves::None) || t.garment.neckline == Some(Neckline::Strap) {
        return;
    }
    let width = if t.garment.category == Category::Outwear { 2.2 } else { 1.2 } * t.scale;
    let right = body.armhole();
    t.trim(right.band(-width), t.look.trim, Frame::default());
    t.trim(right.mirrored().band(width), t.look.trim, Frame::default());
}
