//! Skirts.

use super::layer::{Cloth, Frame, Gather};
use super::outline::Curve;
use super::tailor::Tailor;
use super::trousers::BAND;
use crate::data::garments::vocabulary::{Closure, Length, Material};

/// Draws a skirt.
pub fn skirt(t: &mut Tailor) {
    let length = match t.garment.length {
        Some(Length::Mini) => t.cut.range(36.0, 42.0),
        Some(Length::Midi) => t.cut.range(80.0, 86.0),
        Some(Length::Long) => t.cut.range(102.0, 110.0),
        _ => t.cut.range(56.0, 62.0),
    };
    let waist = t.cut.range(17.0, 19.5);
    let stiff = matches!(t.garment.material, Material::Denim | Material::Leather);
    let fullness = if stiff { t.cut.range(0.0, 0.35) } else { t.cut.range(0.1, 1.0) };
    let hem = 23.5 + fullness * (7.0 + length * 0.3);
    let hip = [waist + (hem - waist) * 0.42 + 2.2 * (1.0 - fullness), 17.0_f32.min(length * 0.42)];
    let drop = 1.5 + 4.0 * fullness;
    let side = Curve::through(&[[waist, 1.0], hip, [hem, length - drop * 0.6]]);
    let right = side.bend([hem * 0.55, length + drop * 0.4], [0.0, length + drop * 0.4]);
    t.inside(Curve::from([-waist, 0.0]).bend([0.0, 3.0], [waist, 0.0]).to([waist, 8.0]).to([-waist, 8.0]));
    let (deep, long) = (0.3 + 1.4 * fullness, length * 0.7);
    let gathers = vec![
        Gather {
            from: [-waist, BAND],
            to: [waist, BAND],
            reach: 10.0 + 14.0 * fullness,
            spacing: 3.4,
            depth: deep * 0.7,
        },
        Gather {
            from: [-hem, length],
            to: [hem, length],
            reach: long,
            spacing: 4.5 + 4.0 * fullness,
            depth: deep,
        },
    ];
    t.main(right.with_mirror(), gathers);
    let low =
        Curve::from([-hem, length - drop * 0.6]).bend([0.0, length + drop * 1.4], [hem, length - drop * 0.6]);
    t.drawing.stitches(low.offset(2.4), t.look.thread);
    pleats_or_tiers(t, waist, hem, length, fullness);
    skirt_front(t, waist, length);
    let soft = t.garment.closure == Some(Closure::None) && !stiff;
    let top = Curve::from([-waist - 0.2, 0.4]).bend([0.0, 2.4], [waist + 0.2, 0.4]);
    let band = Cloth { print: None, ..t.look.cloth };
    if soft {
        t.ribbing(&top, -BAND, band);
    } else {
        t.trim(top.band(-BAND), band, Frame::default());
        t.drawing.stitches(top.offset(-BAND + 0.5), t.look.thread);
    }
    match t.garment.closure {
        Some(Closure::Belt) => t.belt(waist + 0.4, 0.6, BAND - 0.4),
        Some(Closure::Zip) if t.garment.material == Material::Denim => {
            t.drawing.button([0.2, 3.6], 1.15, t.look.metal)
        }
        _ => {}
    }
}

fn pleats_or_tiers(t: &mut Tailor, waist: f32, hem: f32, length: f32, fullness: f32) {
    if fullness < 0.35 || t.garment.material == Material::Lace || t.garment.closure == Some(Closure::Buttons)
    {
        return;
    }
    match t.cut.below(3) {
        0 => {
            let count = 9;
            for i in 0..=count {
                let x = i as f32 / count as f32 * 2.0 - 1.0;
                let low = length - 1.0 + 3.0 * (1.0 - x * x);
                t.drawing.seam(Curve::lines(&[[x * waist, BAND + 1.0], [x * hem * 0.97, low - 2.0]]));
            }
        }
        1 => {
            for share in [0.36, 0.68] {
                let half = waist + (hem - waist) * (share + 0.1);
                let y = length * share;
                t.drawing.seam(Curve::from([-half, y]).bend([0.0, y + 3.5], [half, y]));
            }
        }
        _ => {}
    }
}

fn skirt_front(t: &mut Tailor, waist: f32, length: f32) {
    let thread = t.look.thread;
    match t.garment.closure {
        Some(Closure::Buttons) => {
            for x in [-2.0, 2.0] {
                t.drawing.seam(Curve::lines(&[[x, BAND], [x, length]]));
            }
            let count = ((length / 8.0) as usize).clamp(4, 10);
            t.buttons([0.0, BAND + 3.0], [0.0, length - 6.0], count, 1.1);
        }
        Some(Closure::Zip) if t.garment.material == Material::Denim => {
            let fly = Curve::from([3.8, BAND]).to([3.6, 13.0]).bend([3.2, 17.0], [0.2, 18.0]);
            t.drawing.stitches(fly, thread);
            t.drawing.seam(Curve::lines(&[[0.0, BAND], [0.0, length]]));
        }
        Some(Closure::Zip) => {
            let zip = Curve::lines(&[[0.0, 1.5], [0.0, length * 0.55]]).dense(1.0, false);
            t.drawing.zip(&zip, t.look.cloth.base.map(|c| c * 0.7), t.look.metal, 0.04);
        }
        _ => {}
    }
    if t.garment.material == Material::Denim {
        for side in [-1.0, 1.0] {
            let pocket = Curve::from([waist * 0.48, BAND]).bend([waist * 0.55, 11.5], [waist * 1.12, 11.5]);
            t.drawing.seam(pocket.map(|[x, y]| [x * side, y]));
            t.drawing.stitches(pocket.offset(-0.7).map(|[x, y]| [x * side, y]), thread);
        }
    }
}
