//! From the canvas to the photograph: light, lens, sensor.

use super::canvas::Canvas;
use super::noise::smooth;
use super::palette::{encoded, Rgb};
use super::plane::Plane;
use super::rng::Rng;
use super::shot::Shot;
use image::{Rgb as Pixel, RgbImage};

/// The photograph of a canvas, made smaller by `factor` in both directions.
pub fn develop(canvas: &Canvas, shot: &Shot, factor: usize) -> RgbImage {
    let lit = expose(canvas, shot);
    let radius = shot.blur * canvas.size as f32;
    // Blurred ones: what the blur takes from the border, where there is nothing outside to blend with.
    let mut whole = Plane::new(0, 0, canvas.size, canvas.size);
    whole.data.fill(1.0);
    let share = softened(whole, radius);
    let channels: [Plane; 3] = std::array::from_fn(|k| {
        let mut plane = Plane::new(0, 0, canvas.size, canvas.size);
        for (value, colour) in plane.data.iter_mut().zip(&lit) {
            *value = colour[k];
        }
        let mut soft = softened(plane, radius);
        for (value, share) in soft.data.iter_mut().zip(&share.data) {
            *value /= share;
        }
        soft
    });
    let size = canvas.size / factor;
    let mut rng = Rng::new(shot.seed, 0x1505);
    let mut photograph = RgbImage::new(size as u32, size as u32);
    for (x, y, pixel) in photograph.enumerate_pixels_mut() {
        let grain = rng.unit() + rng.unit() + rng.unit() - 1.5;
        let mut value = |k: usize| {
            let mean = mean(&channels[k], x as usize * factor, y as usize * factor, factor);
            // Shot noise grows with the root of the light; each channel has some of its own.
            let noise = shot.noise * (1.4 * grain + rng.unit() - 0.5) * (0.06 + mean.max(0.0).sqrt());
            (encoded(shoulder((mean + noise).max(0.0))) * 255.0).round() as u8
        };
        *pixel = Pixel([value(0), value(1), value(2)]);
    }
    photograph
}

/// The light that reaches the lens from every pixel, in linear light.
fn expose(canvas: &Canvas, shot: &Shot) -> Vec<Rgb> {
    let (sin, cos) = shot.light_height.sin_cos();
    let light = [shot.light_angle.cos() * cos, shot.light_angle.sin() * cos, sin];
    // Halfway between the light and the camera, which looks straight down.
    let halfway = {
        let length = (2.0 + 2.0 * light[2]).sqrt();
        [light[0] / length, light[1] / length, (light[2] + 1.0) / length]
    };
    let side = canvas.size as f32;
    let seed = shot.seed as u32;
    (0..canvas.size * canvas.size)
        .map(|i| {
            let (x, y) = ((i % canvas.size) as f32 / side - 0.5, (i / canvas.size) as f32 / side - 0.5);
            let [sx, sy] = canvas.slope[i];
            let length = (1.0 + sx * sx + sy * sy).sqrt();
            let facing = ((light[2] - sx * light[0] - sy * light[1]) / length).max(0.0) / light[2];
            // Daylight from a window: brighter towards the light, uneven, darker in the corners.
            let window = 1.0 + 0.28 * (x * light[0] + y * light[1]) + 0.06 * smooth(seed, x * 3.0, y * 3.0);
            let corner = 1.0 - shot.vignette * 2.0 * (x * x + y * y);
            let hollow = 1.0 / (1.0 + 0.25 * (length - 1.0));
            let diffuse = shot.ambient * hollow + (1.0 - shot.ambient) * facing;
            let amount = diffuse * canvas.light[i] * window * corner * shot.exposure;
            let (strength, sharpness) = canvas.gloss[i];
            let shine = if strength > 0.0 {
                let aligned = (halfway[2] - sx * halfway[0] - sy * halfway[1]) / length;
                strength * aligned.max(0.0).powf(sharpness) * facing * canvas.light[i] * window
            } else {
                0.0
            };
            std::array::from_fn(|k| (canvas.albedo[i][k] * amount + shine) * shot.white_balance[k])
        })
        .collect()
}

/// The plane blurred by a fraction of a pixel up to a few pixels.
fn softened(plane: Plane, radius: f32) -> Plane {
    if radius >= 1.5 {
        return plane.blurred(radius);
    }
    // A cross-shaped kernel whose arms weigh what the radius asks for.
    let arm = (radius * radius / 4.0).min(0.16);
    let mut soft = plane.clone();
    for y in 1..plane.height - 1 {
        for x in 1..plane.width - 1 {
            let i = y * plane.width + x;
            let around = plane.data[i - 1]
                + plane.data[i + 1]
                + plane.data[i - plane.width]
                + plane.data[i + plane.width];
            soft.data[i] = plane.data[i] * (1.0 - 4.0 * arm) + arm * around;
        }
    }
    soft
}

fn mean(plane: &Plane, x: usize, y: usize, factor: usize) -> f32 {
    let rows = (y..y + factor).map(|row| &plane.data[row * plane.width + x..][..factor]);
    rows.flatten().sum::<f32>() / (factor * factor) as f32
}

/// Compresses what is brighter than the sensor can take, as cameras do.
fn shoulder(value: f32) -> f32 {
    if value <= 0.7 {
        value
    } else {
        0.7 + 0.3 * (1.0 - (-(value - 0.7) / 0.3).exp())
    }
}
