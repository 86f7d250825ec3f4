//! The HTML document: frame, style and script, and the data as JSON.

use super::page_data::ReportPage;
use crate::error::{Error, Kind, Result};

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The complete document. Names are data: the script sets them as text, never as HTML.
///
/// # Errors
/// [`Kind::Internal`] if the data cannot be written as JSON.
pub fn document(page: &ReportPage) -> Result<String> {
    let json = serde_json::to_string(page)
        .map_err(|e| Error::new(Kind::Internal, format!("could not write JSON: {e}")))?;
    // Split at the placeholders first, because the data may contain text that looks like one.
    let mut out = String::with_capacity(json.len() + FRAME.len() + STYLE.len() + SCRIPT.len());
    for (i, part) in FRAME.split("@@").enumerate() {
        match (i % 2, part) {
            (0, text) => out.push_str(text),
            (_, "title") => out.push_str(&escape_text(&page.title)),
            (_, "style") => out.push_str(STYLE),
            (_, "script") => out.push_str(SCRIPT),
            (_, "data") => out.push_str(&escape_json(&json)),
            (_, name) => {
                return Err(Error::new(Kind::Internal, format!("page.html: unknown placeholder \"{name}\"")))
            }
        }
    }
    Ok(out)
}

/// Escapes text between tags.
fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Escapes JSON in a `script` element, which would end at the first `</script`. In JSON these characters only occur inside strings, where
/// `\u` is equivalent.
fn escape_json(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_the_script_or_the_title() {
        let json = serde_json::to_string("</script><script>alert('&')</script><!--").unwrap();
        let escaped = escape_json(&json);
        assert!(!escaped.contains(['<', '>', '&']), "{escaped}");
        let back: String = serde_json::from_str(&escaped).unwrap();
        assert_eq!(back, "</script><script>alert('&')</script><!--");
        assert_eq!(escape_text("a<b>&amp;"), "a&lt;b&gt;&amp;amp;");
    }

    #[test]
    fn every_placeholder_of_the_frame_is_known() {
        let placeholders: Vec<&str> = FRAME.split("@@").skip(1).step_by(2).collect();
        assert_eq!(placeholders, ["title", "style", "title", "data", "script"]);
        assert!(!STYLE.contains("</style") && !SCRIPT.contains("</script"));
    }
}
