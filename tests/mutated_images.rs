//! Thousands of damaged images, from the bytes of a file to the pixels for a network: each gives pixels or an error of the right
//! kind, and none leaks memory. MUTATIONS is how many (10,000); `make fuzz` runs a million.
#![cfg(target_os = "linux")]

use coopembed::error::Kind;
use coopembed::image::{prepare, Limits, Preprocessing};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SIZE: u32 = 64;
const LIMITS: Limits = Limits { max_dimension: 2000, max_memory: 32 << 20, max_work: 100_000_000 };
/// Headers are in the first bytes.
const HEAD: usize = 64;

/// The undamaged images: the test images of every format.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images");
    let endings =
        [".jpg", ".png", ".webp", ".gif", ".tif", ".bmp", ".avif", ".jxl", ".ppm", ".pgm", ".pbm", ".ico"];
    let mut seeds: Vec<_> = ["", "/cases", "/made"]
        .iter()
        .flat_map(|part| std::fs::read_dir(format!("{folder}{part}")).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| endings.iter().any(|e| path.to_string_lossy().ends_with(e)))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .filter(|(name, _)| !name.contains(".expected.") && !name.contains(".ref."))
        .collect();
    seeds.sort();
    seeds
}

/// Damages an image as transfers and disks do, or as an attacker would.
fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..7) {
        // A few flipped bits.
        0 => (0..rng.random_range(1..9)).for_each(|_| {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }),
        1 => bytes.truncate(at),
        // A part of another file is inserted.
        2 => {
            let from = rng.random_range(0..other.len());
            let to = (from + rng.random_range(1..200)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        // A stretch is missing.
        3 => {
            let to = (at + rng.random_range(1..100)).min(bytes.len());
            bytes.drain(at..to);
        }
        // Sizes, counts and offsets in the header become extreme.
        4 => {
            let extremes = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..bytes.len().min(HEAD));
                bytes[at] = extremes[rng.random_range(0..extremes.len())];
            }
        }
        // A stretch is overwritten with one value.
        5 => {
            let (to, value) = ((at + rng.random_range(1..64)).min(bytes.len()), rng.random());
            bytes[at..to].fill(value);
        }
        // A stretch is there twice.
        _ => {
            let to = (at + rng.random_range(1..200)).min(bytes.len());
            let stretch = bytes[at..to].to_vec();
            bytes.splice(at..at, stretch);
        }
    }
}

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn mutated_images_give_pixels_or_an_error_and_leak_no_memory() {
    let count = std::env::var("MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    // A decoder's panic is caught and becomes an error; its message would only fill the screen.
    std::panic::set_hook(Box::new(|_| ()));
    let seeds = seeds();
    assert!(seeds.len() > 30, "found {} seeds", seeds.len());
    let mut rng = StdRng::seed_from_u64(2019);
    let preprocessing = Preprocessing::imagenet(SIZE);
    let (mut whole, mut refused, mut early, mut faults) = (0, 0, 0, Vec::new());
    for i in 0..count {
        let (name, seed) = &seeds[i % seeds.len()];
        let mut bytes = seed.clone();
        for _ in 0..rng.random_range(1..4) {
            if !bytes.is_empty() {
                let other = &seeds[rng.random_range(0..seeds.len())].1;
                mutate(&mut rng, &mut bytes, other);
            }
        }
        match prepare(&bytes, None, &preprocessing, &LIMITS) {
            Ok(pixels) if pixels.len() == preprocessing.pixel_bytes() => whole += 1,
            Err(e) if matches!(e.kind, Kind::InvalidImage | Kind::LimitExceeded) => refused += 1,
            Ok(pixels) => faults.push(format!("{name}, mutation {i}: {} bytes", pixels.len())),
            Err(e) => faults.push(format!("{name}, mutation {i}: {}", e.report())),
        }
        if i == count / 4 {
            early = resident_kilobytes();
        }
    }
    let grown = resident_kilobytes().saturating_sub(early);
    drop(std::panic::take_hook());
    println!("{count} mutated images: {whole} decoded, {refused} refused; {grown} kB more at the end than after a quarter");
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(whole > 0 && refused > 0);
    // The allocator may keep what the largest allowed image took; more would be a leak.
    assert!(grown * 1024 <= LIMITS.max_memory, "{grown} kB");
}
