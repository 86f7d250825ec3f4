//! The values of one column: as they are in the table, and as they are exported.

use std::collections::{BTreeMap, HashMap};

/// Texts that usually stand for the absence of a value, as [`spelling_key`] makes them.
const PLACEHOLDERS: [&str; 18] = [
    "",
    "n/a",
    "na",
    "n.a.",
    "#n/a",
    "null",
    "nil",
    "nan",
    "unknown",
    "undefined",
    "unspecified",
    "not specified",
    "not available",
    "tbd",
    "todo",
    "?",
    "??",
    "???",
];

/// What stands between the values of an image in `images.csv`, where an attribute may have several.
pub const SEPARATOR: char = '|';

/// The values of a column, numbered in the order in which they came.
#[derive(Debug, Default)]
pub struct Vocabulary {
    raw: Vec<String>,
    counts: Vec<usize>,
    numbers: HashMap<String, u32>,
}

/// How the values of a column are exported.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ExportedValues {
    /// The names in the export.
    pub names: Vec<String>,
    /// Per value of the table, an index into [`ExportedValues::names`]; `None` for an absent label.
    pub of_raw: Vec<Option<u32>>,
    /// Names that stand for values with a `|` in them, which separates values: the value and the name.
    pub renamed: Vec<(String, String)>,
}

impl Vocabulary {
    /// The number of a value.
    pub fn intern(&mut self, value: &str) -> u32 {
        if let Some(&known) = self.numbers.get(value) {
            self.counts[known as usize] += 1;
            return known;
        }
        let number = self.raw.len() as u32;
        self.raw.push(value.to_owned());
        self.counts.push(1);
        self.numbers.insert(value.to_owned(), number);
        number
    }

    /// Each value as it is in the table, with the number of its rows.
    pub fn raw(&self) -> impl Iterator<Item = (&str, usize)> {
        self.raw.iter().map(String::as_str).zip(self.counts.iter().copied())
    }

    /// Values that differ only in case, blanks and hyphens, the most frequent first.
    pub fn spellings(&self) -> Vec<Vec<(&str, usize)>> {
        let mut of_key: BTreeMap<String, Vec<(&str, usize)>> = BTreeMap::new();
        for (value, count) in self.raw().filter(|(value, _)| !value.trim().is_empty()) {
            of_key.entry(spelling_key(value)).or_default().push((value, count));
        }
        let mut found: Vec<_> = of_key.into_values().filter(|same| same.len() > 1).collect();
        found.iter_mut().for_each(|same| same.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0))));
        found
    }

    /// Values that look like "N/A".
    pub fn placeholders(&self) -> Vec<(&str, usize)> {
        self.raw().filter(|(value, _)| is_placeholder(value) && !value.trim().is_empty()).collect()
    }

    /// What is exported. Blanks around a value are never kept, as `images.csv` is read without them. With `tidy`, values that differ only in
    /// case, blanks and hyphens become one, and those that look like "N/A" absent. Where `multi`, `|` in a value becomes `/`.
    pub fn exported(&self, tidy: bool, multi: bool) -> ExportedValues {
        let mut best: HashMap<String, (&str, usize)> = HashMap::new();
        for same in if tidy { self.spellings() } else { Vec::new() } {
            if let Some(&first) = same.first() {
                best.insert(spelling_key(first.0), first);
            }
        }
        let mut out = ExportedValues::default();
        let mut numbers: HashMap<String, u32> = HashMap::new();
        for value in &self.raw {
            let kept = best.get(&spelling_key(value)).map_or(value.as_str(), |(first, _)| first).trim();
            if kept.is_empty() || tidy && is_placeholder(kept) {
                out.of_raw.push(None);
                continue;
            }
            let name = if multi { self.without_separator(kept, &mut out.renamed) } else { kept.to_owned() };
            let number = *numbers.entry(name).or_insert_with_key(|name| {
                out.names.push(name.clone());
                out.names.len() as u32 - 1
            });
            out.of_raw.push(Some(number));
        }
        out
    }

    /// A name without `|` that no other value has.
    fn without_separator(&self, value: &str, renamed: &mut Vec<(String, String)>) -> String {
        if !value.contains(SEPARATOR) {
            return value.to_owned();
        }
        if let Some((_, name)) = renamed.iter().find(|(of, _)| of == value) {
            return name.clone();
        }
        let mut name = value.replace(SEPARATOR, "/");
        while self.raw.iter().any(|raw| raw.trim() == name) || renamed.iter().any(|(_, taken)| *taken == name)
        {
            name.push('_');
        }
        renamed.push((value.to_owned(), name.clone()));
        name
    }
}

/// The same for values that differ only in case, in blanks, and in whether words are joined by blanks, hyphens or underscores.
pub fn spelling_key(value: &str) -> String {
    let lower = value.to_lowercase();
    let words =
        lower.split(|c: char| c.is_whitespace() || c == '-' || c == '_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn is_placeholder(value: &str) -> bool {
    PLACEHOLDERS.contains(&spelling_key(value).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(values: &[(&str, usize)]) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for (value, count) in values {
            for _ in 0..*count {
                vocabulary.intern(value);
            }
        }
        vocabulary
    }

    #[test]
    fn spellings_are_found_with_the_most_frequent_first() {
        let v = vocabulary(&[("V-Neck", 2), ("boat", 5), ("v neck", 9), (" v_neck ", 1), ("vneck", 4)]);
        assert_eq!(v.spellings(), [[("v neck", 9), ("V-Neck", 2), (" v_neck ", 1)]]);
    }

    #[test]
    fn values_are_exported_as_they_are_but_for_blanks_around_them() {
        let v = vocabulary(&[("Red", 1), ("red", 2), (" red ", 1), ("", 3), ("  ", 1), ("N/A", 1)]);
        let exported = v.exported(false, false);
        assert_eq!(exported.names, ["Red", "red", "N/A"]);
        assert_eq!(exported.of_raw, [Some(0), Some(1), Some(1), None, None, Some(2)]);
    }

    #[test]
    fn tidy_merges_spellings_and_drops_placeholders() {
        let v = vocabulary(&[("Red", 1), ("red", 2), ("N/A", 1), ("-", 1), ("none", 1), ("Unknown", 1)]);
        let exported = v.exported(true, false);
        assert_eq!(exported.names, ["red", "none"]);
        assert_eq!(exported.of_raw, [Some(0), Some(0), None, None, Some(1), None]);
    }

    #[test]
    fn the_separator_of_values_is_replaced_by_a_name_that_no_other_value_has() {
        let v = vocabulary(&[("S|M", 1), ("S/M", 1), (" S|M", 1)]);
        let exported = v.exported(false, true);
        assert_eq!(exported.names, ["S/M_", "S/M"]);
        assert_eq!(exported.of_raw, [Some(0), Some(1), Some(0)]);
        assert_eq!(exported.renamed, [("S|M".to_owned(), "S/M_".to_owned())]);
        assert_eq!(v.exported(false, false).names, ["S|M", "S/M"]);
    }

    #[test]
    fn words_that_mean_absence_are_recognised_in_any_case() {
        let v = vocabulary(&[
            ("N/A", 1),
            ("unknown", 2),
            ("not-specified", 1),
            ("none", 4),
            ("nana", 1),
            ("--", 1),
        ]);
        assert_eq!(v.placeholders(), [("N/A", 1), ("unknown", 2), ("not-specified", 1), ("--", 1)]);
    }
}
