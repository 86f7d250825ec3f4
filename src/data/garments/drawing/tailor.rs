//! The tailor's bench: a garment, its look, how it is to lie, and the drawing so far.

use super::cloth::thickness;
use super::garment::Garment;
use super::layer::{Cloth, Drawing, Folds, Frame, Gather, Piece, Trace};
use super::look::Look;
use super::outline::{between, Curve, Point};
use super::palette::{hex, lightness};
use super::rng::Rng;
use super::shot::Pose;
use crate::data::garments::vocabulary::Material;

/// Everything the files that cut a garment need.
pub struct Tailor<'a> {
    /// What is to be cut.
    pub garment: &'a Garment,
    /// Its colours and cloth.
    pub look: Look,
    /// How it lies.
    pub pose: Pose,
    /// Proportions that the labels leave open; depends on the garment only.
    pub cut: Rng,
    /// The drawing so far.
    pub drawing: Drawing,
    /// Size of the garment relative to an adult's, for folds and seams.
    pub scale: f32,
}

impl<'a> Tailor<'a> {
    /// An empty bench.
    pub fn new(garment: &'a Garment, pose: Pose) -> Self {
        let (look, cut) = (Look::of(garment), garment.stream(2));
        Self { garment, look, pose, cut, drawing: Drawing::default(), scale: 1.0 }
    }

    /// Folds of the usual depth for the material.
    pub fn folds(&self, gathers: Vec<Gather>) -> Folds {
        let (depth, width) = match self.garment.material {
            Material::Jersey => (1.15, 8.0),
            Material::Woven => (1.3, 7.5),
            Material::Synthetic => (1.25, 8.0),
            Material::Lace => (0.9, 8.0),
            Material::Denim | Material::Canvas => (1.15, 9.5),
            Material::Knit => (1.2, 12.0),
            Material::Fleece => (1.7, 12.0),
            Material::Leather => (1.5, 9.0),
            Material::Padded => (1.4, 13.0),
            Material::Straw => (0.2, 12.0),
        };
        let scale = self.scale;
        Folds { depth: depth * scale * self.pose.crumple, width: width * scale, gathers }
    }

    /// Adds a piece of any cloth with the usual folds.
    pub fn lay(&mut self, outline: Curve, cloth: Cloth, frame: Frame, gathers: Vec<Gather>) {
        let lift = thickness(cloth.material) * self.scale.sqrt();
        let piece = Piece { cloth, frame, folds: self.folds(gathers), lift };
        self.drawing.piece(outline, piece);
    }

    /// Adds a piece of the main cloth, its grain upright.
    pub fn main(&mut self, outline: Curve, gathers: Vec<Gather>) {
        self.lay(outline, self.look.cloth, Frame::default(), gathers);
    }

    /// Adds a narrow piece of trimming (ribbing, waistband, collar) that lies flatter than the rest.
    pub fn trim(&mut self, outline: Curve, cloth: Cloth, frame: Frame) {
        let mut folds = self.folds(Vec::new());
        folds.depth *= 0.35;
        let lift = (thickness(cloth.material) * 0.8).min(0.45) * self.scale.sqrt();
        self.drawing.piece(outline, Piece { cloth, frame, folds, lift });
    }

    /// Adds the inside of the garment, flat and in shadow.
    pub fn inside(&mut self, outline: Curve) {
        let cloth = self.look.inside();
        let mut folds = self.folds(Vec::new());
        folds.depth *= 0.6;
        self.drawing.piece(outline, Piece { cloth, frame: Frame::default(), folds, lift: 0.12 });
    }

    /// Adds the lines of ribbing across a band: `count` lines from points of `from` to points of `to`.
    pub fn ribs(&mut self, from: &Curve, to: &Curve, spacing: f32) {
        let length: f32 = from.0.windows(2).map(|w| (w[1][0] - w[0][0]).hypot(w[1][1] - w[0][1])).sum();
        let count = (length / spacing).round().max(1.0) as usize;
        for i in 0..=count {
            let share = i as f32 / count as f32;
            if let (Some(a), Some(b)) = (from.at(share), to.at(share)) {
                self.drawing.groove(Curve::lines(&[a, b]), spacing * 0.4, 0.16, 0.06);
            }
        }
    }

    /// Adds a closed band of ribbing along a curve.
    pub fn ribbing(&mut self, curve: &Curve, width: f32, cloth: Cloth) {
        self.trim(curve.band(width), cloth, Frame::default());
        self.ribs(curve, &curve.offset(width), 0.75 * self.scale.max(0.5));
    }

    /// Adds a row of buttons.
    pub fn buttons(&mut self, from: Point, to: Point, count: usize, radius: f32) {
        for i in 0..count {
            let t = if count > 1 { i as f32 / (count - 1) as f32 } else { 0.5 };
            self.drawing.button(between(from, to, t), radius, self.look.button);
        }
    }

    /// Adds a belt between two heights, with a buckle in the middle.
    pub fn belt(&mut self, half: f32, y: f32, width: f32) {
        let base = if lightness(self.look.cloth.base) > 0.35 {
            self.cut.pick([0x3a2418, 0x1d1d20, 0x6b4428])
        } else {
            self.cut.pick([0x8a5a34, 0xb08a5a, 0x7d2f2f])
        };
        let leather = Cloth { base: hex(base), material: Material::Leather, print: None, tone: 1.0 };
        let top = Curve::from([-half, y]).bend([0.0, y + 1.2], [half, y]);
        let lift = 0.5;
        let piece = Piece { cloth: leather, frame: Frame::default(), folds: Folds::default(), lift };
        self.drawing.piece(top.band(-width), piece);
        let (h, w) = (width * 1.45, width * 1.5);
        let frame = Curve::rect(-w / 2.0, y + 0.6 + width / 2.0 - h / 2.0, w, h);
        let closed = frame.clone().closed();
        self.drawing.raised(closed, Trace::Line(1.0), self.look.metal, 0.35);
        let middle = y + 0.6 + width / 2.0;
        let tongue = Curve::lines(&[[-w / 2.0, middle], [w / 2.0, middle]]);
        self.drawing.raised(tongue, Trace::Line(0.5), self.look.metal, 0.2);
    }
}
