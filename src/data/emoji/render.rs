//! Renders a drawing as a square image over white.

use super::drawings::DrawingSource;
use crate::error::{Error, Kind, Result};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::ImageEncoder;
use resvg::{tiny_skia, usvg};

/// A square image.
#[derive(Debug, Clone)]
pub struct RenderedImage {
    /// Height and width in pixels.
    pub size: usize,
    /// `[size * size]` pixels of red, green and blue in `[0, 255]`, multiplied by alpha, and alpha in `[0, 1]`. Lanczos overshoots, so
    /// colours may be slightly outside of their range.
    pub premultiplied: Vec<[f32; 4]>,
    /// `[size * size]` pixels of red, green and blue, composited over white.
    pub over_white: Vec<[u8; 3]>,
}

/// A drawing with a smaller share of visible pixels counts as empty.
const MIN_VISIBLE_SHARE: f64 = 0.01;
/// SVGs are rendered at this multiple of the size and then resized with Lanczos, which gives smoother edges than the renderer.
const OVERSAMPLING: u32 = 2;

/// Renders a drawing at `size` by `size` pixels; `None` if almost nothing of it is visible.
///
/// # Errors
/// [`Kind::InvalidData`] if the drawing cannot be read.
pub fn render(source: &DrawingSource, size: u32) -> Result<Option<RenderedImage>> {
    let (width, height, pixels) = match source {
        DrawingSource::Svg(svg) => draw_svg(svg, size * OVERSAMPLING)?,
        DrawingSource::File(path) => {
            let decoded = image::open(path).map_err(|e| unreadable("decode the image", &e))?.into_rgba8();
            (decoded.width(), decoded.height(), decoded.pixels().map(|p| p.0).collect())
        }
    };
    let image = compose(resize(width, height, &pixels, size)?, size as usize);
    let visible = image.premultiplied.iter().filter(|p| p[3] > 0.5).count();
    Ok((visible as f64 >= MIN_VISIBLE_SHARE * f64::from(size * size)).then_some(image))
}

fn unreadable(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::InvalidData, format!("could not {what}: {error}"))
}

/// Renders an SVG, scaled to fit a square of `side` pixels; returns width, height and RGBA pixels.
fn draw_svg(svg: &str, side: u32) -> Result<(u32, u32, Vec<[u8; 4]>)> {
    let tree =
        usvg::Tree::from_str(svg, &usvg::Options::default()).map_err(|e| unreadable("parse the SVG", &e))?;
    let no_size = || unreadable("size the SVG", &"its view box is empty");
    let square = tiny_skia::IntSize::from_wh(side, side).ok_or_else(no_size)?;
    let fitted = tree.size().to_int_size().scale_to(square);
    let mut pixmap = tiny_skia::Pixmap::new(fitted.width(), fitted.height()).ok_or_else(no_size)?;
    let scale = tiny_skia::Transform::from_scale(
        fitted.width() as f32 / tree.size().width(),
        fitted.height() as f32 / tree.size().height(),
    );
    resvg::render(&tree, scale, &mut pixmap.as_mut());
    let pixels = pixmap.pixels().iter().map(|p| {
        let c = p.demultiply();
        [c.red(), c.green(), c.blue(), c.alpha()]
    });
    Ok((fitted.width(), fitted.height(), pixels.collect()))
}

/// Squashes pixels to `size` by `size` with Lanczos. The channels are premultiplied, so that the colours of transparent pixels do not
/// bleed into the edges. A drawing that is not square loses its proportions.
fn resize(width: u32, height: u32, pixels: &[[u8; 4]], size: u32) -> Result<Vec<[f32; 4]>> {
    let premultiplied = pixels.iter().map(|[r, g, b, a]| {
        let alpha = f32::from(*a) / 255.0;
        F32x4::new([f32::from(*r) * alpha, f32::from(*g) * alpha, f32::from(*b) * alpha, f32::from(*a)])
    });
    let mut premultiplied: Vec<F32x4> = premultiplied.collect();
    if (width, height) != (size, size) {
        let internal =
            |e: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("could not resize: {e}"));
        let from = TypedImageRef::new(width, height, &premultiplied).map_err(|e| internal(&e))?;
        let mut to = TypedImage::new(size, size);
        let lanczos =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(false);
        Resizer::new().resize_typed(&from, &mut to, &lanczos).map_err(|e| internal(&e))?;
        premultiplied = to.pixels().to_vec();
    }
    Ok(premultiplied
        .into_iter()
        .map(|F32x4 { 0: [r, g, b, a], .. }| [r, g, b, (a / 255.0).clamp(0.0, 1.0)])
        .collect())
}

/// Composites premultiplied pixels over white.
fn compose(premultiplied: Vec<[f32; 4]>, size: usize) -> RenderedImage {
    let over = |[r, g, b, a]: [f32; 4]| {
        [r, g, b].map(|c| (c + 255.0 * (1.0 - a)).clamp(0.0, 255.0).round_ties_even() as u8)
    };
    RenderedImage { size, over_white: premultiplied.iter().copied().map(over).collect(), premultiplied }
}

impl RenderedImage {
    /// The image over white as a PNG file.
    ///
    /// # Errors
    /// [`Kind::Internal`] if the encoder fails.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Best, PngFilter::Adaptive);
        let side = self.size as u32;
        encoder
            .write_image(self.over_white.as_flattened(), side, side, image::ExtendedColorType::Rgb8)
            .map_err(|e| Error::new(Kind::Internal, format!("could not write a PNG: {e}")))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">\
        <path fill=\"#d02010\" d=\"M3 2h6l4 5-5 7z\"/>\
        <circle cx=\"5\" cy=\"11\" r=\"4\" fill=\"#1040f0\" fill-opacity=\".5\"/></svg>";

    /// The SVG above at 16 pixels: resvg_py.svg_to_bytes(width=32, height=32), alpha multiplied in, each channel as
    /// an 'F' image through Pillow's resize((16, 16), LANCZOS), over white. Row 11, and the sum of all channels.
    const ROW_11: [[u8; 3]; 16] = [
        [249, 250, 255],
        [147, 168, 248],
        [133, 157, 247],
        [136, 160, 247],
        [135, 158, 246],
        [136, 162, 250],
        [133, 146, 233],
        [112, 58, 140],
        [132, 49, 120],
        [215, 88, 81],
        [254, 254, 253],
        [255, 255, 255],
        [255, 254, 254],
        [255, 255, 255],
        [255, 255, 255],
        [255, 255, 255],
    ];
    const SUM: u32 = 155_827;

    #[test]
    fn svgs_are_rendered_as_by_resvg_and_pillow() {
        let image = render(&DrawingSource::Svg(SVG.to_owned()), 16).unwrap().unwrap();
        assert_eq!(image.over_white[11 * 16..12 * 16], ROW_11);
        assert_eq!(image.over_white.as_flattened().iter().map(|c| u32::from(*c)).sum::<u32>(), SUM);
        let decoded = image::load_from_memory(&image.png().unwrap()).unwrap();
        assert_eq!(decoded.color(), image::ColorType::Rgb8);
        assert_eq!(decoded.as_bytes(), image.over_white.as_flattened());
    }

    #[test]
    fn image_files_are_resized_in_the_same_way() {
        let (width, height, pixels) = draw_svg(SVG, 32).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("twice.webp");
        image::RgbaImage::from_raw(width, height, pixels.concat()).unwrap().save(&path).unwrap();
        let image = render(&DrawingSource::File(path), 16).unwrap().unwrap();
        assert_eq!(image.over_white[11 * 16..12 * 16], ROW_11);
    }

    #[test]
    fn drawings_that_are_not_square_are_squashed() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 8\">\
            <rect width=\"16\" height=\"8\" fill=\"#20c040\"/></svg>";
        let image = render(&DrawingSource::Svg(svg.to_owned()), 16).unwrap().unwrap();
        assert!(image.over_white.iter().all(|p| *p == [0x20, 0xc0, 0x40]));
    }

    #[test]
    fn an_almost_empty_drawing_is_none_and_an_unreadable_one_an_error() {
        let dot = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 100 100\"><rect width=\"2\" height=\"2\"/></svg>";
        assert!(render(&DrawingSource::Svg(dot.to_owned()), 64).unwrap().is_none());
        assert_eq!(render(&DrawingSource::Svg("<svg".to_owned()), 16).unwrap_err().kind, Kind::InvalidData);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.webp");
        std::fs::write(&path, b"RIFF\x10\0\0\0WEBP").unwrap();
        assert_eq!(render(&DrawingSource::File(path), 16).unwrap_err().kind, Kind::InvalidData);
    }
}
