//! Fastenings and pockets on the front of tops, coats and dresses.

use super::body::Body;
use super::layer::{Cloth, Frame, Trace};
use super::neck::Opening;
use super::outline::Curve;
use super::palette::hex;
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Category, Closure, Length, Material, Neckline};

/// Draws what fastens the front.
pub fn fasten(t: &mut Tailor, body: &Body, opening: &Opening) {
    let bottom = body.bottom(t.garment.category);
    let s = t.scale;
    match (t.garment.category, t.garment.closure) {
        (Category::Polo, _) => placket(t, opening.depth, t.cut_placket(13.0), 3),
        (Category::TShirt | Category::LongSleeve, _) if t.garment.neckline == Some(Neckline::Henley) => {
            placket(t, opening.depth, 14.0, 4);
        }
        (Category::Bodysuit, _) => snaps(t, body),
        (Category::Blazer, Some(Closure::Buttons)) if t.garment.neckline == Some(Neckline::Lapel) => {
            lapel_front(t, body, opening, bottom, t.blazer_buttons());
        }
        (Category::Outwear, Some(Closure::Buttons)) if t.garment.neckline == Some(Neckline::Lapel) => {
            lapel_front(t, body, opening, bottom, 4);
        }
        (Category::Outwear, Some(Closure::Belt)) if t.garment.neckline == Some(Neckline::Lapel) => {
            lapel_front(t, body, opening, bottom, 0);
        }
        (_, Some(Closure::Buttons)) => buttons_down(t, opening.depth, bottom),
        (Category::LongSleeve, Some(Closure::Zip)) => {
            let zip =
                Curve::lines(&[[0.0, top_of_zip(t, opening)], [0.0, opening.depth + 15.0]]).dense(1.0, false);
            t.drawing.zip(&zip, t.look.trim.base.map(|c| c * 0.8), t.look.metal, 0.25);
        }
        (_, Some(Closure::Zip)) => {
            let start = top_of_zip(t, opening);
            let end = if t.garment.category == Category::Dress { start + 26.0 * s } else { bottom };
            let zip = Curve::lines(&[[0.0, start], [0.0, end]]).dense(1.0, false);
            let open = t.cut.range(0.03, 0.2);
            t.drawing.zip(&zip, t.look.trim.base.map(|c| c * 0.7), t.look.metal, open);
        }
        _ => {}
    }
    if t.garment.closure == Some(Closure::Belt) {
        t.belt(body.waist[0] + 0.6, body.waist[1] - 2.0, 5.0);
    }
}

/// The zip of a high neck starts in the collar.
fn top_of_zip(t: &Tailor, opening: &Opening) -> f32 {
    let inside = matches!(t.garment.neckline, Some(Neckline::High));
    opening.depth + if inside { -2.0 } else { 2.0 }
}

impl Tailor<'_> {
    fn cut_placket(&self, length: f32) -> f32 {
        length * self.scale
    }

    fn blazer_buttons(&self) -> usize {
        1 + (self.garment.seed % 3) as usize
    }
}

/// A short band with buttons below the neck.
fn placket(t: &mut Tailor, top: f32, length: f32, count: usize) {
    let start = if t.garment.category == Category::Polo { top - 1.5 } else { top };
    let cloth = Cloth { print: None, ..t.look.cloth };
    t.trim(Curve::rect(-1.9, start, 3.8, length + 1.0), cloth, Frame::default());
    let rim = Curve::lines(&[
        [-1.9, start],
        [-1.9, start + length + 1.0],
        [1.9, start + length + 1.0],
        [1.9, start],
    ]);
    t.drawing.seam(rim.clone());
    t.drawing.stitches(rim.map(|[x, y]| [x * 0.8, y - 0.4]), t.look.thread);
    t.buttons([0.0, start + 2.0], [0.0, start + length - 1.6], count, 1.05);
}

/// A band with buttons from the neck to the hem.
fn buttons_down(t: &mut Tailor, top: f32, bottom: f32) {
    let half = if t.garment.material == Material::Knit { 2.2 } else { 1.8 };
    let cloth = if t.garment.category == Category::LongSleeve { t.look.trim } else { t.look.cloth };
    let band = Curve::rect(-half, top, 2.0 * half, bottom - top - 0.3);
    t.trim(band, cloth, Frame::default());
    for x in [-half, half] {
        t.drawing.seam(Curve::lines(&[[x, top], [x, bottom - 0.3]]));
    }
    t.drawing.stitches(Curve::lines(&[[half - 0.6, top], [half - 0.6, bottom - 0.5]]), t.look.thread);
    let length = bottom - top;
    let count = ((length / 9.5).round() as usize).clamp(4, 11);
    let radius = if t.garment.category == Category::Outwear { 1.6 } else { 1.15 };
    t.buttons([0.0, top + 2.0], [0.0, bottom - 0.08 * length], count, radius);
}

/// The edge of a front that closes below lapels, its buttons, and the rounded corners at the hem.
fn lapel_front(t: &mut Tailor, body: &Body, opening: &Opening, bottom: f32, count: usize) {
    let short = t.garment.length.is_none();
    let corner = if short { 7.0 } else { 0.8 };
    let edge = Curve::from([1.5, opening.depth])
        .to([2.2, bottom - corner * 1.4])
        .bend([2.4, bottom - 1.0], [2.0 + corner, bottom - 0.2]);
    t.drawing.seam(edge.clone());
    t.drawing.groove(edge.offset(0.4), 0.9, 0.3, 0.3);
    let reach = if short { 11.0 } else { 34.0 };
    let first = opening.depth + 1.5;
    let last =
        if count > 1 { first + reach * (count - 1) as f32 / 2.0_f32.max(count as f32 - 1.0) } else { first };
    t.buttons([0.4, first], [0.4, last], count, 1.25);
    if short {
        for side in [-1.0, 1.0] {
            let dart = Curve::lines(&[
                [side * body.waist[0] * 0.5, body.underarm[1] + 8.0],
                [side * body.waist[0] * 0.48, bottom - 20.0],
            ]);
            t.drawing.seam(dart);
        }
    }
}

/// The press studs between the legs of a baby's bodysuit.
fn snaps(t: &mut Tailor, body: &Body) {
    let [x, _] = body.hem_end();
    let half = x * 0.38;
    t.trim(Curve::rect(-half, 39.2, 2.0 * half, 2.8), t.look.trim, Frame::default());
    let white = hex(0xdedcd6);
    for i in -1..=1 {
        t.drawing.button([i as f32 * half * 0.62, 40.6], 0.75, white);
    }
    let hem = body.hem(Category::Bodysuit);
    let leg = Curve::lines(&hem.0[..hem.0.len().saturating_sub(1)]);
    t.ribbing(&leg, 1.5, t.look.trim);
    t.ribbing(&leg.mirrored(), -1.5, t.look.trim);
}

/// Draws the pockets that belong to the kind of garment.
pub fn pockets(t: &mut Tailor, body: &Body) {
    let bottom = body.bottom(t.garment.category);
    let chest = body.underarm[0];
    match t.garment.category {
        Category::Shirt => {
            let twice = t.garment.material == Material::Denim || t.cut.chance(0.25);
            if t.cut.chance(0.75) {
                patch(t, [chest * 0.26, 24.0, chest * 0.42, 12.0], twice, twice);
            }
        }
        Category::Hoodie => kangaroo(t, bottom),
        Category::Blazer if t.garment.material == Material::Denim => {
            patch(t, [chest * 0.24, 25.0, chest * 0.45, 12.0], true, true);
            for side in [-1.0, 1.0] {
                let seam = Curve::lines(&[[side * chest * 0.3, 37.0], [side * chest * 0.2, bottom - 6.0]]);
                t.drawing.seam(seam.clone());
                t.drawing.stitches(seam.offset(0.6), t.look.thread);
            }
        }
        Category::Blazer => {
            for side in [-1.0, 1.0] {
                let flap = Curve::rect(side * chest * 0.58 - 7.0, bottom - 19.0, 14.0, 5.0);
                t.trim(flap.map(|[x, y]| [x, y - side * x * 0.04]), t.look.cloth, Frame::default());
            }
            let welt = Curve::lines(&[
                [chest * 0.36, 25.5],
                [chest * 0.76, 24.0],
                [chest * 0.76, 26.2],
                [chest * 0.36, 27.7],
            ]);
            t.trim(welt, t.look.cloth, Frame::default());
        }
        Category::Outwear => {
            let y = if t.garment.length == Some(Length::Short) { bottom - 24.0 } else { body.waist[1] + 8.0 };
            for side in [-1.0, 1.0] {
                let slit = Curve::lines(&[[side * chest * 0.5, y], [side * chest * 0.68, y + 15.0]]);
                t.drawing.raised(slit.clone(), Trace::Line(1.7), t.look.cloth.base.map(|c| c * 0.4), -0.2);
                if t.garment.closure == Some(Closure::Zip) {
                    t.drawing.raised(slit, Trace::Dash(0.5, 0.5, 0.4), t.look.metal, 0.05);
                }
            }
        }
        _ => {}
    }
}

/// A pocket sewn on: left edge, top, width, height in cm; on the other side too if `twice`.
fn patch(t: &mut Tailor, [x, y, w, h]: [f32; 4], twice: bool, flap: bool) {
    let point = 1.6;
    for side in if twice { &[-1.0, 1.0][..] } else { &[1.0][..] } {
        let pocket =
            Curve::lines(&[[x, y], [x + w, y], [x + w, y + h], [x + w / 2.0, y + h + point], [x, y + h]])
                .map(|[px, py]| [px * side, py]);
        t.trim(pocket.clone(), t.look.cloth, Frame { origin: [0.6, 1.3], angle: 0.0 });
        let rim = pocket.clone().closed();
        t.drawing.seam(rim.clone());
        t.drawing.stitches(
            rim.map(|[px, py]| [side * (x + w / 2.0) + (px - side * (x + w / 2.0)) * 0.88, py - 0.2]),
            t.look.thread,
        );
        let middle = side * (x + w / 2.0);
        if flap {
            let top = Curve::lines(&[
                [x - 0.3, y - 0.5],
                [x + w + 0.3, y - 0.5],
                [x + w + 0.3, y + 3.4],
                [x + w / 2.0, y + 5.4],
                [x - 0.3, y + 3.4],
            ]);
            t.trim(top.map(|[px, py]| [px * side, py]), t.look.cloth, Frame::default());
            t.drawing.button([middle, y + 3.6], 0.8, t.look.button);
        } else {
            t.drawing
                .stitches(Curve::lines(&[[side * x, y + 2.2], [side * (x + w), y + 2.2]]), t.look.thread);
        }
    }
}

fn kangaroo(t: &mut Tailor, bottom: f32) {
    let (low, s) = (bottom - 7.5, t.scale);
    let right = [[10.5 * s, low - 19.0], [11.5 * s, low - 17.0], [17.5 * s, low - 5.0], [17.5 * s, low]];
    let half = Curve::lines(&[[0.0, low - 19.0]]).then(&Curve::lines(&right)).to([0.0, low]);
    if t.garment.closure == Some(Closure::Zip) {
        let half = half.map(|[x, y]| [x.max(1.4), y]);
        t.trim(half.mirrored(), t.look.cloth, Frame::default());
        t.trim(half.clone(), t.look.cloth, Frame::default());
    } else {
        let whole = Curve(half.0[1..half.0.len() - 1].to_vec()).with_mirror();
        t.trim(whole, t.look.cloth, Frame::default());
    }
    for side in [-1.0, 1.0] {
        let mouth = Curve::lines(&[right[1], right[2]]).map(|[x, y]| [x * side, y]);
        t.drawing.seam(mouth.clone());
        t.drawing.stitches(mouth.map(|[x, y]| [x - side * 1.2, y]), t.look.thread);
    }
}
