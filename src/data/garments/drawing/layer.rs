//! What a garment is made of on the drawing board: layers of cloth, ink and thread, bottom first.

use super::outline::{turn, Curve, Point};
use super::palette::Rgb;
use super::print::Print;
use crate::data::garments::vocabulary::Material;

/// A local system of coordinates on a piece of cloth: prints and fibres follow it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    /// Where the local origin lies on the garment, in cm.
    pub origin: Point,
    /// How far the cloth is turned, in radians, clockwise as seen.
    pub angle: f32,
}

impl Frame {
    /// Coordinates on the cloth (u across, v along the grain) of a point of the garment.
    pub fn local(&self, p: Point) -> Point {
        turn([p[0] - self.origin[0], p[1] - self.origin[1]], -self.angle)
    }
}

/// Folds that start at a seam and fade away from it, as at a gathered waist or a cuff.
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    /// One end of the seam, in cm.
    pub from: Point,
    /// The other end of the seam.
    pub to: Point,
    /// Distance over which the folds fade, in cm.
    pub reach: f32,
    /// Width of one fold, in cm.
    pub spacing: f32,
    /// Height of the folds at the seam, in cm.
    pub depth: f32,
}

/// How a piece of cloth lies: long folds along its frame, creases, and gathers.
#[derive(Clone, Debug, Default)]
pub struct Folds {
    /// Height of the long folds, in cm.
    pub depth: f32,
    /// Width of the long folds, in cm.
    pub width: f32,
    /// Gathers, if any.
    pub gathers: Vec<Gather>,
}

/// A kind of cloth with its print.
#[derive(Clone, Copy, Debug)]
pub struct Cloth {
    /// Ground colour.
    pub base: Rgb,
    /// The material, which decides weave, gloss and thickness.
    pub material: Material,
    /// What is printed on it.
    pub print: Option<Print>,
    /// Brightness: 1 for the outside, less for the inside of a garment.
    pub tone: f32,
}

/// A piece of cloth on the drawing board.
#[derive(Clone, Debug)]
pub struct Piece {
    /// What it is cut from.
    pub cloth: Cloth,
    /// Its grain.
    pub frame: Frame,
    /// How it lies.
    pub folds: Folds,
    /// How far it stands up, in cm: bevels its edge and casts a shadow on what lies below.
    pub lift: f32,
}

/// How a curve becomes an area.
#[derive(Clone, Copy, Debug)]
pub enum Trace {
    /// The inside of the closed curve.
    Fill,
    /// A line of the given width, in cm.
    Line(f32),
    /// A dashed line: width, length of a dash, length of a gap, in cm.
    Dash(f32, f32, f32),
}

/// What the area is filled with.
#[derive(Clone, Debug)]
pub enum Paint {
    /// Cloth, which hides what is below.
    Cloth(Box<Piece>),
    /// Ink, thread, metal: colour on top of the cloth, whose folds still show.
    Ink {
        /// Its colour.
        colour: Rgb,
        /// How much of the cloth's colour it hides, in `0.0..=1.0`.
        opacity: f32,
        /// How far it stands out of the cloth (or, if negative, is pressed into it), in cm.
        relief: f32,
    },
}

/// One layer of a drawing.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The curves; several closed ones fill by the non-zero winding rule.
    pub curves: Vec<Curve>,
    /// Filled or stroked.
    pub trace: Trace,
    /// With what.
    pub paint: Paint,
}

/// A garment on the drawing board.
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
}

impl Drawing {
    /// Adds a piece of cloth.
    pub fn piece(&mut self, outline: Curve, piece: Piece) {
        let paint = Paint::Cloth(Box::new(piece));
        self.layers.push(Layer { curves: vec![outline], trace: Trace::Fill, paint });
    }

    /// Adds ink, thread or metal: see [`Paint::Ink`] for the units.
    fn coat(&mut self, curves: Vec<Curve>, trace: Trace, colour: Rgb, opacity: f32, relief: f32) {
        self.layers.push(Layer { curves, trace, paint: Paint::Ink { colour, opacity, relief } });
    }

    /// Adds a filled area of ink.
    pub fn ink(&mut self, outline: Curve, colour: Rgb) {
        self.coat(vec![outline], Trace::Fill, colour, 0.95, 0.0);
    }

    /// Adds a stain without a visible edge: `shade` times `strength`, strongest in the middle.
    pub fn stain(&mut self, centre: Point, rx: f32, ry: f32, shade: Rgb, strength: f32) {
        let steps = 7;
        for step in 1..=steps {
            let share = step as f32 / steps as f32;
            let ring = Curve::ellipse(centre, rx * share, ry * share);
            self.coat(vec![ring], Trace::Fill, shade, strength / steps as f32, 0.0);
        }
    }

    /// Adds lines of ink of the given width in cm.
    pub fn lines(&mut self, curves: Vec<Curve>, width: f32, colour: Rgb) {
        self.coat(curves, Trace::Line(width), colour, 0.95, 0.0);
    }

    /// Adds a groove in the cloth: a line of the given width (cm), darker by `shade` and pressed in.
    pub fn groove(&mut self, curve: Curve, width: f32, shade: f32, depth: f32) {
        self.coat(vec![curve], Trace::Line(width), [0.0; 3], shade, -depth);
    }

    /// Adds a seam.
    pub fn seam(&mut self, curve: Curve) {
        self.groove(curve, 0.4, 0.28, 0.14);
    }

    /// Adds a row of stitches.
    pub fn stitches(&mut self, curve: Curve, thread: Rgb) {
        self.coat(vec![curve], Trace::Dash(0.24, 0.8, 0.3), thread, 0.55, -0.03);
    }

    /// Adds something that stands out of the cloth without being cloth: a button, a buckle, a puller.
    pub fn raised(&mut self, outline: Curve, trace: Trace, colour: Rgb, relief: f32) {
        self.coat(vec![outline], trace, colour, 1.0, relief);
    }

    /// Adds a round button of the given radius in cm, with its holes and the shadow around it.
    pub fn button(&mut self, centre: Point, radius: f32, colour: Rgb) {
        let below = [centre[0] + 0.15, centre[1] + 0.25];
        let shadow = vec![Curve::ellipse(below, radius * 1.25, radius * 1.25)];
        self.coat(shadow, Trace::Fill, [0.0; 3], 0.4, 0.0);
        self.raised(Curve::ellipse(centre, radius, radius), Trace::Fill, colour, 0.3);
        for side in [-1.0, 1.0] {
            let hole = [centre[0] + side * radius * 0.3, centre[1]];
            self.ink(Curve::ellipse(hole, radius * 0.14, radius * 0.18), colour.map(|c| c * 0.3));
        }
    }

    /// Adds a zip along a curve, with its puller `open` of the way down (in `0.0..=1.0`).
    pub fn zip(&mut self, curve: &Curve, tape: Rgb, metal: Rgb, open: f32) {
        self.raised(curve.clone(), Trace::Line(3.0), tape, -0.12);
        self.raised(curve.clone(), Trace::Line(1.35), metal.map(|c| c * 0.12), 0.0);
        self.raised(curve.clone(), Trace::Dash(1.2, 0.55, 0.45), metal, 0.12);
        if let Some([x, y]) = curve.at(open) {
            self.raised(Curve::rect(x - 0.85, y - 0.3, 1.7, 1.5), Trace::Fill, metal, 0.25);
            self.raised(Curve::rect(x - 0.5, y + 1.0, 1.0, 3.0), Trace::Fill, metal, 0.2);
        }
    }

    /// The smallest and largest coordinates of everything drawn, or `None` if nothing is.
    pub fn bounds(&self) -> Option<(Point, Point)> {
        let mut points = self.layers.iter().flat_map(|l| l.curves.iter()).flat_map(|c| c.0.iter());
        let first = *points.next()?;
        Some(points.fold((first, first), |(low, high), p| {
            ([low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])])
        }))
    }
}
