//! Strips and tiles from their compressed bytes.

use super::{ccitt, damaged, truncated};
use crate::error::Result;
use crate::image::decode_error::unsupported;
use crate::image::{webp, Limits};
use crate::memory;
use std::io::Read;

/// How strips and tiles are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    ModifiedHuffman,
    Group3,
    Group4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
    Lzma,
    Zstandard,
    WebP,
}

impl Compression {
    /// The compression with this code in the tag.
    ///
    /// # Errors
    /// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for one that is not decoded, by its name.
    pub(super) fn from_code(code: u64) -> Result<Self> {
        let name = match code {
            1 => return Ok(Self::None),
            2 => return Ok(Self::ModifiedHuffman),
            3 => return Ok(Self::Group3),
            4 => return Ok(Self::Group4),
            5 => return Ok(Self::Lzw),
            7 => return Ok(Self::Jpeg),
            8 | 32_946 => return Ok(Self::Deflate),
            32_773 => return Ok(Self::PackBits),
            34_925 => return Ok(Self::Lzma),
            50_000 => return Ok(Self::Zstandard),
            50_001 => return Ok(Self::WebP),
            6 => "old-style JPEG".to_owned(),
            34_712 | 33_003 | 33_005 => "JPEG 2000".to_owned(),
            34_887 => "LERC".to_owned(),
            34_892 => "lossy DNG".to_owned(),
            50_002 | 52_546 => "JPEG XL".to_owned(),
            34_661 => "JBIG".to_owned(),
            34_676 | 34_677 => "SGI LogLuv".to_owned(),
            code => format!("the unknown code {code}"),
        };
        Err(unsupported(&format!("TIFF compressed with {name}")))
    }

    /// Work of a byte of output, as a multiple of others'.
    pub(super) fn work(self) -> u64 {
        match self {
            Self::Lzma => 4,
            Self::WebP => 3,
            _ => 1,
        }
    }
}

/// What a chunk is decompressed to.
pub(super) struct Target<'o> {
    /// All of the chunk's rows, packed.
    pub(super) bytes: &'o mut [u8],
    /// Pixels of a row.
    pub(super) width: u32,
    /// Samples of a pixel.
    pub(super) samples: usize,
    /// T4Options.
    pub(super) options: u64,
}

/// Decompresses one strip or tile of any compression but JPEG.
///
/// # Errors
/// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for damaged data, and for less data than the target takes.
pub(super) fn decompress(compression: Compression, data: &[u8], target: Target) -> Result<()> {
    let out = target.bytes;
    match compression {
        Compression::None => {
            let data = data.get(..out.len()).ok_or_else(truncated)?;
            out.copy_from_slice(data);
            Ok(())
        }
        Compression::PackBits => pack_bits(data, out).ok_or_else(truncated),
        Compression::Lzw => lzw(data, out),
        Compression::Deflate => fill(flate2::read::ZlibDecoder::new(data), out),
        Compression::Zstandard => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(data).map_err(|_| damaged())?;
            fill(decoder, out)
        }
        Compression::Lzma => fill(lzma_rust2::XzReader::new(data, false), out),
        Compression::WebP => decode_webp(data, target.width, target.samples, out),
        Compression::ModifiedHuffman | Compression::Group3 | Compression::Group4 => {
            ccitt::decode(data.iter().copied(), compression, target.options, target.width, out)
        }
        // Decoded by the caller, who knows its colours.
        Compression::Jpeg => Err(damaged()),
    }
}

/// Bytes with their bits reversed, as FillOrder 2 stores them.
pub(super) fn reversed_bits(data: &[u8]) -> Result<Vec<u8>> {
    memory::collect(data.iter().map(|byte| byte.reverse_bits()))
}

fn fill(mut reader: impl Read, out: &mut [u8]) -> Result<()> {
    reader.read_exact(out).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => truncated(),
        _ => damaged(),
    })
}

fn pack_bits(mut data: &[u8], mut out: &mut [u8]) -> Option<()> {
    while !out.is_empty() {
        let (&head, rest) = data.split_first()?;
        data = rest;
        let count = match head {
            0..=127 => usize::from(head) + 1,
            128 => continue,
            129.. => 257 - usize::from(head),
        };
        let (run, left) = std::mem::take(&mut out).split_at_mut_checked(count)?;
        if head < 128 {
            let (literal, rest) = data.split_at_checked(count)?;
            run.copy_from_slice(literal);
            data = rest;
        } else {
            let (&value, rest) = data.split_first()?;
            run.fill(value);
            data = rest;
        }
        out = left;
    }
    Some(())
}

fn lzw(data: &[u8], out: &mut [u8]) -> Result<()> {
    // Files from before TIFF 6.0 have codes with the lowest bit first: their first code, "clear", is 0x00 0x01.
    let mut decoder = if data.starts_with(&[0]) && data.get(1).is_some_and(|byte| byte & 1 != 0) {
        weezl::decode::Decoder::new(weezl::BitOrder::Lsb, 8)
    } else {
        weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8)
    };
    let (mut read, mut written) = (0, 0);
    while written < out.len() {
        let result = decoder.decode_bytes(&data[read..], &mut out[written..]);
        read += result.consumed_in;
        written += result.consumed_out;
        match result.status {
            Ok(weezl::LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Err(_) => return Err(damaged()),
            _ if written < out.len() => return Err(truncated()),
            _ => break,
        }
    }
    Ok(())
}

fn decode_webp(data: &[u8], width: u32, samples: usize, out: &mut [u8]) -> Result<()> {
    webp::check(data, &Limits::default())?;
    let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(data)).map_err(|_| damaged())?;
    let has_alpha = decoder.has_alpha();
    let channels = if has_alpha { 4 } else { 3 };
    let row = width as usize * samples;
    let fits = decoder.dimensions().0 == width
        && decoder.dimensions().1 as usize * row == out.len()
        && (samples == channels || samples == 4 && !has_alpha);
    if !fits {
        return Err(damaged());
    }
    if samples == channels {
        return decoder.read_image(out).map_err(|_| damaged());
    }
    // Alpha that is 255 everywhere may be left out.
    let mut rgb = memory::filled(0, out.len() / 4 * 3)?;
    decoder.read_image(&mut rgb).map_err(|_| damaged())?;
    for (out, rgb) in out.as_chunks_mut::<4>().0.iter_mut().zip(rgb.as_chunks::<3>().0) {
        *out = [rgb[0], rgb[1], rgb[2], 255];
    }
    Ok(())
}
