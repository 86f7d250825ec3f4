//! Trousers and shorts.

use super::layer::{Cloth, Frame, Gather, Trace};
use super::lettering::{letters, word};
use super::outline::{add, turn, Curve, Point};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Category, Closure, Length, Material, Pattern};

/// Height of the waistband, in cm.
pub const BAND: f32 = 4.2;

/// Draws trousers or shorts.
pub fn trousers(t: &mut Tailor) {
    let short = t.garment.category == Category::Shorts;
    let soft = t.garment.closure == Some(Closure::None);
    let length = match (short, t.garment.length) {
        (true, Some(Length::Mini)) => t.cut.range(32.0, 37.0),
        (true, _) => t.cut.range(50.0, 56.0),
        (false, Some(Length::Midi)) => t.cut.range(74.0, 80.0),
        (false, _) => t.cut.range(98.0, 104.0),
    };
    let waist = t.cut.range(19.0, 21.5) * if soft { 0.94 } else { 1.0 };
    let hem = match (short, soft) {
        (true, _) => t.cut.range(27.0, 31.0),
        (false, true) => t.cut.range(14.0, 19.0),
        (false, false) => t.cut.pick([14.0, 17.0, 19.0, 21.0, 27.0]),
    };
    let hip = t.cut.range(24.5, 27.0);
    let crotch = t.cut.range(29.0, 33.0).min(length - 8.0);
    let cut = Cut { waist, hip, crotch, length, hem: if short { hem.min(hip + 3.0) } else { hem } };
    let cuffed = soft && !short && hem < 17.0;
    let back = Curve::from([-waist, 0.0]).bend([0.0, 3.0], [waist, 0.0]).to([waist, 9.0]).to([-waist, 9.0]);
    t.inside(back);
    for (limb, side) in [(0, -1.0), (1, 1.0)] {
        leg(t, &cut, side, t.pose.limbs[limb], cuffed);
    }
    t.drawing.seam(Curve::from([0.0, BAND]).bend([0.6, cut.crotch * 0.6], [0.0, cut.crotch + 1.0]));
    details(t, &cut, soft);
    waistband(t, waist, soft);
    if t.garment.pattern == Pattern::Text {
        let name = word(&mut t.cut);
        letters(&mut t.drawing, name, [cut.hip * 0.55, length * 0.72], 15.0, 0.0, t.look.ink);
    }
}

/// Measures of a pair of trousers, in cm.
struct Cut {
    waist: f32,
    hip: f32,
    crotch: f32,
    length: f32,
    hem: f32,
}

impl Cut {
    /// How far the outer end of a hem is from the middle.
    fn outer_hem(&self) -> f32 {
        (self.hip * 0.52 + self.hem * 0.52).min(self.hip + 2.0)
    }
}

fn leg(t: &mut Tailor, cut: &Cut, side: f32, swing: f32, cuffed: bool) {
    let short = cut.length < 60.0;
    let spread = if short { 0.1 } else { 0.05 } + swing * 0.22;
    let pivot = [side * cut.hip * 0.7, cut.crotch * 0.5];
    let angle = -side * spread;
    let place = |[x, y]: Point| {
        let p = [side * x, y];
        // Turn the leg about the hip; what is above the hip stays.
        let share = ((y - pivot[1]) / 12.0).clamp(0.0, 1.0);
        let turned = add(pivot, turn([p[0] - pivot[0], p[1] - pivot[1]], angle));
        [p[0] + (turned[0] - p[0]) * share, p[1] + (turned[1] - p[1]) * share]
    };
    let outer_hem = cut.outer_hem();
    let inner_hem = outer_hem - cut.hem;
    let knee_y = cut.crotch + (cut.length - cut.crotch) * 0.45;
    let knee = cut.hip * 0.24 + outer_hem * 0.76;
    let mut side_points = vec![[cut.waist, 1.0], [cut.hip, cut.crotch * 0.62]];
    if !short {
        side_points.extend([[cut.hip * 0.99, cut.crotch], [knee, knee_y]]);
    }
    side_points.push([outer_hem, cut.length]);
    let outer = Curve::through(&side_points);
    let inner = Curve::through(&[
        [inner_hem, cut.length + 0.6],
        [inner_hem * 0.75 + 0.8, knee_y],
        [0.9, cut.crotch + 2.5],
        [-0.6, cut.crotch],
    ]);
    let outline = outer.then(&inner).to([-0.4, 1.5]).map(place);
    let mut gathers = vec![Gather {
        from: [0.0, cut.crotch - 4.0],
        to: [side * 8.0, cut.crotch],
        reach: 9.0,
        spacing: 4.0,
        depth: 0.8,
    }];
    if t.garment.closure == Some(Closure::None) {
        let to = [side * cut.waist, BAND];
        gathers.push(Gather { from: [0.0, BAND], to, reach: 8.0, spacing: 2.6, depth: 0.8 });
    }
    let frame = Frame { origin: pivot, angle };
    t.lay(outline, t.look.cloth, frame, gathers);
    let (end, end_in) = ([outer_hem, cut.length], [inner_hem, cut.length + 0.6]);
    let edge = |rise: f32, narrow: f32| {
        Curve::lines(&[[end[0] - narrow, end[1] - rise], [end_in[0] + narrow, end_in[1] - rise]]).map(place)
    };
    if cuffed {
        let (from, to) = (edge(5.5, 0.2), edge(-0.4, 1.2));
        t.trim(from.clone().then(&to.reversed()), t.look.trim, frame);
        t.ribs(&from, &to, 0.9);
    } else {
        t.drawing.stitches(edge(2.2, 0.3), t.look.thread);
    }
    if t.garment.material == Material::Woven && !short && t.garment.pattern == Pattern::Plain {
        let middle = (outer_hem + inner_hem) / 2.0;
        t.drawing.seam(
            Curve::lines(&[[cut.hip * 0.5, 22.0], [middle, knee_y], [middle, cut.length - 3.0]]).map(place),
        );
    }
}

/// Denim fades where it is worn: on the thighs, at the knees, and in fine lines at the hips.
fn worn(t: &mut Tailor, cut: &Cut) {
    let pale = t.look.cloth.base.map(|c| (c * 2.2 + 0.08).min(0.9));
    let strength = t.cut.range(0.25, 0.85);
    let reach = cut.length - cut.crotch;
    for side in [-1.0, 1.0] {
        let x = side * cut.hip * 0.54;
        t.drawing.stain([x, cut.crotch + reach * 0.16], 7.5, 15.0, pale, strength);
        if reach > 30.0 {
            t.drawing.stain([x, cut.crotch + reach * 0.5], 6.0, 10.0, pale, strength * 0.6);
        }
        for k in 0..3 {
            let y = cut.crotch * 0.7 + k as f32 * 2.6;
            let line = Curve::from([side * 2.5, y + 2.0]).bend([side * 8.0, y + 0.6], [side * 14.0, y - 1.8]);
            t.drawing.groove(line, 0.5, -0.06 * strength, -0.12);
        }
    }
}

/// Fly, pockets and drawstring.
fn details(t: &mut Tailor, cut: &Cut, soft: bool) {
    let thread = t.look.thread;
    if t.garment.material == Material::Denim {
        worn(t, cut);
    }
    for side in [-1.0, 1.0] {
        let flip = |[x, y]: Point| [side * x, y];
        let pocket = if t.garment.material == Material::Denim {
            Curve::from([cut.waist * 0.48, BAND]).bend([cut.waist * 0.56, 12.5], [cut.hip * 0.95, 13.0])
        } else {
            Curve::lines(&[[cut.waist * 0.74, BAND], [cut.hip * 0.97, 18.0]])
        };
        t.drawing.seam(pocket.map(flip));
        t.drawing.stitches(pocket.offset(-0.7).map(flip), thread);
        let side_seam = Curve::through(&[[cut.hip * 0.97, 14.0], [cut.hip * 0.965, 24.0]]);
        t.drawing.stitches(side_seam.map(flip), thread);
    }
    let sporty = t.garment.material == Material::Synthetic && t.garment.pattern == Pattern::Plain;
    if sporty && t.cut.chance(0.6) {
        for side in [-1.0, 1.0] {
            let hem = cut.outer_hem();
            let stripe = Curve::through(&[
                [side * (cut.waist - 1.2), BAND + 1.0],
                [side * (cut.hip - 1.6), cut.crotch * 0.62],
                [side * (hem - 0.6), cut.length - 2.5],
            ]);
            t.drawing.lines(vec![stripe], 1.7, t.look.ink);
        }
    }
    if !soft {
        let fly = Curve::from([4.2, BAND]).to([4.0, 15.0]).bend([3.6, 20.5], [0.2, 22.0]);
        t.drawing.stitches(fly.clone(), thread);
        t.drawing.stitches(fly.map(|[x, y]| [x - 0.7, y - 0.5]), thread);
    }
}

fn waistband(t: &mut Tailor, waist: f32, soft: bool) {
    let top = Curve::from([-waist - 0.2, 0.4]).bend([0.0, 2.4], [waist + 0.2, 0.4]);
    let cloth = Cloth { print: None, ..t.look.cloth };
    if soft {
        t.ribbing(&top, -BAND, cloth);
        if t.cut.chance(0.75) {
            drawstring(t);
        }
        return;
    }
    t.trim(top.band(-BAND), cloth, Frame::default());
    t.drawing.stitches(top.offset(-0.6), t.look.thread);
    t.drawing.stitches(top.offset(-BAND + 0.6), t.look.thread);
    for x in [-0.72, -0.34, 0.34, 0.72] {
        let loop_ = Curve::rect(x * waist - 0.7, 0.9 - x.abs() * 0.6, 1.4, BAND + 1.6);
        t.trim(loop_, cloth, Frame::default());
    }
    match t.garment.closure {
        Some(Closure::Belt) => t.belt(waist + 0.4, 0.9, BAND - 0.6),
        Some(Closure::Buttons) => t.buttons([0.4, 3.4], [0.6, 15.0], 4, 1.1),
        _ => t.drawing.button(
            [0.2, 3.6],
            1.15,
            if t.garment.material == Material::Denim { t.look.metal } else { t.look.button },
        ),
    }
}

fn drawstring(t: &mut Tailor) {
    let colour = t.look.ink;
    for (side, limb) in [(-1.0, 0), (1.0, 1)] {
        let sway = t.pose.limbs[limb] * 18.0;
        let knot = Curve::from([side * 0.4, 3.6])
            .bend([side * 5.0, 1.4], [side * 4.6, 5.4])
            .bend([side * 2.5, 6.0], [side * 0.4, 3.8]);
        let end = Curve::from([side * 0.3, 3.8]).bend([side * 1.6, 9.0], [side * 2.4 + sway, 14.0]);
        t.drawing.raised(knot, Trace::Line(0.7), colour, 0.25);
        t.drawing.raised(end, Trace::Line(0.75), colour, 0.25);
    }
}
