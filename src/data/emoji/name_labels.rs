//! Labels from an emoji's CLDR short name and code points.

use super::attributes::{Labels, ATTRIBUTES};
use super::codes;
use super::sequences::Emoji;
use crate::data::builder::row::NUMBERS;
use regex::Regex;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Attribute values, each with the pattern of the names that have it.
type Patterns = Vec<(&'static str, Regex)>;

fn patterns(table: &[(&'static str, &str)]) -> Patterns {
    table.iter().map(|(value, pattern)| (*value, pattern_of(pattern))).collect()
}

/// Compiles a pattern; all of them are constants in this file.
fn pattern_of(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

static WORD: LazyLock<Regex> = LazyLock::new(|| pattern_of("[a-z']+"));

static HAIR: LazyLock<Patterns> = LazyLock::new(|| {
    patterns(&[
        ("red", "red hair"),
        ("curly", "curly hair"),
        ("white", "white hair"),
        ("bald", r"\bbald\b"),
        ("blond", r"\bblond"),
        ("beard", r"\bbeard"),
    ])
});

/// The first pattern that matches counts, so the more specific ones come first.
static EXPRESSION: LazyLock<Patterns> = LazyLock::new(|| {
    patterns(&[
        ("love", "heart"),
        ("kiss", "kiss"),
        ("cry", r"crying|sad but relieved|\btear\b|holding back tears"),
        ("angry", "angry|enraged|pouting|steam from nose|symbols on mouth"),
        ("tongue", "tongue|savoring|drool"),
        ("wink", "winking"),
        ("sleep", "sleep|yawn|exhaling"),
        ("surprise", "open mouth|hushed|astonished|screaming|flushed|weary cat|exploding|fearful|gasp"),
        (
            "sad",
            "frown|disappointed|pensive|worried|anguished|sad |downcast|persevering|confounded|confused|\
             diagonal mouth|weary|tired",
        ),
        ("smile", "smil|grin|joy|smirk|partying|rolling on the floor"),
    ])
});

static COLOR: LazyLock<Regex> =
    LazyLock::new(|| pattern_of(r"\b(red|orange|yellow|green|blue|purple|brown|black|white|gr[ae]y|pink)\b"));

/// Names in which a colour word is not the colour of the emoji.
static COLORLESS: LazyLock<Regex> = LazyLock::new(|| pattern_of("hair|cane|flag: "));

static DIRECTION: LazyLock<Patterns> = LazyLock::new(|| {
    patterns(&[
        ("left", r"\bleft(wards?|-facing)?\b"),
        ("right", r"\bright(wards?|-facing)?\b"),
        ("up", r"\bup(wards?|-facing)?\b"),
        ("down", r"\bdown(wards?|-facing)?\b"),
    ])
});

static CLOCK: LazyLock<Regex> = LazyLock::new(|| pattern_of(r"^(\w+)(?: o'clock|[- ]thirty)$"));

const HOURS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// The subgroups whose names tell the direction in which the emoji points.
const POINTING: [&str; 6] =
    ["arrow", "hand-single-finger", "hand-fingers-open", "hand-fingers-partial", "av-symbol", "hands"];

/// The labels of an emoji that follow from its name and code.
pub fn labels_from_name(emoji: &Emoji) -> Labels {
    let mut out = Labels::default();
    let mut set = |attribute: &str, value: Option<&'static str>| {
        if let Some(value) = value {
            out.set(attribute, value);
        }
    };
    set("skin_tone", skin_tone(&emoji.code));
    let plain = emoji.name.replace('’', "'");
    let words: HashSet<&str> = WORD.find_iter(&plain).map(|m| m.as_str()).collect();
    let person = is_person(emoji);
    if person {
        set("gender", gender(&words));
        set("age", age(emoji, &words));
        set("people", Some(people(emoji, &words)));
        set("hair", last_match(&HAIR, &emoji.name));
    }
    if emoji.subgroup.starts_with("face")
        || matches!(emoji.subgroup.as_str(), "cat-face" | "monkey-face" | "person-gesture")
    {
        set("expression", first_match(&EXPRESSION, &emoji.name));
    }
    set("color", color(emoji, person));
    set("direction", direction(emoji));
    if let Some((hour, minute)) = time(&plain) {
        set("hour", Some(hour));
        set("minute", Some(minute));
    }
    out
}

/// The skin tone, if all people in the sequence have the same.
fn skin_tone(code: &str) -> Option<&'static str> {
    let mut tones = code.split('-').filter_map(codes::skin_tone);
    let first = tones.next()?;
    tones.all(|t| t == first).then_some(first)
}

fn is_person(emoji: &Emoji) -> bool {
    let sub = emoji.subgroup.as_str();
    emoji.group == "People & Body" && (sub.starts_with("person") || sub == "family") && sub != "person-symbol"
}

fn any(words: &HashSet<&str>, of: &[&str]) -> bool {
    of.iter().any(|w| words.contains(w))
}

/// `None` for an emoji that shows both.
fn gender(words: &HashSet<&str>) -> Option<&'static str> {
    let female = any(words, &["woman", "women", "girl", "girls", "mrs", "princess", "mother"]);
    let male = any(words, &["man", "men", "boy", "boys", "prince", "santa", "father"]);
    match (female, male) {
        (true, false) => Some("woman"),
        (false, true) => Some("man"),
        (false, false) => Some("neutral"),
        (true, true) => None,
    }
}

/// `None` for a family, which has several ages.
fn age(emoji: &Emoji, words: &HashSet<&str>) -> Option<&'static str> {
    let family = emoji.subgroup == "family";
    if any(words, &["baby", "child", "boy", "girl"]) && !family && !words.contains("feeding") {
        Some("1")
    } else if words.contains("older") || emoji.name.starts_with("old ") {
        Some("3")
    } else {
        (!family).then_some("2")
    }
}

/// The number of people: as many as the sequence has, or two where the name says so.
fn people(emoji: &Emoji, words: &HashSet<&str>) -> &'static str {
    const PEOPLE: [&str; 7] = ["1F466", "1F467", "1F468", "1F469", "1F9D1", "1F9D2", "1F476"];
    let mut n = emoji.code.split('-').filter(|p| PEOPLE.contains(p)).count();
    let two = any(words, &["couple", "kiss", "hands", "wrestling", "wrestlers", "ears"]);
    if two && !words.contains("holding") || words.contains("twins") {
        n = n.max(2);
    }
    if emoji.subgroup == "family" || n > 1 {
        NUMBERS[n.clamp(2, 4) - 1]
    } else {
        "1"
    }
}

fn first_match(patterns: &Patterns, name: &str) -> Option<&'static str> {
    patterns.iter().find(|(_, p)| p.is_match(name)).map(|(value, _)| *value)
}

fn last_match(patterns: &Patterns, name: &str) -> Option<&'static str> {
    patterns.iter().rev().find(|(_, p)| p.is_match(name)).map(|(value, _)| *value)
}

/// The value of `attribute` with the name `word`.
fn value(attribute: &str, word: &str) -> Option<&'static str> {
    let attribute = ATTRIBUTES.iter().find(|a| a.name == attribute)?;
    attribute.values.iter().find(|v| **v == word).copied()
}

fn color(emoji: &Emoji, person: bool) -> Option<&'static str> {
    let word = COLOR.find(&emoji.name)?.as_str();
    let plain_flag = matches!(emoji.name.as_str(), "white flag" | "black flag");
    let names_colour = !person && !COLORLESS.is_match(&emoji.name) && emoji.group != "Flags";
    if names_colour || plain_flag {
        value("color", &word.replace("gray", "grey"))
    } else {
        None
    }
}

fn direction(emoji: &Emoji) -> Option<&'static str> {
    if emoji.name.ends_with("facing right") {
        return Some("right");
    }
    if !POINTING.contains(&emoji.subgroup.as_str()) && !emoji.name.contains("fist") {
        return None;
    }
    let mut found = DIRECTION.iter().filter(|(_, p)| p.is_match(&emoji.name));
    match (found.next(), found.next()) {
        (Some((direction, _)), None) => Some(direction),
        _ => None,
    }
}

/// Hour and minute in the name of a clock face, such as `"ten-thirty"`.
fn time(name: &str) -> Option<(&'static str, &'static str)> {
    let hour = CLOCK.captures(name)?.get(1)?.as_str();
    let hour = HOURS.iter().position(|h| *h == hour)?;
    Some((NUMBERS[hour], if name.contains("thirty") { "30" } else { "00" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code, CLDR name, group, subgroup and the labels that the prototype in Python gave:
    /// `' '.join(f'{k}={v}' for k, v in attributes(code, name, group, subgroup).items())`.
    #[rustfmt::skip]
    const EXPECTED: &[(&str, &str, &str, &str, &str)] = &[
        ("1F471-200D-2640", "woman: blond hair", "People & Body", "person", "gender=woman age=2 people=1 hair=blond"),
        ("1F9D4-1F3FB", "person: light skin tone, beard", "People & Body", "person", "skin_tone=1 gender=neutral age=2 people=1 hair=beard"),
        ("1F474", "old man", "People & Body", "person", "gender=man age=3 people=1"),
        ("1F476", "baby", "People & Body", "person", "gender=neutral age=1 people=1"),
        ("1F46D", "women holding hands", "People & Body", "family", "gender=woman people=2"),
        ("1F491", "couple with heart", "People & Body", "family", "gender=neutral people=2"),
        ("1F48F", "kiss", "People & Body", "family", "gender=neutral people=2"),
        ("1F46F", "people with bunny ears", "People & Body", "person-activity", "gender=neutral age=2 people=2"),
        ("1F93C-200D-2642", "men wrestling", "People & Body", "person-sport", "gender=man age=2 people=2"),
        ("1F468-200D-1F469-200D-1F466", "family: man, woman, boy", "People & Body", "family", "people=3"),
        ("1F930", "pregnant woman", "People & Body", "person-role", "gender=woman age=2 people=1"),
        ("1F936", "mrs. claus", "People & Body", "person-fantasy", "gender=woman age=2 people=1"),
        ("1F385", "santa claus", "People & Body", "person-fantasy", "gender=man age=2 people=1"),
        ("1F931", "breast-feeding", "People & Body", "person-role", "gender=neutral age=2 people=1"),
        ("1F9D1-200D-1F37C", "person feeding baby", "People & Body", "person-role", "gender=neutral age=2 people=1"),
        ("1F6B6-200D-27A1", "person walking: facing right", "People & Body", "person-activity", "gender=neutral age=2 people=1 direction=right"),
        ("1F478-1F3FF", "princess: dark skin tone", "People & Body", "person-role", "skin_tone=5 gender=woman age=2 people=1"),
        ("1F468-200D-2764-200D-1F468", "couple with heart: man, man", "People & Body", "family", "gender=man people=2"),
        ("1F618", "face blowing a kiss", "Smileys & Emotion", "face-affection", "expression=kiss"),
        ("1F622", "crying face", "Smileys & Emotion", "face-concerned", "expression=cry"),
        ("1F970", "smiling face with hearts", "Smileys & Emotion", "face-affection", "expression=love"),
        ("1F608", "smiling face with horns", "Smileys & Emotion", "face-negative", "expression=smile"),
        ("1F62E", "face with open mouth", "Smileys & Emotion", "face-concerned", "expression=surprise"),
        ("1F971", "yawning face", "Smileys & Emotion", "face-concerned", "expression=sleep"),
        ("1F979", "face holding back tears", "Smileys & Emotion", "face-concerned", "expression=cry"),
        ("1F924", "drooling face", "Smileys & Emotion", "face-sleepy", "expression=tongue"),
        ("1F61C", "winking face with tongue", "Smileys & Emotion", "face-tongue", "expression=tongue"),
        ("1F609", "winking face", "Smileys & Emotion", "face-smiling", "expression=wink"),
        ("1F640", "weary cat", "Smileys & Emotion", "cat-face", "expression=surprise"),
        ("1F534", "red circle", "Symbols", "geometric", "color=red"),
        ("1F90D", "white heart", "Smileys & Emotion", "heart", "color=white"),
        ("1F3F3", "white flag", "Flags", "flag", "color=white"),
        ("1F1E6-1F1E9", "flag: andorra", "Flags", "country-flag", ""),
        ("1F9AF", "white cane", "Objects", "tool", ""),
        ("1F4D7", "green book", "Objects", "book-paper", "color=green"),
        ("1F448", "backhand index pointing left", "People & Body", "hand-single-finger", "direction=left"),
        ("1F91B", "left-facing fist", "People & Body", "hand-fingers-closed", "direction=left"),
        ("261D", "index pointing up", "People & Body", "hand-single-finger", "direction=up"),
        ("2194", "left-right arrow", "Symbols", "arrow", ""),
        ("21A9", "right arrow curving left", "Symbols", "arrow", ""),
        ("1F55B", "twelve o’clock", "Travel & Places", "time", "hour=12 minute=00"),
        ("1F567", "twelve-thirty", "Travel & Places", "time", "hour=12 minute=30"),
        ("1F550", "one o’clock", "Travel & Places", "time", "hour=1 minute=00"),
    ];

    #[test]
    fn names_and_code_points_give_the_labels_of_the_prototype() {
        for (code, name, group, subgroup, expected) in EXPECTED {
            let [code, name, group, subgroup] = [code, name, group, subgroup].map(|s| s.to_string());
            let labels = labels_from_name(&Emoji { code, name: name.clone(), group, subgroup });
            let found: Vec<String> = labels.present().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(found.join(" "), *expected, "{name}");
        }
    }

    #[test]
    fn two_different_tones_are_no_tone() {
        assert_eq!(skin_tone("1F9D1-1F3FB-200D-1F91D-200D-1F9D1-1F3FB"), Some("1"));
        assert_eq!(skin_tone("1F9D1-1F3FB-200D-1F91D-200D-1F9D1-1F3FF"), None);
        assert_eq!(skin_tone("1F600"), None);
    }
}
