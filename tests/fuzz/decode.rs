//! Decodes the bytes of a file to the pixels for a network: an error or all pixels, within the limits.
#![no_main]

use coopembed::image::{prepare, Limits, Preprocessing};
use libfuzzer_sys::fuzz_target;
use std::sync::Once;

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // `prepare` catches the panics of decoders: only one that escapes is a fault.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    let preprocessing = Preprocessing::imagenet(32);
    let limits = Limits { max_dimension: 1000, max_memory: 8 << 20, max_work: 50_000_000 };
    if let Ok(pixels) = prepare(bytes, None, &preprocessing, &limits) {
        assert_eq!(pixels.len(), preprocessing.pixel_bytes());
    }
});
