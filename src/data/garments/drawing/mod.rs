//! Drawn garments that look like photographs of clothes laid flat, with their labels.
//!
//! A [`Garment`] is a set of labels and a seed; a [`Shot`] is the circumstances of one photograph; [`draw`]
//! makes the picture, the same to the byte on every run. No picture or font is read: everything is drawn.
//!
//! | file | what it holds |
//! |------|---------------|
//! | `garment`, `tables`, `rules` | labels, how often each is chosen, which of them exist together |
//! | `shot` | ground, light and camera of one photograph, and how the garment was laid |
//! | `rng`, `noise` | seeded random numbers, smooth noise |
//! | `outline`, `layer` | curves in centimetres; layers of cloth, ink and thread |
//! | `palette`, `look`, `print` | shades of the named colours, the colours and prints of one garment |
//! | `tailor` | the bench on which a garment is put together |
//! | `top`, `body`, `neck`, `collar`, `sleeve`, `front`, `frill` | tops, coats, dresses and their parts |
//! | `trousers`, `skirt` | trousers and shorts, skirts |
//! | `pair`, `shoe`, `profile` | footwear from above and from the side |
//! | `hat` | caps, beanies, sun hats |
//! | `picture`, `lettering` | pictures and words printed on garments |
//! | `cloth`, `folds`, `ground` | close-up texture of materials, folds, what the garment lies on |
//! | `projection`, `plane`, `canvas`, `develop` | camera geometry, masks, painting, light and sensor |

mod body;
mod canvas;
mod cloth;
mod collar;
mod develop;
mod folds;
mod frill;
mod front;
mod garment;
mod ground;
mod hat;
mod layer;
mod lettering;
mod look;
mod neck;
mod noise;
mod outline;
mod pair;
mod palette;
mod picture;
mod plane;
mod print;
mod profile;
mod projection;
mod rng;
mod rules;
mod shoe;
mod shot;
mod skirt;
mod sleeve;
mod tables;
mod tailor;
#[cfg(test)]
mod tests;
mod top;
mod trousers;

pub use super::vocabulary::{Category, Closure, Colour, Length, Material, Neckline, Pattern, Sleeves};
pub use garment::{Garment, Wish};
pub use shot::{Ground, Pose, Shot};

use canvas::Canvas;
use image::RgbImage;
use layer::Drawing;
use pair::{pair, Placing};
use projection::Projection;
use tailor::Tailor;

/// Side below which pictures are painted larger and then reduced, in pixels.
const FINE: u32 = 300;

/// The photograph of a garment, `size` x `size` pixels; the same arguments give the same bytes.
pub fn draw(garment: &Garment, shot: &Shot, size: u32) -> RgbImage {
    let size = size.clamp(16, 4096);
    let factor = FINE.div_ceil(size).min(4);
    let (drawing, wobble) = assemble(garment, shot);
    let Some(bounds) = drawing.bounds() else { return RgbImage::new(size, size) };
    let side = (size * factor) as usize;
    let view = Projection::new(shot, bounds, side as f32);
    let mut canvas = Canvas::new(shot, view, side, wobble * shot.pose.wobble);
    canvas.draw(&drawing);
    develop::develop(&canvas, shot, factor as usize)
}

/// The layers of a garment, and how far its outline wanders, in cm.
fn assemble(garment: &Garment, shot: &Shot) -> (Drawing, f32) {
    let mut tailor = Tailor::new(garment, shot.pose);
    let t = &mut tailor;
    let wobble = match garment.category {
        Category::Pants | Category::Shorts => {
            trousers::trousers(t);
            0.8
        }
        Category::Skirt => {
            skirt::skirt(t);
            0.8
        }
        Category::Sneakers => {
            pair(t, Placing::Above, shoe::sneaker);
            0.18
        }
        Category::Shoes => {
            pair(t, Placing::Above, shoe::shoe);
            0.16
        }
        Category::Sandals => {
            pair(t, Placing::Above, shoe::sandal);
            0.16
        }
        Category::Boots => {
            pair(t, Placing::Side, profile::boot);
            0.25
        }
        Category::Heels => {
            pair(t, Placing::Side, profile::heel);
            0.1
        }
        Category::Hat => {
            hat::hat(t);
            0.35
        }
        _ => {
            top::top(t);
            0.9 * t.scale
        }
    };
    (tailor.drawing, wobble)
}
