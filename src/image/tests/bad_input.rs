//! Errors for data that is not an image, is damaged, or is beyond the limits.

use super::{decoded, encoded, fixture};
use crate::error::{Error, Kind};
use crate::image::{decode, Limits};
use ::image::{DynamicImage, ImageFormat};

fn refused(bytes: &[u8]) -> Error {
    decoded(bytes).err().unwrap_or_else(|| panic!("{} bytes were decoded", bytes.len()))
}

#[test]
fn data_that_is_not_an_image_is_an_error_that_lists_the_formats() {
    for (bytes, message) in [
        (&b""[..], "the image is empty"),
        (b"hello, world", "the data is not an image in a known format"),
        (b"\xff", "the data is not an image in a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "the data is not an image in a known format"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "image format AVIF is not supported"),
    ] {
        let e = refused(bytes);
        assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidImage, message));
        assert!(e.hint.unwrap().contains("JPEG, PNG, WebP, GIF, BMP and TIFF"));
    }
    let e = refused(b"hello, world");
    assert_eq!(e.detail.unwrap(), "Its 12 bytes begin with \\x68656c6c6f2c2077.");
}

#[test]
fn the_error_of_a_damaged_file_names_its_format_and_the_decoders_message() {
    let png = fixture("png_rgba.png");
    let e = refused(&png[..png.len() / 2]);
    assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidImage, "could not decode the PNG image"));
    assert!(e.detail.unwrap().starts_with("The PNG decoder says: "));
    assert!(e.hint.unwrap().starts_with("The file may be damaged, truncated"));
}

/// The signature and an IHDR chunk, without and with its checksum:
/// `chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0))`.
#[test]
fn a_header_that_claims_60000_pixels_is_refused_by_its_header() {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x06\0\0\0".to_vec();
    for checksum in [&b""[..], b"\x97\xbc\x87\xd8"] {
        png.extend_from_slice(checksum);
        let e = refused(&png);
        assert_eq!((e.kind, e.message.as_str()), (Kind::LimitExceeded, "the PNG image is too large"));
        assert_eq!(e.detail.unwrap(), "Its header says 60000x60000 pixels, and the limit is 16384 a side.");
        assert!(e.hint.unwrap().contains("coopembed.max_image_dimension"));
    }
}

#[test]
fn every_format_is_refused_over_either_limit() {
    let image = DynamicImage::new_rgb8(120, 50);
    let formats = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ];
    for format in formats {
        let bytes = encoded(&image, format);
        let e = decode(&bytes, &Limits { max_dimension: 119, ..Limits::default() }).unwrap_err();
        assert_eq!(e.kind, Kind::LimitExceeded, "{format:?}");
        assert!(e.detail.unwrap().contains("120x50"), "{format:?}");
        // 3 bytes of output and 3 of conversion for each of 6,000 pixels is the least that any format takes.
        let e = decode(&bytes, &Limits { max_memory: 35_999, ..Limits::default() }).unwrap_err();
        assert_eq!(e.kind, Kind::LimitExceeded, "{format:?}");
        assert!(e.hint.unwrap().contains("coopembed.max_image_memory"), "{format:?}");
        let just_enough = Limits { max_dimension: 120, max_memory: 120 * 50 * 16, ..Limits::default() };
        assert!(decode(&bytes, &just_enough).is_ok(), "{format:?}");
    }
}

/// 33x23 pixels in blocks of 8 at 4:2:0 are 3 x 2 units of 6 blocks of 64 coefficients of 2 bytes, beside the output.
#[test]
fn a_progressive_jpeg_counts_its_coefficients() {
    let bytes = fixture("jpeg_progressive.jpg");
    let needed = 33 * 23 * 3 + 3 * 2 * 6 * 64 * 2;
    assert!(decode(&bytes, &Limits { max_memory: needed, ..Limits::default() }).is_ok());
    let e = decode(&bytes, &Limits { max_memory: needed - 1, ..Limits::default() }).unwrap_err();
    assert_eq!(e.kind, Kind::LimitExceeded);
}

#[test]
fn cmyk_images_are_refused_with_a_hint() {
    for file in ["cmyk.jpg", "ycck.jpg", "cmyk.tif"] {
        let e = refused(&fixture(file));
        assert_eq!(e.kind, Kind::InvalidImage, "{file}");
        assert!(e.message.starts_with("CMYK "), "{file}: {}", e.message);
        assert!(e.hint.unwrap().contains("RGB (sRGB)"), "{file}");
    }
}

#[test]
fn images_without_pixels_are_refused() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\x05\x08\x06\0\0\0\0\0\0\0";
    assert_eq!(refused(png).message, "the PNG image has no pixels");
    let mut gif = fixture("gif_first_frame.gif");
    gif[6..10].fill(0);
    assert_eq!(refused(&gif).kind, Kind::InvalidImage);
    let mut jpeg = fixture("jpeg_420.jpg");
    let frame = jpeg.windows(2).position(|w| w == b"\xff\xc0").unwrap();
    jpeg[frame + 5..frame + 7].fill(0);
    assert_eq!(refused(&jpeg).message, "the JPEG image has no pixels");
    let mut bmp = fixture("bmp_24.bmp");
    bmp[18..22].fill(0);
    assert_eq!(refused(&bmp).kind, Kind::InvalidImage);
}

/// No Huffman code is all ones. A lenient decoder fills the rest of the image with grey.
#[test]
fn a_jpeg_with_impossible_codes_is_refused() {
    for file in ["jpeg_420.jpg", "jpeg_444.jpg", "jpeg_progressive.jpg"] {
        let mut bytes = fixture(file);
        let scan = bytes.windows(2).position(|w| w == b"\xff\xda").unwrap() + 14;
        bytes.splice(scan + 40..scan + 48, *b"\xff\0\xff\0\xff\0\xff\0");
        assert_eq!(refused(&bytes).kind, Kind::InvalidImage, "{file}");
    }
}

/// The decoder itself would fill the missing rows with grey.
#[test]
fn a_jpeg_without_its_end_is_refused() {
    let bytes = fixture("jpeg_444.jpg");
    for missing in [2, 3, 400] {
        let e = refused(&bytes[..bytes.len() - missing]);
        assert!(e.detail.unwrap().contains("before the end-of-image marker"));
    }
}

#[test]
fn the_images_for_sql_fail_as_their_table_says() {
    let page = String::from_utf8(fixture("bad_images.md")).unwrap();
    let mut seen = 0;
    for row in page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")) {
        let (name, message) = row.split_once(" | ").unwrap();
        let Some((_, after)) = page.split_once(&format!("\n{name}:\n\n```text\n\\x")) else { continue };
        let hex = after.lines().next().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let found = decoded(&bytes).err().map_or_else(|| "none".to_owned(), |e| e.message);
        assert_eq!(found, message, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 11);
}
