//! What a TIFF's directory says of its image: sizes, samples, and where strips and tiles are.

use super::compression::Compression;
use super::directory::Directory;
use super::{damaged, truncated, NAME};
use crate::error::Result;
use crate::image::decode_error::{corrupt, unsupported};
use crate::image::limits::Limits;
use crate::memory;

mod tag {
    pub(super) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(super) const IMAGE_WIDTH: u16 = 256;
    pub(super) const IMAGE_LENGTH: u16 = 257;
    pub(super) const BITS_PER_SAMPLE: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_BYTES: u16 = 279;
    pub(super) const PLANAR_CONFIGURATION: u16 = 284;
    pub(super) const T4_OPTIONS: u16 = 292;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_LENGTH: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_BYTES: u16 = 325;
    pub(super) const SUB_IFDS: u16 = 330;
    pub(super) const INK_SET: u16 = 332;
    pub(super) const EXTRA_SAMPLES: u16 = 338;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(super) const DNG_VERSION: u16 = 50_706;

    /// Those that the layout depends on.
    pub(super) const ALL: &[u16] = &[
        IMAGE_WIDTH,
        IMAGE_LENGTH,
        BITS_PER_SAMPLE,
        COMPRESSION,
        PHOTOMETRIC,
        FILL_ORDER,
        STRIP_OFFSETS,
        SAMPLES_PER_PIXEL,
        ROWS_PER_STRIP,
        STRIP_BYTES,
        PLANAR_CONFIGURATION,
        T4_OPTIONS,
        PREDICTOR,
        TILE_WIDTH,
        TILE_LENGTH,
        TILE_OFFSETS,
        TILE_BYTES,
        INK_SET,
        EXTRA_SAMPLES,
        SAMPLE_FORMAT,
        YCBCR_SUBSAMPLING,
    ];
}

/// What a pixel's colours are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// White has the greatest value, or zero.
    Grey {
        white_is_zero: bool,
    },
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    /// CIE L*a*b*, with signed a* and b* or with an offset (ICC).
    Lab {
        offset: bool,
    },
}

impl Colours {
    /// Samples of a pixel.
    pub(super) fn samples(self) -> usize {
        match self {
            Self::Grey { .. } | Self::Palette => 1,
            Self::Rgb | Self::YCbCr | Self::Lab { .. } => 3,
            Self::Cmyk => 4,
        }
    }
}

/// The kind of numbers that samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Unsigned,
    Float,
}

/// What the sample after the colours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alpha {
    /// Its place among a pixel's samples.
    pub(super) index: usize,
    /// Whether it is multiplied into the colours.
    pub(super) associated: bool,
}

/// The directory's tags, checked.
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) little_endian: bool,
    pub(super) colours: Colours,
    pub(super) alpha: Option<Alpha>,
    /// Samples of a pixel, with those that nobody uses.
    pub(super) samples: usize,
    pub(super) bits: u16,
    pub(super) numbers: Numbers,
    pub(super) compression: Compression,
    pub(super) predictor: u64,
    /// Whether bytes have their first pixel in the lowest bit.
    pub(super) reversed: bool,
    /// Whether each sample has chunks of its own.
    pub(super) planar: bool,
    pub(super) t4_options: u64,
    /// How many pixels share a sample of colour, across and down.
    pub(super) subsampling: (u32, u32),
    pub(super) tiled: bool,
    /// Size of a chunk, which is a strip or a tile.
    pub(super) chunk: (u32, u32),
    /// Positions and lengths of chunks: row by row, plane by plane.
    pub(super) chunks: Vec<(u64, u64)>,
}

/// The most chunks of a file.
const MAX_CHUNKS: u64 = 1 << 22;

impl Layout {
    /// Reads a directory, and checks the size against the limits.
    ///
    /// # Errors
    /// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for what is not decoded, by name, and for contradictions; those of the
    /// limits.
    pub(super) fn read(directory: &Directory, bytes: &[u8], limits: &Limits) -> Result<Self> {
        if directory.is_cut_off(tag::ALL) {
            return Err(truncated());
        }
        let value = |tag, default| directory.value(tag).unwrap_or(default);
        let size = |tag| u32::try_from(value(tag, 0)).unwrap_or(u32::MAX);
        let (width, height) = (size(tag::IMAGE_WIDTH), size(tag::IMAGE_LENGTH));
        limits.check_dimensions(NAME, width, height)?;
        refuse_raw(directory)?;
        let compression = Compression::from_code(value(tag::COMPRESSION, 1))?;
        let samples = value(tag::SAMPLES_PER_PIXEL, 1);
        let samples = usize::try_from(samples).ok().filter(|n| (1..=64).contains(n));
        let samples = samples.ok_or_else(|| unsupported("TIFF with more than 64 samples a pixel"))?;
        let colours = colours(directory, samples)?;
        if samples < colours.samples() {
            return Err(corrupt(NAME, "a pixel has fewer samples than its colours need"));
        }
        let (bits, numbers) = sample_format(directory, colours, compression)?;
        let planar = value(tag::PLANAR_CONFIGURATION, 1) == 2 && samples > 1;
        let subsampling = match colours {
            Colours::YCbCr => subsampling(directory)?,
            _ => (1, 1),
        };
        if matches!(compression, Compression::ModifiedHuffman | Compression::Group3 | Compression::Group4)
            && (bits != 1 || samples != 1)
        {
            return Err(corrupt(NAME, "a compression for black and white is used for colours"));
        }
        if planar && subsampling != (1, 1) {
            return Err(unsupported("TIFF with subsampled colours in planes"));
        }
        if colours == Colours::YCbCr && compression == Compression::Jpeg && samples != 3 {
            return Err(unsupported("TIFF with JPEG and an extra channel"));
        }
        let predictor = match compression {
            Compression::Lzw | Compression::Deflate | Compression::Zstandard | Compression::Lzma => {
                value(tag::PREDICTOR, 1)
            }
            _ => 1,
        };
        let valid_predictor = match predictor {
            1 => true,
            2 => matches!(bits, 8 | 16 | 32 | 64) && subsampling == (1, 1),
            3 => numbers == Numbers::Float,
            _ => false,
        };
        if !valid_predictor {
            return Err(unsupported(&format!("TIFF with predictor {predictor} for {bits}-bit samples")));
        }
        let mut layout = Self {
            width,
            height,
            little_endian: directory.is_little_endian(),
            colours,
            alpha: alpha(directory, colours, samples),
            samples,
            bits,
            numbers,
            compression,
            predictor,
            reversed: value(tag::FILL_ORDER, 1) == 2 && compression != Compression::Jpeg,
            planar,
            t4_options: value(tag::T4_OPTIONS, 0),
            subsampling,
            tiled: directory.value(tag::TILE_WIDTH).is_some(),
            chunk: (width, height),
            chunks: Vec::new(),
        };
        layout.read_chunks(directory, bytes)?;
        Ok(layout)
    }

    /// Chunks across and down.
    pub(super) fn grid(&self) -> (u32, u32) {
        (self.width.div_ceil(self.chunk.0), self.height.div_ceil(self.chunk.1))
    }

    /// Samples of a pixel that are used: colours, and alpha.
    pub(super) fn channels(&self) -> usize {
        self.colours.samples() + usize::from(self.alpha.is_some())
    }

    /// Samples of a pixel in one chunk.
    pub(super) fn chunk_samples(&self) -> usize {
        if self.planar {
            1
        } else {
            self.samples
        }
    }

    /// Bytes of a row of a chunk before compression. With subsampled colours, of a row of groups of pixels.
    pub(super) fn row_bytes(&self) -> u64 {
        let (across, down) = self.subsampling;
        let width = u64::from(self.chunk.0);
        if (across, down) != (1, 1) {
            let group = u64::from(across * down) + 2;
            return width.div_ceil(u64::from(across)) * group * u64::from(self.bits / 8);
        }
        (width * self.chunk_samples() as u64 * u64::from(self.bits)).div_ceil(8)
    }

    /// Bytes of a chunk with this many rows before compression.
    pub(super) fn chunk_bytes(&self, rows: u32) -> u64 {
        self.row_bytes() * u64::from(rows.div_ceil(self.subsampling.1))
    }

    fn read_chunks(&mut self, directory: &Directory, bytes: &[u8]) -> Result<()> {
        let (offsets, lengths) = if self.tiled {
            (tag::TILE_OFFSETS, tag::TILE_BYTES)
        } else {
            (tag::STRIP_OFFSETS, tag::STRIP_BYTES)
        };
        let side = |tag, most| {
            let found = directory.value(tag).unwrap_or(u64::from(most));
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        self.chunk = if self.tiled {
            (side(tag::TILE_WIDTH, self.width), side(tag::TILE_LENGTH, self.height))
        } else {
            (self.width, side(tag::ROWS_PER_STRIP, self.height).min(self.height))
        };
        // Tiles are padded by less than the image's size in any sensible file.
        let fits = |chunk: u32, image: u32| (1..=image.max(4096).saturating_mul(2)).contains(&chunk);
        if !fits(self.chunk.0, self.width) || !fits(self.chunk.1, self.height) {
            return Err(corrupt(NAME, "the size of a strip or tile is out of range"));
        }
        let (across, down) = self.grid();
        let planes = if self.planar { self.samples as u64 } else { 1 };
        let count = u64::from(across) * u64::from(down) * planes;
        if count > MAX_CHUNKS {
            return Err(corrupt(NAME, "it has too many strips or tiles"));
        }
        let count = count as usize;
        let end = bytes.len() as u64;
        let offsets = memory::collect(directory.values(offsets).take(count))?;
        if offsets.len() < count {
            return Err(corrupt(NAME, "positions of strips or tiles are missing"));
        }
        let lengths = memory::collect(directory.values(lengths).take(count))?;
        // Old writers leave lengths out.
        let length = |i: usize| match lengths.get(i) {
            Some(length) => *length,
            None => end.saturating_sub(offsets[i]),
        };
        self.chunks = memory::collect((0..count).map(|i| (offsets[i], length(i))))?;
        Ok(())
    }
}

/// Refuses cameras' RAW files, which show a small preview first.
fn refuse_raw(directory: &Directory) -> Result<()> {
    const COLOUR_FILTER_ARRAY: u64 = 32_803;
    const LINEAR_RAW: u64 = 34_892;
    let photometric = directory.value(tag::PHOTOMETRIC);
    let is_preview = directory.value(tag::NEW_SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1);
    let has_more = directory.value(tag::SUB_IFDS).is_some();
    let is_dng = directory.value(tag::DNG_VERSION).is_some();
    if matches!(photometric, Some(COLOUR_FILTER_ARRAY | LINEAR_RAW)) || is_preview && (has_more || is_dng) {
        return Err(unsupported("a camera's RAW file").hint("Export it as JPEG."));
    }
    Ok(())
}

fn colours(directory: &Directory, samples: usize) -> Result<Colours> {
    const CMYK_INKS: u64 = 1;
    let photometric = directory.value(tag::PHOTOMETRIC);
    Ok(match photometric {
        Some(0) => Colours::Grey { white_is_zero: true },
        Some(1 | 4) => Colours::Grey { white_is_zero: false },
        Some(2) => Colours::Rgb,
        Some(3) => Colours::Palette,
        Some(5) if directory.value(tag::INK_SET).unwrap_or(CMYK_INKS) == CMYK_INKS => Colours::Cmyk,
        Some(5) => return Err(unsupported("TIFF of inks other than cyan, magenta, yellow and black")),
        Some(6) => Colours::YCbCr,
        Some(8) => Colours::Lab { offset: false },
        Some(9) => Colours::Lab { offset: true },
        Some(10) => return Err(unsupported("TIFF in ITU L*a*b* colours")),
        Some(32_844 | 32_845) => return Err(unsupported("TIFF in LogLuv colours (high dynamic range)")),
        Some(other) => return Err(unsupported(&format!("TIFF with the colour code {other}"))),
        None if samples >= 3 => Colours::Rgb,
        None => Colours::Grey { white_is_zero: false },
    })
}

fn sample_format(
    directory: &Directory,
    colours: Colours,
    compression: Compression,
) -> Result<(u16, Numbers)> {
    let all_bits = memory::collect(directory.values(tag::BITS_PER_SAMPLE).take(64))?;
    let bits = all_bits.first().copied().unwrap_or(1);
    if all_bits.iter().any(|other| *other != bits) {
        return Err(unsupported("TIFF whose samples differ in bits"));
    }
    let format = directory.value(tag::SAMPLE_FORMAT).unwrap_or(1);
    let numbers = match format {
        1 | 4 => Numbers::Unsigned,
        // a* and b* are signed; that files say so or not makes no difference.
        2 if matches!(colours, Colours::Lab { .. }) => Numbers::Unsigned,
        3 => Numbers::Float,
        2 => return Err(unsupported("TIFF with signed samples")),
        _ => return Err(unsupported("TIFF with complex samples")),
    };
    let one_byte = matches!(compression, Compression::Jpeg | Compression::WebP);
    let valid = match (numbers, colours) {
        _ if one_byte => bits == 8 && numbers == Numbers::Unsigned,
        (Numbers::Float, Colours::Grey { .. } | Colours::Rgb) => matches!(bits, 16 | 32 | 64),
        (Numbers::Float, _) => false,
        (_, Colours::Palette) => (1..=16).contains(&bits),
        (_, Colours::YCbCr) => bits == 8,
        (_, Colours::Lab { .. } | Colours::Cmyk) => bits == 8 || bits == 16,
        _ => (1..=16).contains(&bits) || bits == 32,
    };
    if !valid {
        let kind = if numbers == Numbers::Float { "float" } else { "integer" };
        return Err(unsupported(&format!("TIFF with {bits}-bit {kind} samples in these colours")));
    }
    Ok((bits as u16, numbers))
}

/// The first extra sample that is alpha. A fourth sample of RGB that the file says nothing about is alpha, as in Pillow and libvips.
fn alpha(directory: &Directory, colours: Colours, samples: usize) -> Option<Alpha> {
    const ASSOCIATED: u64 = 1;
    const UNASSOCIATED: u64 = 2;
    let first = colours.samples();
    let mut extra = directory.values(tag::EXTRA_SAMPLES).take(samples - first);
    if directory.value(tag::EXTRA_SAMPLES).is_none() {
        let implied = samples == first + 1 && colours == Colours::Rgb;
        return implied.then_some(Alpha { index: first, associated: false });
    }
    let place = extra.position(|kind| kind == ASSOCIATED || kind == UNASSOCIATED)?;
    let kind = directory.values(tag::EXTRA_SAMPLES).nth(place);
    Some(Alpha { index: first + place, associated: kind == Some(ASSOCIATED) })
}

fn subsampling(directory: &Directory) -> Result<(u32, u32)> {
    let mut factors = directory.values(tag::YCBCR_SUBSAMPLING);
    let (across, down) = (factors.next().unwrap_or(2), factors.next().unwrap_or(2));
    match (across, down) {
        (1 | 2 | 4, 1 | 2 | 4) => Ok((across as u32, down as u32)),
        _ => Err(damaged()),
    }
}
