//! What a file is, from its first bytes: a format that is decoded, or the name of something else and what to do about it.

use super::decode_error::SUPPORTED;
use crate::error::{Error, Kind, Result};

/// A format that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Avif,
    Bmp,
    Gif,
    Ico,
    Jpeg,
    JpegXl,
    Png,
    Pnm,
    Tiff,
    WebP,
}

impl Format {
    /// As errors name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Avif => "AVIF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Ico => "ICO",
            Self::Jpeg => "JPEG",
            Self::JpegXl => "JPEG XL",
            Self::Png => "PNG",
            Self::Pnm => "PNM",
            Self::Tiff => "TIFF",
            Self::WebP => "WebP",
        }
    }
}

/// The usual ending of the name of such a file, without a dot; "bin" if it is no image.
#[cfg(feature = "cli")]
pub fn file_extension(bytes: &[u8]) -> &'static str {
    match recognise(bytes) {
        Ok((Format::Avif, _)) => "avif",
        Ok((Format::Bmp, _)) => "bmp",
        Ok((Format::Gif, _)) => "gif",
        Ok((Format::Ico, _)) => "ico",
        Ok((Format::Jpeg, _)) => "jpg",
        Ok((Format::JpegXl, _)) => "jxl",
        Ok((Format::Png, _)) => "png",
        Ok((Format::Pnm, _)) => "pnm",
        Ok((Format::Tiff, _)) => "tif",
        Ok((Format::WebP, _)) => "webp",
        Err(_) => "bin",
    }
}

/// The format of a file, and the file without white space or a byte order mark before its start.
///
/// # Errors
/// [`Kind::InvalidImage`] for anything else, which the message names if it is known.
pub(super) fn recognise(bytes: &[u8]) -> Result<(Format, &[u8])> {
    if bytes.is_empty() {
        return Err(Error::new(Kind::InvalidImage, "the image is empty")
            .detail("Found 0 bytes.")
            .hint(SUPPORTED));
    }
    let trimmed = without_leading_space(bytes);
    if let Some(format) = format(bytes) {
        return Ok((format, bytes));
    }
    if let Some(format) = format(trimmed) {
        return Ok((format, trimmed));
    }
    Err(other_kind(trimmed, bytes))
}

fn without_leading_space(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start()
}

fn format(bytes: &[u8]) -> Option<Format> {
    let is_riff = |kind: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind);
    Some(match bytes {
        [0xff, 0xd8, 0xff, ..] => Format::Jpeg,
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', 13, 10, 0x87, 10, ..] => Format::JpegXl,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Format::Gif,
        [0, 0, 1, 0, 1..=255, 0, ..] => Format::Ico,
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t' | b'#', ..] => Format::Pnm,
        _ if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Format::Png,
        _ if is_riff(b"WEBP") => Format::WebP,
        // The size of the second header is one of those that were ever defined.
        [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0, ..] => {
            Format::Bmp
        }
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Format::Tiff,
        _ if brands(bytes).any(|brand| matches!(brand, b"avif" | b"avis")) => Format::Avif,
        _ => return None,
    })
}

/// The brands of an ISO base media file: the major one and those it is compatible with.
fn brands(bytes: &[u8]) -> impl Iterator<Item = &[u8; 4]> {
    let size = bytes.first_chunk::<4>().map_or(0, |size| u32::from_be_bytes(*size) as usize);
    let content = match bytes.get(4..8) {
        Some(b"ftyp") => bytes.get(8..size.min(bytes.len()).min(256)).unwrap_or_default(),
        _ => &[],
    };
    // The second is a version.
    content.as_chunks::<4>().0.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, brand)| brand)
}

/// How to get an image that can be embedded.
const EXPORT: &str = "Export it as JPEG, PNG or WebP.";

/// Magic numbers of what is not decoded: position, bytes, name, what to do.
const MAGIC: &[(usize, &[u8], &str, &str)] = &[
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image", EXPORT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", EXPORT),
    (0, b"8BPS", "a Photoshop document (PSD)", EXPORT),
    (0, b"%PDF", "a PDF document", "Extract the image from it, or export a page as JPEG or PNG."),
    (0, b"%!PS", "a PostScript or EPS document", EXPORT),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript or EPS document", EXPORT),
    (0, b"gimp xcf", "a GIMP document (XCF)", EXPORT),
    (0, b"FUJIFILMCCD-RAW", "a camera's RAW file", EXPORT),
    (0, b"IIRO", "a camera's RAW file", EXPORT),
    (0, b"IIRS", "a camera's RAW file", EXPORT),
    (0, b"IIU\0", "a camera's RAW file", EXPORT),
    (0, b"MMOR", "a camera's RAW file", EXPORT),
    (0, b"FOVb", "a camera's RAW file", EXPORT),
    (0, b"\0MRM", "a camera's RAW file", EXPORT),
    (6, b"HEAPCCDR", "a camera's RAW file", EXPORT),
    (0, b"II\xbc", "a JPEG XR image", EXPORT),
    (0, b"v/1\x01", "an OpenEXR image", EXPORT),
    (0, b"#?RADIANCE", "a Radiance HDR image", EXPORT),
    (0, b"#?RGBE", "a Radiance HDR image", EXPORT),
    (0, b"PF\n", "a PFM image", EXPORT),
    (0, b"Pf\n", "a PFM image", EXPORT),
    (0, b"DDS ", "a DirectDraw texture (DDS)", EXPORT),
    (0, b"qoif", "a QOI image", EXPORT),
    (0, b"farbfeld", "a farbfeld image", EXPORT),
    (0, b"FLIF", "a FLIF image", EXPORT),
    (0, b"BPG\xfb", "a BPG image", EXPORT),
    (0, b"AT&TFORM", "a DjVu document", EXPORT),
    (0, b"\0\0\x02\0", "a Windows cursor (CUR) or a TGA image", EXPORT),
    (0, b"\x0a\x05\x01", "a PCX image", EXPORT),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)", EXPORT),
    (40, b" EMF", "a Windows metafile (EMF)", EXPORT),
    (0, b"\x8aMNG", "an MNG animation", EXPORT),
    (0, b"\x1a\x45\xdf\xa3", "a video", VIDEO),
    (0, b"FLV\x01", "a video", VIDEO),
    (0, b"\0\0\x01\xba", "a video", VIDEO),
    (0, b"\0\0\x01\xb3", "a video", VIDEO),
    (0, b"OggS", "a video or a sound", VIDEO),
    (0, b"ID3", "a sound", EXPORT),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video", VIDEO),
    (4, b"moov", "a video", VIDEO),
    (4, b"mdat", "a video", VIDEO),
    (0, b"\x1f\x8b", "compressed data (gzip)", UNPACK),
    (0, b"BZh", "compressed data (bzip2)", UNPACK),
    (0, b"\xfd7zXZ\0", "compressed data (xz)", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed data (Zstandard)", UNPACK),
    (0, b"PK\x03\x04", "a ZIP archive", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", EXPORT),
    (0, b"version https://git-lfs", "a Git LFS pointer", "Fetch the file itself with \"git lfs pull\"."),
];

const VIDEO: &str = "Export a frame of it as JPEG or PNG.";
const UNPACK: &str = "Unpack it first.";

/// The error for a file that is not of a supported format: by its magic number, its brands, or as text.
fn other_kind(trimmed: &[u8], bytes: &[u8]) -> Error {
    let known = MAGIC.iter().find(|(at, magic, ..)| bytes.get(*at..).is_some_and(|b| b.starts_with(magic)));
    let known = known.map(|(_, _, name, hint)| (*name, *hint));
    match known.or_else(|| media_kind(bytes)).or_else(|| text_kind(trimmed)) {
        Some((name, hint)) => {
            Error::new(Kind::InvalidImage, format!("the data is {name}, not an image in a supported format"))
                .detail(begins_with(bytes))
                .hint(format!("{hint} {SUPPORTED}"))
        }
        None => Error::new(Kind::InvalidImage, "the data is not an image in a known format")
            .detail(begins_with(bytes))
            .hint(SUPPORTED),
    }
}

fn begins_with(bytes: &[u8]) -> String {
    let head: String = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("Its {} bytes begin with \\x{head}.", bytes.len())
}

/// By the brands of an ISO base media file, or the kind of a RIFF file.
fn media_kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.starts_with(b"RIFF") {
        return Some(match bytes.get(8..12) {
            Some(b"WAVE") => ("a sound", EXPORT),
            Some(b"CDR8" | b"CDR9" | b"CDRA") => ("a CorelDRAW document", EXPORT),
            _ => ("a video", VIDEO),
        });
    }
    let mut brands = brands(bytes).peekable();
    match *brands.peek()? {
        b"crx " => return Some(("a camera's RAW file", EXPORT)),
        b"jp2 " | b"jpx " | b"jph " => return Some(("a JPEG 2000 image", EXPORT)),
        _ => {}
    }
    let is_heif =
        |b: &[u8; 4]| b.starts_with(b"hei") || b.starts_with(b"hev") || matches!(b, b"mif1" | b"msf1");
    if brands.any(is_heif) {
        return Some((
            "a HEIC image",
            "Export it as JPEG (an iPhone does so with the camera format \"Most Compatible\"), or convert it with heif-convert.",
        ));
    }
    Some(("a video", VIDEO))
}

/// By the beginning of a text.
fn text_kind(text: &[u8]) -> Option<(&'static str, &'static str)> {
    const BASE64: &str = "Pass bytes instead: decode(..., 'base64').";
    let head = &text[..text.len().min(4096)];
    // UTF-16, with a byte order mark.
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some(("text (UTF-16)", "Pass the bytes of the image file itself."));
    }
    let lower: Vec<u8> = head.iter().take(1024).map(u8::to_ascii_lowercase).collect();
    let contains = |what: &[u8]| lower.windows(what.len()).any(|window| window == what);
    if text.is_empty() {
        return Some(("white space", "Pass the bytes of the image file itself."));
    }
    if lower.starts_with(b"data:") {
        return Some((
            "a data: URI",
            "Pass the bytes after the comma: decode(split_part(..., ',', 2), 'base64').",
        ));
    }
    if [&b"http://"[..], b"https://", b"ftp://", b"file://", b"s3://"].iter().any(|s| lower.starts_with(s)) {
        return Some(("a URL", "Download the file it names, and pass its bytes."));
    }
    if lower.starts_with(b"<") {
        return Some(if contains(b"<svg") {
            ("an SVG drawing", "Draw it as PNG first, for example with rsvg-convert.")
        } else if contains(b"<html")
            || contains(b"<!doctype html")
            || contains(b"<head")
            || contains(b"<body")
        {
            ("a web page (HTML)", "A download failed and its error page was stored; download the file again.")
        } else if contains(b"<?xml") || contains(b"</") || contains(b"/>") {
            ("XML", "A download failed and its answer was stored; download the file again.")
        } else {
            return None;
        });
    }
    // JSON's first token is a brace, its next a name or the end.
    let next = |brackets: &[u8]| {
        let rest = lower.strip_prefix(brackets)?.trim_ascii_start();
        rest.first().copied()
    };
    if matches!(next(b"{"), Some(b'"' | b'}')) || matches!(next(b"["), Some(b'"' | b'{' | b']' | b'0'..=b'9'))
    {
        return Some(("JSON", "Pass the bytes of the image file itself, not a service's answer about it."));
    }
    if is_path(text) {
        return Some((
            "a path",
            "Pass the bytes of the file that it names: a bytea parameter from a client, or pg_read_binary_file(...) for a file of the server.",
        ));
    }
    let hexadecimal = head.strip_prefix(b"\\x").or_else(|| head.strip_prefix(b"0x")).unwrap_or(head);
    let hexadecimal: Vec<u8> = hexadecimal.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    if hexadecimal.len() >= 8 && hexadecimal.iter().all(u8::is_ascii_hexdigit) {
        return Some(("hexadecimal text", "Pass bytes instead: decode(..., 'hex'), without a leading \\x."));
    }
    let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(b);
    // A word is no base64; images are longer, and have digits or capitals.
    let mixed = head.iter().any(u8::is_ascii_digit) && head.iter().any(u8::is_ascii_uppercase);
    if head.len() >= 24 && head.iter().all(is_base64) && mixed {
        return Some(("base64 text", BASE64));
    }
    None
}

/// Whether a text is the path of a file: one line that begins like a path, or ends like the name of an image.
fn is_path(text: &[u8]) -> bool {
    const EXTENSIONS: &[&str] = &[
        "avif", "bmp", "gif", "heic", "heif", "ico", "jfif", "jpe", "jpeg", "jpg", "jxl", "pgm", "png",
        "pnm", "ppm", "svg", "tif", "tiff", "webp",
    ];
    let Ok(text) = std::str::from_utf8(text.trim_ascii_end()) else { return false };
    if text.len() > 4096 || text.chars().any(char::is_control) {
        return false;
    }
    let (name, extension) = text.rsplit_once('.').unwrap_or((text, ""));
    let is_image = !name.is_empty() && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known));
    let drive = text.as_bytes();
    let has_drive =
        drive.len() > 3 && drive[0].is_ascii_alphabetic() && matches!(&drive[1..3], b":\\" | b":/");
    // A base64 text may begin with a slash, and has no dot.
    let is_absolute = text.starts_with('/') && text.contains('.');
    is_image
        || has_drive
        || is_absolute
        || ["./", "../", "~/", "\\\\"].iter().any(|start| text.starts_with(start))
}
