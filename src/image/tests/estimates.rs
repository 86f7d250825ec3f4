//! Estimates of memory and work from headers. Each malicious file here would take minutes or gigabytes if only the size of its
//! image were checked.

use super::{encoded, fixture};
use crate::error::{Error, Kind};
use crate::image::{decode, estimate, Estimate, Limits, MEGAPIXEL};
use ::image::{DynamicImage, ImageFormat};

/// Scan headers of a grey image.
const NINETY_NINE: [&[u8]; 99] = [&[1]; 99];
const ANY: Limits = Limits { max_dimension: u32::MAX, max_memory: u64::MAX / 8, max_work: u64::MAX / 8 };

fn work(bytes: &[u8]) -> u64 {
    estimate(bytes, &ANY).unwrap().work
}

/// The error of `estimate`, which must be that of `decode` too.
fn refused(bytes: &[u8]) -> Error {
    let e = estimate(bytes, &Limits::default()).unwrap_err();
    assert_eq!(decode(bytes, &Limits::default()).unwrap_err().report(), e.report());
    assert_eq!(e.kind, Kind::LimitExceeded, "{}", e.report());
    e
}

fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker], &length[..], data].concat()
}

/// A JPEG of markers alone: start, frame header, one scan header for each list of components, and end.
fn progressive(width: u16, height: u16, sampling: &[u8], scans: &[&[u8]]) -> Vec<u8> {
    let mut frame = [&[8], &height.to_be_bytes()[..], &width.to_be_bytes(), &[sampling.len() as u8]].concat();
    (1..).zip(sampling).for_each(|(id, factors)| frame.extend([id, *factors, 0]));
    let scans = scans.iter().flat_map(|components| {
        let ids = components.iter().flat_map(|id| [*id, 0]);
        let header: Vec<u8> = [components.len() as u8].into_iter().chain(ids).chain([1, 63, 0x10]).collect();
        segment(0xda, &header)
    });
    [&[0xff, 0xd8], &segment(0xc2, &frame)[..], &scans.collect::<Vec<u8>>(), &[0xff, 0xd9]].concat()
}

#[test]
fn each_scan_after_the_first_counts_half_of_its_samples() {
    // Luma at 2x2 with two planes of colour at a quarter each.
    let sampling = [0x22, 0x11, 0x11];
    for (scans, expected) in [
        (&[&[1, 2, 3][..]][..], 480_000),
        (&[&[1, 2, 3], &[1]], 480_000 + 240_000),
        (&[&[1, 2, 3], &[2]], 480_000 + 60_000),
        (&[&[1, 2, 3], &[1, 2, 3]], 480_000 + 360_000),
        // A component that the frame does not have.
        (&[&[1, 2, 3], &[9]], 480_000 + 240_000),
    ] {
        assert_eq!(work(&progressive(800, 600, &sampling, scans)), expected, "{scans:?}");
    }
    // `Image.save(progressive=True)` at 4:2:0 of 33x23 pixels: all; Y; Cr; Cb; Y; Y; all; Cr; Cb; Y.
    let pixels = 33 * 23;
    let found = work(&fixture("jpeg_progressive.jpg"));
    let expected = pixels + (4 * pixels + 4 * (pixels / 4) + pixels * 3 / 2) / 2;
    assert!(found.abs_diff(expected) <= 4, "found {found}, expected {expected}");
    assert_eq!(work(&fixture("jpeg_420.jpg")), pixels);
}

/// The ten scans that libjpeg writes, at full resolution, for a camera of 102 megapixels, with memory to spare.
#[test]
fn a_progressive_jpeg_of_a_camera_is_within_the_default() {
    let scans: [&[u8]; 10] = [&[1, 2, 3], &[1], &[3], &[2], &[1], &[1], &[1, 2, 3], &[3], &[2], &[1]];
    let file = progressive(11_648, 8_736, &[0x11; 3], &scans);
    let limits = Limits { max_memory: 2 << 30, ..Limits::default() };
    assert_eq!(estimate(&file, &limits).unwrap().work, 11_648 * 8_736 * (2 + 11) / 2);
}

#[test]
fn a_jpeg_of_a_hundred_scans_is_refused_before_it_is_decoded() {
    let e = refused(&progressive(11_500, 11_500, &[0x11], &NINETY_NINE));
    assert_eq!(e.message, "the JPEG image takes too much work to decode");
    let detail = e.detail.unwrap();
    assert_eq!(
        detail,
        "Decoding its 11500x11500 pixels is the work of 6613 megapixels, and the limit is 1000."
    );
    assert!(e.hint.unwrap().contains("\"coopembed.max_image_work\""));
    // A small image of as many scans is allowed. (That it has no pixel data is for the decoder to find.)
    let small = progressive(100, 100, &[0x11], &NINETY_NINE);
    assert_eq!(estimate(&small, &Limits::default()).unwrap().work, 10_000 + 98 * 10_000 / 2);
}

/// Each marker may be a Huffman table, which is 2,000 entries to fill. A photograph has some dozens.
#[test]
fn many_markers_of_a_jpeg_count_as_work() {
    let file = fixture("jpeg_420.jpg");
    let with = |count| [&file[..2], &segment(0xfe, b"").repeat(count), &file[2..]].concat();
    assert_eq!(work(&with(500)), work(&file));
    assert!(decode(&with(40_000), &Limits::default()).is_ok());
    assert!(refused(&with(3_000_000)).message.contains("too much work"));
}

#[test]
fn passes_and_samples_beyond_eight_bits_count() {
    let rgb = DynamicImage::new_rgb8(200, 100);
    assert_eq!(work(&encoded(&rgb, ImageFormat::Png)), 20_000);
    assert_eq!(work(&encoded(&rgb, ImageFormat::Bmp)), 20_000);
    assert_eq!(work(&encoded(&rgb, ImageFormat::Tiff)), 20_000);
    assert_eq!(work(&encoded(&rgb, ImageFormat::WebP)), 60_000);
    assert_eq!(work(&encoded(&rgb, ImageFormat::Gif)), 40_000);
    assert_eq!(work(&encoded(&DynamicImage::new_rgba16(200, 100), ImageFormat::Png)), 40_000);
    let interlaced = fixture("png_interlaced.png");
    assert_eq!(work(&interlaced), 2 * decode(&interlaced, &ANY).unwrap().pixels().len() as u64);
}

#[test]
fn a_gif_frame_larger_than_its_canvas_counts() {
    let mut gif = encoded(&DynamicImage::new_rgba8(60, 50), ImageFormat::Gif);
    let found = estimate(&gif, &ANY).unwrap();
    assert_eq!(found, Estimate { memory: 3_000 * 9, work: 6_000, isolated: false });
    // A canvas of 8x8 grows to the frame.
    gif[6..10].copy_from_slice(&[8, 0, 8, 0]);
    assert_eq!(estimate(&gif, &ANY).unwrap(), found);
    // And the frame 16000x16000.
    let frame = gif.windows(9).position(|w| w == [0x2c, 0, 0, 0, 0, 60, 0, 50, 0]).unwrap();
    gif[frame + 5..frame + 9].copy_from_slice(&[0x80, 0x3e, 0x80, 0x3e]);
    assert!(refused(&gif).message.contains("too much memory"));
}

/// A grey TIFF of 16x16 pixels with more directory entries; its strip or tile is at position 8.
fn tiff(strip: &[u8], more: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut entries = vec![(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)];
    entries.extend(more);
    entries.sort_unstable();
    let mut file = [b"II*\0", &(8 + strip.len() as u32).to_le_bytes()[..], strip].concat();
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    [&file[..], &[0; 4]].concat()
}

fn stripped(strip: &[u8], compression: u32) -> Vec<u8> {
    tiff(strip, &[(259, 3, 1, compression), (273, 4, 1, 8), (278, 4, 1, 16), (279, 4, 1, strip.len() as u32)])
}

#[test]
fn a_jpeg_in_a_tiff_must_fit_its_strip_and_counts() {
    assert_eq!(decode(&stripped(&[7; 256], 1), &Limits::default()).unwrap().dimensions(), (16, 16));
    let large = progressive(16_000, 16_000, &[0x11], &[&[1]]);
    let small = progressive(16, 16, &[0x11], &NINETY_NINE);
    let two = [&small[..small.len() - 2], &large[2..]].concat();
    for strip in [&large[..], &large[..large.len() - 2], &two] {
        let e = estimate(&stripped(strip, 7), &ANY).unwrap_err();
        assert_eq!(e.kind, Kind::InvalidImage, "{}", e.report());
    }
    assert_eq!(work(&stripped(&small, 7)), 256 + 256 + 98 * 256 / 2);
}

#[test]
fn tables_that_all_jpegs_of_a_tiff_share_count_for_each() {
    let jpeg = progressive(16, 16, &[0x11], &[&[1]]);
    let tables = segment(0xfe, &[0; 1000]);
    let (length, at) = (jpeg.len() as u32, 8 + jpeg.len() as u32);
    let entries = [(259, 3, 1, 7), (273, 4, 1, 8), (278, 4, 1, 16), (279, 4, 1, length)];
    let shared = (347, 7, tables.len() as u32, at);
    let file = tiff(&[&jpeg[..], &tables].concat(), &[&entries[..], &[shared]].concat());
    assert_eq!(work(&file), work(&stripped(&jpeg, 7)) + 10 * tables.len() as u64);
}

/// A hundred strips, each the whole file.
#[test]
fn strips_that_overlap_are_refused() {
    let strip = [7; 16_000];
    let offsets: Vec<u8> = [8u32; 100].iter().flat_map(|at| at.to_le_bytes()).collect();
    let lengths: Vec<u8> = [16_000u32; 100].iter().flat_map(|n| n.to_le_bytes()).collect();
    let data = [&strip[..], &offsets, &lengths].concat();
    let (at, lengths_at) = (8 + 16_000, 8 + 16_000 + 400);
    let mut file =
        tiff(&data, &[(259, 3, 1, 5), (273, 4, 100, at), (278, 4, 1, 1), (279, 4, 100, lengths_at)]);
    // The height, which is the second entry.
    let directory = file.len() - 4 - 9 * 12;
    file[directory + 12 + 8..directory + 12 + 10].copy_from_slice(&100u16.to_le_bytes());
    let e = estimate(&file, &ANY).unwrap_err();
    assert_eq!(e.detail.unwrap(), "In this file, strips or tiles overlap.");
}

#[test]
fn padding_of_tiles_counts() {
    let tiled = |width| {
        tiff(
            &[7; 256],
            &[(259, 3, 1, 1), (322, 4, 1, width), (323, 4, 1, 16), (324, 4, 1, 8), (325, 4, 1, 256)],
        )
    };
    assert_eq!(work(&tiled(16)), 256);
    assert_eq!(work(&tiled(8_192)), 16 * 8_192);
    // A tile 4 billion wide.
    assert_eq!(estimate(&tiled(0xffff_fff0), &ANY).unwrap_err().kind, Kind::InvalidImage);
}

#[test]
fn every_fixture_can_be_decoded_within_its_estimate() {
    let folder = format!("{}/tests/fixtures/images", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    let files = std::fs::read_dir(&folder).unwrap().chain(std::fs::read_dir(folder + "/cases").unwrap());
    for path in files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        if let Ok(image) = decode(&bytes, &Limits::default()) {
            let (found, pixels) =
                (estimate(&bytes, &Limits::default()).unwrap(), image.pixels().len() as u64);
            // The decoders of these have no assembler.
            let most = if name.ends_with(".avif") || name.ends_with(".jxl") { 35 } else { 8 };
            assert!(
                (pixels / 2..=most * pixels + 30_000).contains(&found.work),
                "{name}: {found:?} of {pixels} pixels"
            );
            assert!(found.work < MEGAPIXEL);
            let enough = Limits { max_memory: found.memory, max_work: found.work, ..Limits::default() };
            estimate(&bytes, &enough).unwrap_or_else(|e| panic!("{name}: {}", e.report()));
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}
