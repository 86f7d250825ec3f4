//! Reads the list of all emoji: code, CLDR name, Unicode group and subgroup.

use super::codes::{concept, normalize, TONES};
use super::designers::{NAMES, SEQUENCES};
use super::ordered_map::OrderedMap;
use crate::data::builder::packages::{self, PackageCache};
use crate::data::builder::seeded_hash::hash_fraction;
use crate::error::Result;
use std::collections::{HashMap, HashSet};

/// One emoji, with its gender and skin tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emoji {
    /// The code point sequence, [normalized](normalize).
    pub code: String,
    /// CLDR short name, lower case.
    pub name: String,
    /// Unicode group.
    pub group: String,
    /// Unicode subgroup.
    pub subgroup: String,
}

/// An entry of the list of all emoji (emoji-datasource).
#[derive(Debug, serde::Deserialize)]
struct Sequence {
    unified: String,
    name: Option<String>,
    short_name: String,
    category: String,
    subcategory: String,
    #[serde(default)]
    skin_variations: OrderedMap<Variation>,
    obsoleted_by: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
struct Variation {
    unified: String,
    obsoleted_by: Option<String>,
}

/// An entry of the list of CLDR names (emojibase).
#[derive(Debug, serde::Deserialize)]
struct NameEntry {
    hexcode: String,
    label: String,
    #[serde(default)]
    skins: Vec<NameEntry>,
}

/// Reads all emoji. An emoji with skin tones is there without tone and with `tones` of them, the same ones for all genders of a
/// concept.
///
/// # Errors
/// Those of [`PackageCache::package`], and [`crate::error::Kind::InvalidData`] if a list cannot be parsed.
pub fn read(cache: &PackageCache, tones: usize) -> Result<Vec<Emoji>> {
    let sequences =
        packages::read_json(&cache.package(SEQUENCES.0, SEQUENCES.1, &[SEQUENCES.2])?, SEQUENCES.2)?;
    let names = packages::read_json(&cache.package(NAMES.0, NAMES.1, &[NAMES.2])?, NAMES.2)?;
    Ok(select(sequences, names, tones))
}

fn select(sequences: Vec<Sequence>, names: Vec<NameEntry>, tones: usize) -> Vec<Emoji> {
    let mut labels: HashMap<String, String> = HashMap::new();
    for named in names.iter().flat_map(|n| std::iter::once(n).chain(&n.skins)) {
        labels.insert(normalize(&named.hexcode), named.label.to_lowercase());
    }
    let (mut out, mut seen) = (Vec::new(), HashSet::new());
    for sequence in sequences.iter().filter(|s| s.category != "Component") {
        let kept = kept_tones(&normalize(&sequence.unified), tones);
        let toneless = (&sequence.unified, &sequence.obsoleted_by);
        let toned = sequence.skin_variations.iter().filter(|(tone, _)| kept.contains(tone));
        for (unified, obsoleted_by) in
            std::iter::once(toneless).chain(toned.map(|(_, v)| (&v.unified, &v.obsoleted_by)))
        {
            let code = normalize(unified);
            if obsoleted_by.is_some() || !seen.insert(code.clone()) {
                continue;
            }
            let named = sequence.name.as_ref().filter(|n| !n.is_empty());
            let fallback = || named.unwrap_or(&sequence.short_name).to_lowercase();
            out.push(Emoji {
                name: labels.get(&code).cloned().unwrap_or_else(fallback),
                group: sequence.category.clone(),
                subgroup: sequence.subcategory.clone(),
                code,
            });
        }
    }
    out
}

/// The modifiers of the skin tones that are kept for the concept of `code`, chosen by hash.
fn kept_tones(code: &str, tones: usize) -> Vec<&'static str> {
    let concept = concept(code);
    let mut drawn: Vec<(f64, &str)> =
        TONES.iter().map(|(t, _)| (hash_fraction(&["tone", &concept, t]), *t)).collect();
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    drawn.into_iter().take(tones).map(|(_, t)| t).collect()
}
