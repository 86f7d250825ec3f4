//! Planes of luma and colour differences to RGB.

use re_rav1d::dav1d::pixel::{MatrixCoefficients, YUVRange};
use re_rav1d::dav1d::{Picture, PixelLayout, PlanarImageComponent as Component, Plane};

/// Constants of a conversion, with 14 fractional bits, for samples brought to 8 bits and four fractional ones.
pub(super) struct Conversion {
    luma: i32,
    luma_offset: i32,
    red: i32,
    green: (i32, i32),
    blue: i32,
    /// The planes are green, blue and red.
    identity: bool,
}

impl Conversion {
    /// By the matrix (ITU-T H.273, table 4) and range. A matrix that is not stated is that of BT.601, as in libavif; `None` for one that
    /// is not known here.
    pub(super) fn new(matrix: MatrixCoefficients, range: YUVRange) -> Option<Self> {
        use MatrixCoefficients as M;
        let (red, blue) = match matrix {
            M::BT709 => (0.2126, 0.0722),
            M::Unspecified | M::BT470BG | M::ST170M => (0.299, 0.114),
            M::BT470M => (0.30, 0.11),
            M::ST240M => (0.212, 0.087),
            M::BT2020NonConstantLuminance => (0.2627, 0.0593),
            M::Identity => (0.0, 0.0),
            _ => return None,
        };
        let green = 1.0 - red - blue;
        let full = range == YUVRange::Full;
        let (luma, colour) = if full { (1.0, 1.0) } else { (255.0 / 219.0, 255.0 / 224.0) };
        let fixed = |x: f64| (x * 16_384.0).round() as i32;
        Some(Self {
            luma: fixed(luma),
            luma_offset: if full { 0 } else { 16 << FRACTION },
            red: fixed(2.0 * (1.0 - red) * colour),
            green: (
                fixed(2.0 * (1.0 - blue) * blue / green * colour),
                fixed(2.0 * (1.0 - red) * red / green * colour),
            ),
            blue: fixed(2.0 * (1.0 - blue) * colour),
            identity: matrix == M::Identity,
        })
    }

    fn luma_of(&self, y: i32) -> u8 {
        rounded((y - self.luma_offset) * self.luma)
    }

    fn rgb(&self, y: i32, u: i32, v: i32) -> [u8; 3] {
        if self.identity {
            return [self.luma_of(v), self.luma_of(y), self.luma_of(u)];
        }
        let middle = 128 << FRACTION;
        let (y, u, v) = ((y - self.luma_offset) * self.luma, u - middle, v - middle);
        [
            rounded(y + v * self.red),
            rounded(y - u * self.green.0 - v * self.green.1),
            rounded(y + u * self.blue),
        ]
    }
}

/// Fractional bits of samples.
const FRACTION: u32 = 4;

fn rounded(value: i32) -> u8 {
    const SHIFT: u32 = 14 + FRACTION;
    ((value + (1 << (SHIFT - 1))) >> SHIFT).clamp(0, 255) as u8
}

/// Reads samples of a plane's rows, of any number of bits, as 8 bits and a fraction.
struct Samples {
    plane: Plane,
    stride: usize,
    bits: u32,
}

impl Samples {
    fn new(picture: &Picture, component: Component) -> Self {
        let bits = picture.bits_per_component().map_or(8, |bits| bits.0 as u32);
        Self { plane: picture.plane(component), stride: picture.stride(component) as usize, bits }
    }

    /// Row `y`, of `out`'s width.
    fn read(&self, y: usize, out: &mut [i32]) {
        let row = &self.plane[y * self.stride..];
        if self.bits == 8 {
            out.iter_mut().zip(row).for_each(|(out, sample)| *out = i32::from(*sample) << FRACTION);
            return;
        }
        // To the range of 8 bits: 1,023 becomes 255.
        let (most, half) = ((1 << self.bits) - 1, (1 << self.bits) / 2);
        for (out, sample) in out.iter_mut().zip(row.as_chunks::<2>().0) {
            let sample = i32::from(u16::from_ne_bytes(*sample));
            *out = (sample * (255 << FRACTION) + half) / most;
        }
    }
}

/// Converts a picture to interleaved 8-bit RGB; `put` gets each row with its number.
pub(super) fn to_rgb(picture: &Picture, conversion: &Conversion, mut put: impl FnMut(usize, &[[u8; 3]])) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let luma = Samples::new(picture, Component::Y);
    let (mut y_row, mut rgb) = (vec![0; width], vec![[0; 3]; width]);
    let layout = picture.pixel_layout();
    let (across, down) = match layout {
        PixelLayout::I400 => {
            for y in 0..height {
                luma.read(y, &mut y_row);
                rgb.iter_mut().zip(&y_row).for_each(|(rgb, luma)| *rgb = [conversion.luma_of(*luma); 3]);
                put(y, &rgb);
            }
            return;
        }
        PixelLayout::I420 => (2, 2),
        PixelLayout::I422 => (2, 1),
        PixelLayout::I444 => (1, 1),
    };
    let mut differences = [Component::U, Component::V].map(|component| Upsampler {
        samples: Samples::new(picture, component),
        size: (width.div_ceil(across), height.div_ceil(down)),
        ratio: (across, down),
        near: vec![0; width.div_ceil(across)],
        far: vec![0; width.div_ceil(across)],
        row: vec![0; width + 1],
    });
    for y in 0..height {
        luma.read(y, &mut y_row);
        differences.iter_mut().for_each(|difference| difference.read(y));
        let [u, v] = &differences;
        for (((rgb, y), u), v) in rgb.iter_mut().zip(&y_row).zip(&u.row).zip(&v.row) {
            *rgb = conversion.rgb(*y, *u, *v);
        }
        put(y, &rgb);
    }
}

/// Reads alpha, which is the luma of a picture.
pub(super) fn to_alpha(picture: &Picture, conversion: &Conversion, mut put: impl FnMut(usize, &[u8])) {
    let luma = Samples::new(picture, Component::Y);
    let width = picture.width() as usize;
    let (mut row, mut alpha) = (vec![0; width], vec![0; width]);
    for y in 0..picture.height() as usize {
        luma.read(y, &mut row);
        alpha.iter_mut().zip(&row).for_each(|(alpha, luma)| *alpha = conversion.luma_of(*luma));
        put(y, &alpha);
    }
}

/// Interpolates a plane of colour differences linearly: each sample is in the middle of the pixels that share it.
struct Upsampler {
    samples: Samples,
    size: (usize, usize),
    ratio: (usize, usize),
    near: Vec<i32>,
    far: Vec<i32>,
    row: Vec<i32>,
}

impl Upsampler {
    /// Computes `row` for row `y` of the image.
    fn read(&mut self, y: usize) {
        let (across, down) = self.ratio;
        let own = y / down;
        self.samples.read(own, &mut self.near);
        if down == 2 {
            let other =
                if y.is_multiple_of(2) { own.saturating_sub(1) } else { (own + 1).min(self.size.1 - 1) };
            self.samples.read(other, &mut self.far);
            self.near.iter_mut().zip(&self.far).for_each(|(near, far)| *near = (3 * *near + far + 2) >> 2);
        }
        if across == 1 {
            let width = self.near.len();
            self.row[..width].copy_from_slice(&self.near);
            return;
        }
        let last = self.near.len() - 1;
        for (x, pair) in self.row.chunks_mut(2).take(last + 1).enumerate() {
            let here = 3 * self.near[x] + 2;
            pair[0] = (here + self.near[x.saturating_sub(1)]) >> 2;
            if let Some(second) = pair.get_mut(1) {
                *second = (here + self.near[(x + 1).min(last)]) >> 2;
            }
        }
    }
}
