//! Takes a field with several values, such as `red|white`, apart.

use crate::error::{Error, Kind, Result};
use std::fmt::{Display, Formatter};

/// What is between two values, unless `--multi-separator` says otherwise.
const DEFAULT: &str = "|";

/// The text between two values of one field.
#[derive(Debug, Clone, Copy)]
pub struct Separator<'a> {
    text: &'a str,
    /// Whether somebody named it, so that it says by itself that there are several values.
    is_given: bool,
}

impl<'a> Separator<'a> {
    /// The separator that `--multi-separator` names, or the default.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for an empty one.
    pub fn new(given: Option<&'a str>) -> Result<Self> {
        if given == Some("") {
            return Err(Error::new(Kind::InvalidParameter, "--multi-separator is empty")
                .hint("Name the text between two values, such as \"|\" in red|white."));
        }
        Ok(Self { text: given.unwrap_or(DEFAULT), is_given: given.is_some() })
    }

    /// Whether a field of an attribute that is not declared shows that it has several values.
    pub fn declares(self, field: &str) -> bool {
        self.is_given && field.contains(self.text)
    }

    /// The values of a field, without blanks around them; none of an empty field. Only fields of attributes with several values
    /// (`multi`) are taken apart.
    pub fn values_of(self, field: &str, multi: bool) -> Vec<&str> {
        match field {
            "" => Vec::new(),
            field if multi => field.split(self.text).map(str::trim).collect(),
            field => vec![field],
        }
    }

    /// What is wrong with the values of one field: one of them is empty, or is there twice.
    ///
    /// # Errors
    /// A predicate for the field, for people.
    pub fn check(self, values: &[&str], attribute: &str) -> std::result::Result<(), String> {
        if values.contains(&"") {
            return Err(format!(
                "has an empty value of \"{attribute}\" (values are separated by \"{self}\")"
            ));
        }
        let repeated = values.iter().enumerate().find(|(i, value)| values[..*i].contains(value));
        repeated
            .map_or(Ok(()), |(_, value)| Err(format!("has the value \"{value}\" of \"{attribute}\" twice")))
    }
}

impl Display for Separator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text)
    }
}
