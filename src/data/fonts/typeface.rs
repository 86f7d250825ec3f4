//! Outlines of a font file: decompresses WOFF2, shapes text, and lays out a line of it.

use crate::error::{Error, Kind, Result};
use harfrust::{Buffer, ShapeOptions, ShaperFont};
use resvg::tiny_skia::{Path, PathBuilder, Rect};
use skrifa::{DrawMemory, Font, GlyphId, PathSink, ScalerFont};

/// A font face.
pub struct Typeface {
    font: Font,
    outlines: ScalerFont,
}

/// A line of text in units of 1 em. The pen starts at the origin on the baseline and moves right; y grows downwards.
#[derive(Debug)]
pub struct Line {
    /// The outline, to be filled by the non-zero rule, and its bounds; `None` if nothing is drawn.
    pub outline: Option<(Path, Rect)>,
    /// The position of the pen at the end.
    pub advance: f32,
}

impl Typeface {
    /// Reads a WOFF2 file.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if it cannot be read.
    pub fn from_woff2(bytes: &[u8]) -> Result<Self> {
        let invalid = |what: &str| Error::new(Kind::InvalidData, format!("{what} cannot be read"));
        let sfnt = wuff::decompress_woff2(bytes).map_err(|_| invalid("the WOFF2 container"))?;
        let font = Font::new(sfnt, 0).filter(|f| f.units_per_em() > 0).ok_or_else(|| invalid("the font"))?;
        Ok(Self { outlines: ScalerFont::force_unhinted(font.clone(), None), font })
    }

    /// Lays out a line of text, with kerning and ligatures. Outlines are not hinted, so they do not depend on a size.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the text cannot be shaped or a glyph cannot be drawn.
    pub fn layout_line(&self, text: &str) -> Result<Line> {
        let invalid = |e: &dyn std::fmt::Display| {
            Error::new(Kind::InvalidData, format!("the font cannot draw \"{text}\": {e}"))
        };
        let mut buffer = Buffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        harfrust::shape(&ShaperFont::new(&self.font), &mut buffer, ShapeOptions::new())
            .map_err(|e| invalid(&e))?;
        let scale = 1.0 / f32::from(self.font.units_per_em());
        let mut pen = Pen { path: PathBuilder::new(), x: 0.0, y: 0.0, scale };
        let mut advance = 0;
        for (glyph, at) in buffer.glyph_infos().iter().zip(buffer.glyph_positions()) {
            (pen.x, pen.y) = ((advance + at.x_offset) as f32, at.y_offset as f32);
            if let Some(outline) = self.outlines.outline(GlyphId::new(glyph.glyph_id)) {
                outline.draw(DrawMemory::Scratch, &mut pen).map_err(|e| invalid(&e))?;
            }
            advance += at.x_advance;
        }
        let outline = pen.path.finish().and_then(|path| {
            let bounds = path.compute_tight_bounds()?;
            Some((path, bounds))
        });
        Ok(Line { outline, advance: advance as f32 * scale })
    }
}

/// Receives the outline of a glyph; moves and scales it, and flips it, because y grows upwards in fonts.
struct Pen {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        ((self.x + x) * self.scale, -(self.y + y) * self.scale)
    }
}

impl PathSink for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let ((cx, cy), (x, y)) = (self.at(cx, cy), self.at(x, y));
        self.path.quad_to(cx, cy, x, y);
    }

    fn curve_to(&mut self, cx0: f32, cy0: f32, cx1: f32, cy1: f32, x: f32, y: f32) {
        let ((cx0, cy0), (cx1, cy1), (x, y)) = (self.at(cx0, cy0), self.at(cx1, cy1), self.at(x, y));
        self.path.cubic_to(cx0, cy0, cx1, cy1, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
