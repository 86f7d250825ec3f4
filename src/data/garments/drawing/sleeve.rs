//! Sleeves: each a piece of its own with its own grain, turned and bent as it happens to lie.

use super::body::Body;
use super::layer::{Frame, Gather};
use super::outline::{add, between, scale, turn, Curve, Point};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Category, Material, Sleeves};

/// Adds both sleeves, if the garment has any.
pub fn sleeves(t: &mut Tailor, body: &Body) {
    let Some(plan) = Plan::of(t, body) else { return };
    for (limb, side) in [-1.0, 1.0].into_iter().enumerate() {
        sleeve(t, body, &plan, side, t.pose.limbs[limb], t.pose.bends[limb]);
    }
}

/// What both sleeves have in common; lengths in cm, angles in radians from straight down.
struct Plan {
    length: f32,
    angle: f32,
    cuff: f32,
    end: End,
}

/// How a sleeve ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// A sewn hem.
    Hem,
    /// A band of ribbing.
    Ribbing,
    /// A band with a button.
    Cuff,
    /// Gathered by a narrow band.
    Gathered,
}

impl Plan {
    fn of(t: &mut Tailor, body: &Body) -> Option<Self> {
        let small = body.underarm[0] / 26.0;
        let wide = matches!(t.garment.category, Category::Hoodie | Category::Outwear);
        let category = t.garment.category;
        let (length, angle, cuff) = match t.garment.sleeves? {
            Sleeves::None => return None,
            Sleeves::Short => (t.cut.range(15.0, 20.0), t.cut.range(0.75, 0.98), t.cut.range(16.5, 19.0)),
            Sleeves::Elbow => (t.cut.range(37.0, 42.0), t.cut.range(0.45, 0.68), t.cut.range(14.0, 17.0)),
            Sleeves::Long => (t.cut.range(58.0, 62.0), t.cut.range(0.24, 0.5), t.cut.range(10.0, 11.5)),
        };
        let soft = matches!(t.garment.material, Material::Knit | Material::Fleece);
        let end = match (category, t.garment.sleeves?) {
            (Category::Hoodie, _) => End::Ribbing,
            (Category::Shirt, Sleeves::Long) => End::Cuff,
            (Category::Blouse | Category::Dress, Sleeves::Long | Sleeves::Elbow) if t.cut.chance(0.5) => {
                End::Gathered
            }
            (Category::LongSleeve | Category::Bodysuit, Sleeves::Long) => End::Ribbing,
            (Category::Outwear, _) if t.garment.material == Material::Synthetic => End::Ribbing,
            (Category::Polo, _) => End::Ribbing,
            (Category::Blazer, _) if t.garment.material == Material::Denim => End::Cuff,
            _ if soft => End::Ribbing,
            _ => End::Hem,
        };
        let room = if end == End::Gathered {
            1.25
        } else if wide {
            1.18
        } else {
            1.0
        };
        let reach = if category == Category::Bodysuit { 0.82 } else { 1.0 };
        Some(Self {
            length: length * small.powf(0.85) * reach,
            angle,
            cuff: cuff * small.powf(0.8) * room,
            end,
        })
    }
}

fn sleeve(t: &mut Tailor, body: &Body, plan: &Plan, side: f32, swing: f32, bend: f32) {
    let flip = |[x, y]: Point| [side * x, y];
    let (shoulder, underarm) = (flip(body.shoulder), flip(body.underarm));
    let long = plan.length > 45.0 * t.scale;
    let angle = -side * (plan.angle + swing * if long { 0.8 } else { 0.6 });
    let lower = angle + if long { side * bend * 0.8 } else { 0.0 };
    let (axis, axis_low) = (turn([0.0, 1.0], angle), turn([0.0, 1.0], lower));
    let across = |angle: f32| turn([-side, 0.0], angle);
    let elbow_width = plan.cuff + ((underarm[1] - shoulder[1]) * 0.9 - plan.cuff) * 0.45;
    let elbow = add(shoulder, scale(axis, plan.length * 0.5));
    let elbow_in = add(elbow, scale(across((angle + lower) / 2.0), elbow_width));
    let end = add(elbow, scale(axis_low, plan.length * 0.5));
    let end_in = add(end, scale(across(lower), plan.cuff));
    let cap = [shoulder[0] - side * 4.0, shoulder[1] - 0.2];
    let below = add(shoulder, scale(axis, 0.13 * plan.length));
    let pit = [underarm[0] - side * 4.0, underarm[1] + 1.5];
    let outer = Curve::from(cap).bend(shoulder, below).then(&Curve::through(&[below, elbow, end]));
    let inner = Curve::through(&[end_in, elbow_in, underarm, pit]);
    let frame = Frame { origin: shoulder, angle: (angle + lower) / 2.0 };
    let mut gathers = vec![Gather {
        from: shoulder,
        to: underarm,
        reach: 7.0 * t.scale,
        spacing: 3.5 * t.scale,
        depth: 0.7 * t.scale,
    }];
    if plan.end != End::Hem {
        let depth = if plan.end == End::Gathered { 1.1 } else { 0.7 };
        gathers.push(Gather {
            from: end,
            to: end_in,
            reach: 9.0 * t.scale,
            spacing: 2.4 * t.scale,
            depth: depth * t.scale,
        });
    }
    t.lay(outer.then(&inner), t.look.cloth, frame, gathers);
    let band = match plan.end {
        End::Hem => 2.2,
        End::Ribbing => {
            if plan.length > 30.0 * t.scale {
                5.5
            } else {
                2.6
            }
        }
        End::Cuff => 6.0,
        End::Gathered => 2.5,
    } * t.scale.powf(0.8);
    let back = scale(axis_low, -band);
    let (seam, seam_in) = (add(end, back), add(end_in, back));
    if plan.end == End::Hem {
        t.drawing.stitches(Curve::lines(&[seam, seam_in]), t.look.thread);
        return;
    }
    let narrow = if plan.end == End::Cuff { 0.02 } else { 0.08 };
    let points = [
        between(seam, seam_in, narrow * 0.4),
        between(end, end_in, narrow),
        between(end, end_in, 1.0 - narrow),
        between(seam, seam_in, 1.0 - narrow * 0.4),
    ];
    let cloth = if plan.end == End::Cuff { t.look.cloth } else { t.look.trim };
    t.trim(Curve::lines(&points), cloth, Frame { origin: end, angle: lower });
    match plan.end {
        End::Ribbing => {
            let (from, to) = (Curve::lines(&[points[0], points[3]]), Curve::lines(&[points[1], points[2]]));
            t.ribs(&from, &to, 0.9 * t.scale);
        }
        End::Cuff => t.drawing.button(
            between(between(seam, end, 0.5), between(seam_in, end_in, 0.5), 0.2),
            0.7,
            t.look.button,
        ),
        _ => {}
    }
}
