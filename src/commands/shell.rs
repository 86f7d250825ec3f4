//! Command lines that are shown to be copied into a shell.

/// A word of a POSIX shell's command line, quoted if it has to be, as one would type it.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if text.contains('\'') && !text.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{text}\"");
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_where_it_must_be() {
        for (text, word) in [
            ("--split-seed=7", "--split-seed=7"),
            ("", "''"),
            ("my photos", "'my photos'"),
            ("it's", "\"it's\""),
            ("$it's", r"'$it'\''s'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
