//! One file of each kind that shops and other decoders' test suites have: the pixels that are expected, or the error's words.

use super::{decoded, difference, fixture};
use crate::error::Kind;

/// What a file does.
enum Expected {
    /// The pixels of `NAME.ref.png`, to this greatest and mean difference.
    Pixels(u8, f64),
    /// The pixels of another file.
    Same(&'static str),
    /// An error whose message has these words, and whose hint has those.
    Refused(&'static str, &'static str),
}

use Expected::{Pixels, Refused, Same};

/// Lossless, and what is rounded twice.
const EXACT: Expected = Pixels(1, 0.2);
/// Files whose reference is the drawing before lossy compression.
const LOSSY: Expected = Pixels(100, 3.0);
const DAMAGED: Expected = Refused("could not decode the JPEG image", "damaged or truncated");

const CASES: &[(&str, Expected)] = &[
    // TIFF: extra channels with predictors.
    ("tiff_extra_channel_lzw_predictor.tif", EXACT),
    ("tiff_extra_channel_deflate_predictor.tif", EXACT),
    ("tiff_alpha_and_channel_lzw_predictor.tif", EXACT),
    // Orientation, wherever and however it is stored.
    ("webp_exif_prefix_3.webp", EXACT),
    ("webp_exif_prefix_6.webp", EXACT),
    ("webp_exif_prefix_8.webp", EXACT),
    ("png_exif_after_idat_imagemagick.png", EXACT),
    ("exif_6_after_idat.png", EXACT),
    ("exif_6_long.jpg", EXACT),
    ("exif_two.jpg", EXACT),
    // JPEG as libjpeg decodes it.
    ("jpeg_noninterleaved.jpg", EXACT),
    ("jpeg_sampling_1x1_2x2_2x2.jpg", EXACT),
    ("jpeg_sampling_3x1.jpg", EXACT),
    ("jpeg_cut_1.jpg", EXACT),
    ("jpeg_eoi_in_zeros.jpg", EXACT),
    ("jpeg_leading_newline.jpg", Same("jpeg_cut_1.jpg")),
    // What libjpeg warns of.
    ("jpeg_truncated_half_eoi.jpg", DAMAGED),
    ("jpeg_prog_truncated_eoi.jpg", DAMAGED),
    ("jpeg_zeroed_middle.jpg", DAMAGED),
    ("jpeg_random_middle.jpg", DAMAGED),
    // Variants that are not decoded, by name.
    ("jpeg_arithmetic_progressive.jpg", Refused("arithmetic-coded JPEG is not supported", "baseline JPEG")),
    ("jpeg_12bit.jpg", Refused("12-bit JPEG is not supported", "baseline JPEG")),
    ("jpeg_dnl.jpg", Refused("states its height after the scan (DNL)", "baseline JPEG")),
    ("jpegls.jpg", Refused("JPEG-LS is not supported", "baseline JPEG")),
    // Inks. The reference of lossy files is the drawing.
    ("cmyk_adobe.jpg", Pixels(20, 1.0)),
    ("cmyk_no_marker.jpg", Pixels(20, 1.0)),
    ("ycck.jpg", Pixels(90, 3.0)),
    ("tiff_cmyk.tif", EXACT),
    // Animations: the canvas, with what the first frame does not cover transparent.
    ("webp_animated_offset.webp", EXACT),
    ("gif_frame_beyond_canvas.gif", EXACT),
    ("gif_canvas_zero.gif", EXACT),
    ("avif.avif", Pixels(3, 0.5)),
    ("avif_alpha.avif", LOSSY),
    ("avif_exif6.avif", LOSSY),
    ("jxl.jxl", LOSSY),
    ("jxl_container.jxl", Same("jxl.jxl")),
    ("png_no_iend.png", EXACT),
    // TIFF as scanners, fax servers and Photoshop write it.
    ("tiff_32u.tif", EXACT),
    ("tiff_fillorder2_rgb.tif", EXACT),
    ("tiff_fillorder2_g4.tif", EXACT),
    ("tiff_fillorder2_lzw.tif", EXACT),
    ("tiff_palette.tif", EXACT),
    ("tiff_jpeg_libtiff.tif", LOSSY),
    ("tiff_jpeg_libtiff_tiled.tif", LOSSY),
    ("tiff_bigtiff.tif", EXACT),
    ("tiff_alpha_associated_big.tif", EXACT),
    ("tiff_tiled_lzw_predictor.tif", EXACT),
    ("tiff_grey_alpha.tif", EXACT),
    ("tiff_grey_extra_channel.tif", EXACT),
    ("tiff_lab_small.tif", Pixels(8, 0.5)),
    ("tiff_ccitt_rle.tif", EXACT),
    ("tiff_2bit_grey.tif", Same("tiff_2bit_grey.tif")),
    ("tiff_32f_grey.tif", EXACT),
    ("tiff_16f.tif", EXACT),
    ("tiff_float_0_255.tif", EXACT),
    ("tiff_zstd.tif", EXACT),
    ("tiff_lzma.tif", EXACT),
    ("tiff_webp.tif", EXACT),
    // The file holds RGB in the components of YCbCr: all that read it show these colours, which are not those of its reference.
    ("tiff_jpeg_ycbcr.tif", Same("tiff_jpeg_ycbcr.tif")),
    // Colour profiles, and gamma: eight bits of linear samples leave few dark tones.
    ("icc_p3.png", EXACT),
    ("icc_adobergb.png", EXACT),
    ("icc_prophoto.png", EXACT),
    ("webp_icc_p3.webp", Pixels(5, 0.5)),
    ("png_gama_linear.png", Pixels(16, 1.5)),
    // What is no image that can be decoded.
    ("jp2.jp2", Refused("a JPEG 2000 image", "Export it as JPEG")),
    ("pdf.pdf", Refused("a PDF document", "export a page")),
    ("psd.psd", Refused("a Photoshop document (PSD)", "Export it as JPEG")),
    ("html.jpg", Refused("a web page (HTML)", "download failed")),
    ("base64.txt", Refused("base64 text", "decode(..., 'base64')")),
    ("data_uri.txt", Refused("a data: URI", "'base64'")),
    ("url.txt", Refused("a URL", "Download the file")),
    ("gzip.jpg.gz", Refused("compressed data (gzip)", "Unpack it")),
];

fn case(name: &str) -> Vec<u8> {
    fixture(&format!("cases/{name}"))
}

#[test]
fn each_kind_of_file_is_decoded_right_or_refused_by_name() {
    let mut faults = String::new();
    for (name, expected) in CASES {
        let found = decoded(&case(name));
        let fault = match (expected, found) {
            (Pixels(greatest, mean), Ok(image)) => {
                let reference = decoded(&case(&format!("{name}.ref.png"))).unwrap();
                if image.dimensions() != reference.dimensions() {
                    format!("has {:?} pixels, not {:?}", image.dimensions(), reference.dimensions())
                } else {
                    let (most, average) = difference(&image, &reference);
                    if most <= *greatest && average <= *mean {
                        continue;
                    }
                    format!("differs by up to {most}, {average:.3} on average")
                }
            }
            (Same(other), Ok(image)) if image == decoded(&case(other)).unwrap() => continue,
            (Refused(words, hint), Err(e)) => {
                assert_eq!(e.kind, Kind::InvalidImage, "{name}");
                if e.message.contains(words) && e.hint.as_ref().is_some_and(|h| h.contains(hint)) {
                    continue;
                }
                e.report()
            }
            (_, Ok(_)) => "is decoded to other pixels than expected".to_owned(),
            (_, Err(e)) => e.report(),
        };
        faults.push_str(&format!("{name}: {fault}\n"));
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn every_file_of_the_folder_is_in_the_table() {
    let folder = format!("{}/tests/fixtures/images/cases", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_case = !name.ends_with(".ref.png") && name.contains('.') && name != "README.md";
        assert!(!is_case || CASES.iter().any(|(case, _)| *case == name), "{name} is not in the table");
    }
    assert_eq!(CASES.len(), 72);
}
