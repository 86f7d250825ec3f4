//! Tops, coats, dresses and baby's bodysuits, put together from body, neck, sleeves and front.

use super::body::Body;
use super::collar::collar;
use super::frill::frills;
use super::front::{fasten, pockets};
use super::layer::{Frame, Gather};
use super::lettering::{letters, word};
use super::neck::{armholes, Opening};
use super::outline::Curve;
use super::picture::picture;
use super::sleeve::sleeves;
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Category, Closure, Length, Material, Pattern};

/// Draws the garment.
pub fn top(t: &mut Tailor) {
    if t.garment.category == Category::Bodysuit {
        t.scale = 0.58;
    }
    let body = Body::of(t);
    let opening = Opening::of(t, &body);
    sleeves(t, &body);
    opening.inside(t);
    let front = body.right(t, opening.corner).with_mirror().then(&opening.edge());
    t.main(front, gathers(t, &body, &opening));
    seams(t, &body);
    armholes(t, &body);
    decorate(t, &body, &opening);
    fasten(t, &body, &opening);
    pockets(t, &body);
    opening.bind(t);
    if t.garment.category == Category::Blouse {
        frills(t, &opening);
    }
    collar(t, &body, &opening);
}

/// Where the cloth of the body is drawn together.
fn gathers(t: &Tailor, body: &Body, opening: &Opening) -> Vec<Gather> {
    let ([wx, wy], s) = (body.waist, t.scale);
    let mut gathers = Vec::new();
    for side in [-1.0, 1.0] {
        let [x, y] = body.underarm;
        let (from, to) = ([side * x, y - 3.0 * s], [side * x * 0.8, y + 9.0 * s]);
        gathers.push(Gather { from, to, reach: 9.0 * s, spacing: 4.5 * s, depth: 0.6 * s });
    }
    let waist = Gather { from: [-wx, wy], to: [wx, wy], reach: 16.0, spacing: 3.2, depth: 0.9 };
    if body.waisted || t.garment.closure == Some(Closure::Belt) {
        gathers.push(waist);
    }
    if body.waisted {
        let [hx, hy] = body.hem_end();
        gathers.push(Gather { from: [-hx, hy], to: [hx, hy], reach: 32.0, spacing: 6.5, depth: 1.3 });
    }
    if t.garment.category == Category::Blouse {
        let [x, y] = opening.corner;
        let neck = Gather { from: [-x, y], to: [x, y], reach: 20.0, spacing: 3.0, depth: 0.75 };
        let [hx, hy] = body.hem_end();
        gathers.push(neck);
        gathers.push(Gather { from: [-hx, hy], to: [hx, hy], reach: 18.0, spacing: 5.0, depth: 0.9 });
    }
    if has_hem_rib(t) {
        let [hx, hy] = body.hem_end();
        gathers.push(Gather {
            from: [-hx, hy - 5.0],
            to: [hx, hy - 5.0],
            reach: 8.0,
            spacing: 3.5,
            depth: 0.7,
        });
    }
    gathers
}

/// Whether the hem is a band of ribbing.
fn has_hem_rib(t: &Tailor) -> bool {
    let thick = matches!(t.garment.material, Material::Knit | Material::Fleece);
    match t.garment.category {
        Category::Hoodie => true,
        Category::LongSleeve => thick,
        Category::Outwear => {
            t.garment.material == Material::Synthetic && t.garment.length == Some(Length::Short)
        }
        _ => false,
    }
}

/// Seams of the waist and the hem.
fn seams(t: &mut Tailor, body: &Body) {
    let category = t.garment.category;
    let hem = body.hem(category);
    let whole = hem.mirrored().then(&hem.reversed());
    if body.waisted {
        let [x, y] = body.waist;
        t.drawing.seam(Curve::from([-x, y]).bend([0.0, y + 2.0], [x, y]));
    }
    if has_hem_rib(t) {
        t.ribbing(&whole, 6.0, t.look.trim);
    } else if category != Category::Bodysuit {
        t.drawing.stitches(whole.offset(2.2), t.look.thread);
    }
    if category == Category::Blazer && t.garment.material == Material::Denim {
        t.trim(whole.band(5.0), t.look.cloth, Frame::default());
    }
    if matches!(category, Category::Shirt | Category::Outwear) {
        let [sx, sy] = body.shoulder;
        let yoke = Curve::from([-sx + 1.0, sy + 7.0]).bend([0.0, sy + 8.0], [sx - 1.0, sy + 7.0]);
        if t.garment.material != Material::Padded && t.cut.chance(0.4) {
            t.drawing.seam(yoke);
        }
    }
}

/// A picture or a word on the chest.
fn decorate(t: &mut Tailor, body: &Body, opening: &Opening) {
    let small = t.scale;
    let chest = body.underarm[0];
    let top = opening.depth + 4.0 * small;
    let size = chest * t.cut.range(0.78, 1.02);
    let inks = [t.look.ink, t.look.second_ink];
    match t.garment.pattern {
        Pattern::Graphic => {
            let centre = [0.0, top + size * 0.55 + 2.0 * small];
            picture(&mut t.drawing, centre, size, inks, &mut t.cut);
            if t.cut.chance(0.35) {
                let name = word(&mut t.cut);
                let below = [0.0, centre[1] + size * 0.62 + 2.0 * small];
                letters(&mut t.drawing, name, below, size * 0.8, 0.0, inks[0]);
            }
        }
        Pattern::Text => {
            let polo = t.garment.category == Category::Polo;
            let first = word(&mut t.cut);
            let (centre, width) = if polo {
                ([chest * 0.5, top + 10.0], chest * 0.5)
            } else {
                ([0.0, top + 9.0 * small], chest * 1.25)
            };
            let arch = if polo || t.cut.chance(0.5) { 0.0 } else { 2.5 * small };
            letters(&mut t.drawing, first, centre, width, arch, inks[0]);
            if !polo && t.cut.chance(0.7) {
                let second = word(&mut t.cut);
                let below = [0.0, centre[1] + width / first.len() as f32 * 1.05 + 2.5 * small];
                letters(&mut t.drawing, second, below, width * 0.62, 0.0, inks[1]);
            }
        }
        _ => {}
    }
}
