//! Code point sequences: their normal form, and the concept that a sequence belongs to.

/// The skin tone modifiers with the tone that each stands for, light to dark.
pub const TONES: [(&str, &str); 5] =
    [("1F3FB", "1"), ("1F3FC", "2"), ("1F3FD", "3"), ("1F3FE", "4"), ("1F3FF", "5")];

/// Hair components, and the two people that are defined by their hair. Few emoji have them, so for these woman and man stay two
/// concepts; otherwise some kinds of hair would be only in train or only in test.
const HAIR: [&str; 6] = ["1F9B0", "1F9B1", "1F9B2", "1F9B3", "1F471", "1F9D4"];
const JOINER: &str = "200D";

/// The normal form of a sequence: upper case, at least four digits each, without the variation selectors for text and emoji style.
/// `"a9-fe0f"` becomes `"00A9"`.
pub fn normalize(code: &str) -> String {
    let parts: Vec<String> = code
        .to_uppercase()
        .split('-')
        .filter(|p| *p != "FE0F" && *p != "FE0E")
        .map(|p| format!("{p:0>4}"))
        .collect();
    parts.join("-")
}

/// The tone of a skin tone modifier; `None` for any other code point.
pub fn skin_tone(code_point: &str) -> Option<&'static str> {
    TONES.iter().find(|(modifier, _)| *modifier == code_point).map(|(_, tone)| *tone)
}

/// The concept of a sequence: without skin tone, gender sign and "facing right", and with woman and man replaced by person. Sequences
/// of one concept look alike, so all of them are in train or all in test.
pub fn concept(code: &str) -> String {
    let toneless: Vec<&str> = code.split('-').filter(|p| skin_tone(p).is_none()).collect();
    if toneless.iter().any(|p| HAIR.contains(p)) {
        return toneless.join("-");
    }
    let mut parts: Vec<&str> = toneless
        .into_iter()
        .filter(|p| !matches!(*p, "2640" | "2642" | "27A1"))
        .map(|p| if matches!(p, "1F468" | "1F469") { "1F9D1" } else { p })
        .collect();
    while parts.last() == Some(&JOINER) {
        parts.pop();
    }
    parts.join("-").replace("200D-200D", JOINER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_one_normal_form() {
        for (code, expected) in [
            ("a9-fe0f", "00A9"),
            ("39-FE0F-20E3", "0039-20E3"),
            ("1f441-fe0f-200d-1f5e8-fe0f", "1F441-200D-1F5E8"),
        ] {
            assert_eq!(normalize(code), expected);
        }
    }

    #[test]
    fn a_concept_has_no_tone_no_gender_and_no_direction() {
        for (code, expected) in [
            ("1F469-1F3FD-200D-1F4BB", "1F9D1-200D-1F4BB"),
            ("1F468-200D-1F469-200D-1F466", "1F9D1-200D-1F9D1-200D-1F466"),
            ("1F937-1F3FB-200D-2640", "1F937"),
            ("1F6B6-200D-2640-200D-27A1", "1F6B6"),
            ("26F9-1F3FE-200D-2642", "26F9"),
            ("1F469-1F3FB-200D-2764-200D-1F48B-200D-1F468-1F3FF", "1F9D1-200D-2764-200D-1F48B-200D-1F9D1"),
            ("00A9", "00A9"),
        ] {
            assert_eq!(concept(code), expected);
        }
    }

    #[test]
    fn emoji_with_hair_keep_a_concept_per_gender() {
        for (code, expected) in [
            ("1F468-1F3FF-200D-1F9B0", "1F468-200D-1F9B0"),
            ("1F471-1F3FB-200D-2642", "1F471-200D-2642"),
            ("1F9D4-200D-2640", "1F9D4-200D-2640"),
        ] {
            assert_eq!(concept(code), expected);
        }
    }
}
