//! Names and values in the text of SQL statements.

/// A string literal that means the same whatever `standard_conforming_strings` is: PostgreSQL's `quote_literal`.
pub fn quote_literal(text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''"));
    if text.contains('\\') {
        format!("E{}", quoted.replace('\\', "\\\\"))
    } else {
        quoted
    }
}

/// A name as an identifier.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_hold_any_text() {
        assert_eq!(quote_literal("v-neck"), "'v-neck'");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"a\' OR 1=1 --"), r"E'a\\'' OR 1=1 --'");
        assert_eq!(quote_literal("$1 :x \n é"), "'$1 :x \n é'");
    }

    #[test]
    fn identifiers_hold_any_name() {
        assert_eq!(quote_identifier(r#"a"; DROP"#), r#""a""; DROP""#);
    }
}
