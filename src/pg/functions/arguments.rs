//! Arguments that several functions take: lists of names.

use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::pg::Text;
use pgrx::prelude::*;

/// The names in a variadic list of attributes.
///
/// # Errors
/// [`Kind::InvalidParameter`] if the list is empty, or one name is null.
pub fn attribute_list(attributes: &VariadicArray<'_, Text<'_>>) -> Result<Vec<String>> {
    let names = non_null_texts("an attribute's name", attributes.iter())?;
    if names.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "no attribute is named")
            .hint("coop_like(embedding) without attributes compares in all of them."));
    }
    Ok(names)
}

/// The texts of an array. `what` names one of them in the error: "an attribute's name".
///
/// # Errors
/// [`Kind::InvalidParameter`] if one is null.
pub fn non_null_texts<'a>(what: &str, texts: impl Iterator<Item = Option<Text<'a>>>) -> Result<Vec<String>> {
    let null = || Error::new(Kind::InvalidParameter, format!("{what} must not be null"));
    let mut list = Vec::new();
    for text in texts {
        memory::push(&mut list, text.ok_or_else(null)?.into_owned())?;
    }
    Ok(list)
}
