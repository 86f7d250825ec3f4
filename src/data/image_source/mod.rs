//! Images that are not at hand as bytes: paths in a folder, or URLs.
//!
//! What a table says is not trusted: a path must stay in the folder, a URL must lead to a host that is allowed and to an address that is public,
//! and nothing is read past a limit.
//!
//! | file | what is in it |
//! |---|---|
//! | `files` | paths |
//! | `http` | URLs: limits, redirects, retries |
//! | `host_rules` | which hosts and addresses may be asked |
//! | `public_address` | which addresses are public |

mod files;
mod host_rules;
mod http;
mod public_address;

pub use files::{AnyFile, Folder};
pub use host_rules::HostRules;
pub use http::{Http, HttpLimits};

use crate::error::Result;

/// Where images come from, by their names.
pub trait ImageSource: Send + Sync {
    /// The bytes of an image.
    ///
    /// # Errors
    /// Whatever keeps this image from being read.
    fn read(&self, name: &str) -> Result<Vec<u8>>;
}
