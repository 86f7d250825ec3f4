//! The picture under construction: colour, slope, shadow and gloss of every pixel.

use super::cloth::{gloss, texture};
use super::folds;
use super::ground::ground;
use super::layer::{Drawing, Layer, Paint, Piece, Trace};
use super::noise::smooth;
use super::outline::{Curve, Point};
use super::palette::{blend, dim, Rgb};
use super::plane::Plane;
use super::projection::Projection;
use super::shot::Shot;
use crate::data::garments::vocabulary::Material;
use resvg::tiny_skia::{FillRule, LineJoin, Mask, Path, PathBuilder, Stroke, StrokeDash, Transform};

/// What the camera will see, before light falls on it.
pub struct Canvas<'a> {
    shot: &'a Shot,
    view: Projection,
    wobble: f32,
    /// Side of the square picture, in pixels.
    pub size: usize,
    /// Colour of the surface.
    pub albedo: Vec<Rgb>,
    /// Slope of the surface to the right and downwards (rise over run).
    pub slope: Vec<[f32; 2]>,
    /// Share of the light that shadows leave.
    pub light: Vec<f32>,
    /// Strength and sharpness of the gloss.
    pub gloss: Vec<(f32, f32)>,
}

impl<'a> Canvas<'a> {
    /// A canvas of `size` x `size` pixels that shows the ground; `wobble` is in cm.
    pub fn new(shot: &'a Shot, view: Projection, size: usize, wobble: f32) -> Self {
        let mut canvas = Self {
            shot,
            view,
            wobble,
            size,
            albedo: vec![[0.0; 3]; size * size],
            slope: vec![[0.0; 2]; size * size],
            light: vec![1.0; size * size],
            gloss: vec![(0.0, 1.0); size * size],
        };
        let mut heights = Plane::new(0, 0, size, size);
        for (i, height) in heights.data.iter_mut().enumerate() {
            let at = [(i % size) as f32 + 0.5, (i / size) as f32 + 0.5];
            (canvas.albedo[i], *height) = ground(shot, view.unproject(at), view.pixel);
        }
        for y in 1..size.saturating_sub(1) {
            for x in 1..size - 1 {
                let slope = heights.gradient(x as i32, y as i32);
                canvas.slope[y * size + x] = slope.map(|s| s / view.pixel);
            }
        }
        canvas
    }

    /// Draws all the layers, and the shadow of the whole on the ground.
    pub fn draw(&mut self, drawing: &Drawing) {
        let mut whole = Plane::new(0, 0, self.size, self.size);
        for layer in drawing.layers.iter().filter(|layer| matches!(layer.paint, Paint::Cloth(_))) {
            if let Some(mask) = self.coverage(layer, 0) {
                self.over(&mask, |i, x, y| whole.data[i] = whole.data[i].max(mask.at(x, y)));
            }
        }
        self.cast(&whole.blurred(2.2 / self.view.pixel), 1.6, 0.5);
        for layer in &drawing.layers {
            match &layer.paint {
                Paint::Cloth(piece) => self.lay(layer, piece),
                Paint::Ink { colour, opacity, relief } => self.ink(layer, *colour, *opacity, *relief),
            }
        }
    }

    /// The displacement (cm) that makes the outline look laid by hand.
    fn wander(&self, p: Point) -> Point {
        let seed = self.shot.seed as u32;
        let shift = |k: u32| {
            smooth(seed + k, p[0] / 17.0, p[1] / 17.0) + 0.33 * smooth(seed + k + 1, p[0] / 5.0, p[1] / 5.0)
        };
        [shift(31) * self.wobble, shift(41) * self.wobble]
    }

    fn path(&self, curves: &[Curve], closed: bool) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for curve in curves {
            for (i, p) in curve.dense(1.2, closed).0.iter().enumerate() {
                let shift = self.wander(*p);
                let [x, y] = self.view.project([p[0] + shift[0], p[1] + shift[1]]);
                if i == 0 {
                    builder.move_to(x, y)
                } else {
                    builder.line_to(x, y)
                }
            }
            if closed {
                builder.close();
            }
        }
        builder.finish()
    }

    /// How much of each pixel the layer covers, on its own rectangle widened by `margin` pixels;
    /// `None` if it covers nothing of the picture.
    fn coverage(&self, layer: &Layer, margin: i32) -> Option<Plane> {
        let path = self.path(&layer.curves, matches!(layer.trace, Trace::Fill))?;
        let pixels = |cm: f32| (cm / self.view.pixel).max(0.35);
        let round = LineJoin::Round;
        let stroke = |width: f32| Stroke { width: pixels(width), line_join: round, ..Stroke::default() };
        let path = match layer.trace {
            Trace::Fill => path,
            Trace::Line(width) => path.stroke(&stroke(width), 1.0)?,
            Trace::Dash(width, on, off) => {
                let dash = StrokeDash::new(vec![pixels(on), pixels(off)], 0.0)?;
                path.dash(&dash, 1.0)?.stroke(&stroke(width), 1.0)?
            }
        };
        let bounds = path.bounds();
        let side = self.size as i32;
        let limit = |t: f32, extra: i32| (t.floor() as i32).saturating_add(extra).clamp(0, side);
        let (left, top) = (limit(bounds.left(), -margin - 1), limit(bounds.top(), -margin - 1));
        let (right, low) = (limit(bounds.right(), margin + 2), limit(bounds.bottom(), margin + 2));
        if left >= right || top >= low {
            return None;
        }
        let (width, height) = ((right - left) as usize, (low - top) as usize);
        let mut mask = Mask::new(width as u32, height as u32)?;
        let shift = Transform::from_translate(-left as f32, -top as f32);
        mask.fill_path(&path, FillRule::Winding, true, shift);
        let data = mask.data().iter().map(|&cover| f32::from(cover) / 255.0).collect();
        Some(Plane { left, top, width, height, data })
    }

    /// Calls `visit(index, x, y)` for every pixel of the picture on the plane's rectangle.
    fn over(&self, plane: &Plane, mut visit: impl FnMut(usize, i32, i32)) {
        for y in plane.top..plane.top + plane.height as i32 {
            for x in plane.left..plane.left + plane.width as i32 {
                visit(y as usize * self.size + x as usize, x, y);
            }
        }
    }

    /// Lets a blurred mask at `height` cm cast its shadow.
    fn cast(&mut self, soft: &Plane, height: f32, strength: f32) {
        let reach = height / self.shot.light_height.tan() / self.view.pixel;
        let (sin, cos) = self.shot.light_angle.sin_cos();
        let (dx, dy) = ((cos * reach).round() as i32, (sin * reach).round() as i32);
        let size = self.size;
        for y in soft.top..soft.top + soft.height as i32 {
            for x in soft.left..soft.left + soft.width as i32 {
                self.light[y as usize * size + x as usize] *= 1.0 - strength * soft.at(x + dx, y + dy);
            }
        }
    }

    /// Lays a piece of cloth on the canvas.
    fn lay(&mut self, layer: &Layer, piece: &Piece) {
        let pixel = self.view.pixel;
        let bevel = (0.45 + piece.lift) / pixel;
        let Some(mask) = self.coverage(layer, (2.5 * bevel) as i32 + 2) else { return };
        let soft = mask.blurred(bevel);
        self.cast(&mask.blurred(1.3 * piece.lift / pixel), 1.1 * piece.lift, 0.42);
        let cloth = piece.cloth;
        let seed = self.shot.seed as u32;
        let weave =
            cloth.base.iter().fold(7u32, |sum, c| sum.wrapping_mul(31).wrapping_add(c.to_bits() >> 9));
        let mut heights = Plane::new(mask.left, mask.top, mask.width, mask.height);
        let mut colours = vec![[0.0; 3]; heights.data.len()];
        for (i, height) in heights.data.iter_mut().enumerate() {
            if soft.data[i] <= 0.0 {
                continue;
            }
            let (x, y) = (mask.left + (i % mask.width) as i32, mask.top + (i / mask.width) as i32);
            let seen = self.view.unproject([x as f32 + 0.5, y as f32 + 0.5]);
            let shift = self.wander(seen);
            let p = [seen[0] - shift[0], seen[1] - shift[1]];
            let fold = folds::height(&piece.folds, &piece.frame, seed, p);
            let [u, v] = piece.frame.local(p);
            let place = [u + 0.5 * fold, v + 0.4 * fold];
            let fabric = texture(cloth.material, weave, place, pixel);
            // Inside the edge the blurred mask runs from one half to 1: a rounded rim.
            let rim = (soft.data[i] * 2.0 - 1.0).clamp(0.0, 1.0);
            let wear = if cloth.material == Material::Denim { 0.2 } else { 0.09 };
            let hollow = (1.0 + wear * fold).clamp(0.75, 1.3);
            *height = fold + fabric.height + piece.lift * (rim * (2.0 - rim)).sqrt();
            let printed = match cloth.print {
                Some(print) => {
                    let (ink, cover) = print.at(place, 1.3 * pixel);
                    blend(cloth.base, ink, cover.clamp(0.0, 1.0))
                }
                None => cloth.base,
            };
            colours[i] = dim(printed, (fabric.tone * cloth.tone * hollow).max(0.0));
        }
        for y in mask.top..mask.top + mask.height as i32 {
            for x in mask.left..mask.left + mask.width as i32 {
                let cover = mask.at(x, y);
                if cover <= 0.0 {
                    continue;
                }
                let i = y as usize * self.size + x as usize;
                let j = (y - mask.top) as usize * mask.width + (x - mask.left) as usize;
                self.albedo[i] = blend(self.albedo[i], colours[j], cover);
                let slope = heights.gradient(x, y).map(|s| (s / pixel).clamp(-1.6, 1.6));
                self.slope[i] = std::array::from_fn(|k| self.slope[i][k] * (1.0 - cover) + slope[k] * cover);
                self.light[i] += (1.0 - self.light[i]) * cover;
                if cover > 0.5 {
                    self.gloss[i] = gloss(cloth.material);
                }
            }
        }
    }

    /// Prints, stitches or mounts something on what is already there.
    fn ink(&mut self, layer: &Layer, colour: Rgb, opacity: f32, relief: f32) {
        let Some(mask) = self.coverage(layer, 2) else { return };
        let pixel = self.view.pixel;
        for y in mask.top..mask.top + mask.height as i32 {
            for x in mask.left..mask.left + mask.width as i32 {
                let i = y as usize * self.size + x as usize;
                self.albedo[i] = blend(self.albedo[i], colour, mask.at(x, y) * opacity);
                let slope = mask.gradient(x, y).map(|s| (relief * s / pixel).clamp(-0.8, 0.8));
                self.slope[i] = std::array::from_fn(|k| self.slope[i][k] + slope[k]);
            }
        }
    }
}
