//! The catalogue: models, their vocabulary and their queries, as rows of the tables in schema `coopembed` (`sql/current/catalog.sql`).
//!
//! Everything here reads and writes as the owner of these tables, in statements that qualify each object and operator with its schema.
//! What a user may see or do is decided by the privileges on the SQL functions, and no `search_path` has any influence.
//!
//! | file | what is in it |
//! |---|---|
//! | `model_entry.rs` | a model's row: which model is meant, by name, by default, or by an embedding's fingerprint |
//! | `lookup.rs` | from names to queries and subspaces; tags; a model's files |
//! | `list_functions.rs` | `coop_models()`, `coop_model()`, `coop_attributes()`, `coop_attribute_values()`, `coop_categories()` |
//! | `load_model.rs` | `coop_load_model()`, `coop_drop_model()` |
//! | `user_vocabulary.rs` | `coop_define_attribute_value()`, `coop_define_category()` and their opposites |
//! | `change.rs` | what all changes of the catalogue share: the lock, a fresh snapshot, INSERT |
//! | `catalog_select.rs` | a SELECT on the catalogue, with its plan kept for the session |
//! | `owner.rs` | acting as the owner of the tables |

mod catalog_select;
mod change;
mod list_functions;
mod load_model;
mod lookup;
mod model_entry;
mod owner;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod user_vocabulary;

pub use lookup::{
    attribute_names, attribute_query, attribute_query_of, category_query, model_files, subspaces_of, tagger,
};
pub use model_entry::{config, model, ModelEntry};
pub use owner::{execute_as_owner, spi_error};

use pgrx::prelude::*;

extension_sql_file!("../../../sql/current/catalog.sql", name = "catalog", requires = ["types"]);
