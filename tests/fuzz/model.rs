//! Reads the config and the weights of a model, as `coop_load_model()` does: an error or a model, never a panic.
#![no_main]

use coopembed::model::{Model, ModelConfig};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = include_str!("../../model/emoji/config.json");

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => {
            let _ = Model::from_parts(CONFIG, rest);
        }
        1 => {
            let _ = std::str::from_utf8(rest).map(ModelConfig::from_json);
        }
        // Both: the config's length in two bytes, the config, the weights.
        _ => {
            let Some((length, rest)) = rest.split_first_chunk::<2>() else { return };
            let Some((config, weights)) = rest.split_at_checked(u16::from_le_bytes(*length).into()) else { return };
            let _ = std::str::from_utf8(config).map(|config| Model::from_parts(config, weights));
        }
    }
});
