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
    ] {
        let e = refused(bytes);
        assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidImage, message));
        assert!(e.hint.unwrap().contains("JPEG, PNG, WebP, AVIF, JPEG XL, GIF, TIFF, BMP, PNM and ICO"));
    }
    let e = refused(b"hello, world");
    assert_eq!(e.detail.unwrap(), "Its 12 bytes begin with \\x68656c6c6f2c2077.");
}

/// Beginnings of files that are no images, or of formats that are not decoded.
#[test]
fn data_of_another_kind_is_refused_by_name_and_with_a_way_out() {
    let heic = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf";
    let avif_video = b"\0\0\0\x14ftypisom\0\0\0\0mp42";
    let cases: &[(&[u8], &str, &str)] = &[
        (heic, "a HEIC image", "Most Compatible"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC image", "Export it as JPEG"),
        (avif_video, "a video", "Export a frame"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "a camera's RAW file", "Export it as JPEG"),
        (b"\xff\x4f\xff\x51\0\x2f\0\0", "a JPEG 2000 image", "Export it as JPEG"),
        (b"FUJIFILMCCD-RAW 0201", "a camera's RAW file", "Export it as JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript or EPS document", "Export it as JPEG"),
        (b"RIFF\0\0\0\0AVI LIST", "a video", "Export a frame"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0", "a video", "Export a frame"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing", "rsvg-convert"),
        (b"<?xml version=\"1.0\"?><svg width='3'/>", "an SVG drawing", "rsvg-convert"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "a web page (HTML)", "download failed"),
        (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML", "download failed"),
        (b"{\"error\": \"not found\"}", "JSON", "Pass the bytes"),
        (b"[{\"url\": 1}]", "JSON", "Pass the bytes"),
        (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEB", "base64 text", "decode(..., 'base64')"),
        (b"\\x89504e470d0a1a0a0000000d49484452", "hexadecimal text", "decode(..., 'hex')"),
        (b"ffd8ffe000104a4649460001", "hexadecimal text", "decode(..., 'hex')"),
        (b"data:image/png;base64,iVBORw0KGgo=", "a data: URI", "decode("),
        (b"/srv/photos/1.jpg", "a path", "pg_read_binary_file"),
        (b"photos/dress 7.JPEG\n", "a path", "bytea parameter"),
        (br"C:\photos\dress", "a path", "bytes of the file"),
        ("../M\u{e4}ntel/7".as_bytes(), "a path", "bytes of the file"),
        (b"https://example.com/photo.jpg", "a URL", "Download the file"),
        (b"PK\x03\x04\x14\0\0\0", "a ZIP archive", "Unpack it first"),
        (b"  \n\t ", "white space", "Pass the bytes"),
    ];
    for (bytes, name, hint) in cases {
        let e = refused(bytes);
        assert_eq!(e.message, format!("the data is {name}, not an image in a supported format"));
        assert!(e.hint.as_ref().unwrap().contains(hint), "{}", e.report());
    }
}

#[test]
fn white_space_and_byte_order_marks_before_an_image_are_skipped() {
    let png = fixture("png_rgba.png");
    let expected = decoded(&png).unwrap();
    for before in [&b"\n"[..], b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", b"  \t\n"] {
        assert_eq!(decoded(&[before, &png].concat()).unwrap(), expected);
    }
}

/// Decoders' own words name their types and states.
#[test]
fn the_error_of_a_damaged_file_names_its_format_and_says_what_is_wrong() {
    let png = fixture("png_rgba.png");
    let e = refused(&png[..png.len() / 2]);
    assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidImage, "could not decode the PNG image"));
    assert_eq!(e.detail.unwrap(), "In this file, the data ends before the last pixel.");
    assert!(e.hint.unwrap().starts_with("The file may be damaged or truncated"));
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
        ImageFormat::Pnm,
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
fn images_without_pixels_are_refused() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\x05\x08\x06\0\0\0\0\0\0\0";
    assert_eq!(refused(png).message, "the PNG image has no pixels");
    let mut gif = fixture("gif_first_frame.gif");
    let frame = gif.iter().position(|byte| *byte == 0x2c).unwrap();
    gif[frame + 5..frame + 7].fill(0);
    assert_eq!(refused(&gif).message, "the GIF image has no pixels");
    let mut jpeg = fixture("jpeg_420.jpg");
    let frame = jpeg.windows(2).position(|w| w == b"\xff\xc0").unwrap();
    jpeg[frame + 5..frame + 9].fill(0);
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

/// What follows the last pixel may be missing: its end marker, or half of it.
#[test]
fn a_jpeg_without_its_last_bytes_is_refused_but_for_its_end_marker() {
    for file in ["jpeg_444.jpg", "jpeg_progressive.jpg", "jpeg_grey.jpg"] {
        let bytes = fixture(file);
        let expected = decoded(&bytes).unwrap();
        for missing in [1, 2] {
            assert_eq!(decoded(&bytes[..bytes.len() - missing]).unwrap(), expected, "{file}");
        }
        for (missing, end) in [(3, &b""[..]), (3, b"\xff\xd9"), (40, b""), (40, b"\xff\xd9"), (40, &[0; 100])]
        {
            let cut = &bytes[..bytes.len() - missing];
            let e = refused(&[cut, end].concat());
            assert_eq!(e.kind, Kind::InvalidImage, "{file} without {missing}");
        }
    }
}

/// Bytes after the last pixel of a scan, before the next marker.
#[test]
fn a_jpeg_with_data_left_in_its_scan_is_refused_and_after_its_end_not() {
    for file in ["jpeg_420.jpg", "jpeg_progressive.jpg", "jpeg_restart.jpg"] {
        let bytes = fixture(file);
        let (scans, end) = bytes.split_at(bytes.len() - 2);
        let e = refused(&[scans, b"\x55", end].concat());
        assert_eq!(e.detail.unwrap(), "In this file, a scan has data left after its last pixel.", "{file}");
        assert!(decoded(&[&bytes[..], b"MPF and other things"].concat()).is_ok(), "{file}");
        // Junk between segments is harmless, and cameras write it.
        let (first, others) = bytes.split_at(4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]])));
        assert!(decoded(&[first, b"junk", others].concat()).is_ok(), "{file}");
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
