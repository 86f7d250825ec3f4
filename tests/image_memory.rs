//! Decoding an image takes no more memory than `Limits::max_memory` allows. In a process of its own, because it measures the peak
//! of the process's resident memory.
#![cfg(all(feature = "cli", target_os = "linux"))]

use coopembed::image::{decode, Limits};
use image::{DynamicImage, ImageFormat, RgbaImage};

/// Resident memory of this process in bytes: now, and the peak since [`reset_peak`].
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    (kilobytes("VmRSS:") * 1024, kilobytes("VmHWM:") * 1024)
}

fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Makes glibc return large blocks to the system when they are freed, so that they are not in the next measurement. It reads this
/// when a process starts.
const NO_POOLING: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "65536");

#[test]
fn decoding_takes_no_more_memory_than_its_limit_says() {
    if std::env::var_os(NO_POOLING.0).is_some() {
        return measure();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    assert!(child.env(NO_POOLING.0, NO_POOLING.1).arg("--nocapture").status().unwrap().success());
}

fn measure() {
    const SIDE: u32 = 2000;
    let pixels = u64::from(SIDE * SIDE);
    let rgba = DynamicImage::ImageRgba8(RgbaImage::from_fn(SIDE, SIDE, |x, y| {
        image::Rgba([(x / 8) as u8, (y / 8) as u8, (x * y / 999) as u8, (x / 9) as u8])
    }));
    let rgb = DynamicImage::ImageRgb8(rgba.to_rgb8());
    // Bytes per pixel: the decoded image and the copy, as the documentation of `Limits::max_memory` adds them up.
    for (format, image, per_pixel) in [
        (ImageFormat::Jpeg, &rgb, 3 + 3),
        (ImageFormat::Png, &rgb, 3 + 3),
        (ImageFormat::Png, &rgba, 4 + 3),
        (ImageFormat::Bmp, &rgb, 3 + 3),
        (ImageFormat::Tiff, &rgb, 3 + 3),
        (ImageFormat::Tiff, &rgba, 4 + 3),
        (ImageFormat::WebP, &rgb, 3 + 9),
        (ImageFormat::WebP, &rgba, 4 + 9),
        (ImageFormat::Gif, &rgba, 4 + 5),
    ] {
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        let bytes = file.into_inner();
        let (needed, tables) = (pixels * per_pixel, 2 << 20);
        let limits = Limits { max_dimension: SIDE, max_memory: needed + tables, ..Limits::default() };
        let too_little = Limits { max_memory: needed - 1, ..limits };
        assert!(decode(&bytes, &too_little).is_err(), "{format:?} needs {per_pixel} bytes a pixel");

        reset_peak();
        let (before, _) = resident();
        let decoded = decode(&bytes, &limits).unwrap();
        let (_, peak) = resident();
        assert_eq!(decoded.dimensions(), (SIDE, SIDE));
        let took = peak.saturating_sub(before);
        println!("{format:?}: {:.2} of {per_pixel} bytes a pixel", took as f64 / pixels as f64);
        assert!(took <= limits.max_memory + tables, "{format:?} took {took} of {}", limits.max_memory);
    }
}
