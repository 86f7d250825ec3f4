//! The catalogue: models, their vocabulary and their queries, as rows of the tables in schema `coopembed` (`sql/current/catalog.sql`).
//!
//! Everything here reads and writes as the owner of these tables, in statements that qualify each object and operator with its schema.
//! What a user may see or do is decided by the privileges on the SQL functions, and no `search_path` has any influence.
//!
//! | file | what is in it |
//! |---|---|
//! | `model_entry.rs` | a model's row, found by its name or by an embedding's fingerprint |
//! | `default_model.rs` | which model is meant: the named one, the setting's, or the database's default; `coop_set_default_model()` |
//! | `lookup.rs` | from names to queries and subspaces; tags; a model's files |
//! | `list_functions.rs` | `coop_models()`, `coop_model()`, `coop_attributes()`, `coop_attribute_values()`, `coop_categories()` |
//! | `load_model.rs` | `coop_load_model()`, `coop_drop_model()` |
//! | `transfer.rs` | a model's weights in parts, for `coopembed load` and `coopembed dump-model` |
//! | `user_vocabulary.rs` | `coop_define_attribute_value()`, `coop_define_category()` and their opposites |
//! | `vocabulary.rs`, `synonyms.rs` | words of descriptions, and users' synonyms of them: `coop_define_synonym()` |
//! | `negation.rs` | the query for no value of an attribute, an embedding's nearest other value |
//! | `change.rs` | what all changes of the catalogue share: the lock, a fresh snapshot, INSERT |
//! | `catalog_select.rs` | a SELECT on the catalogue, with its plan kept for the session |
//! | `owner.rs` | acting as the owner of the tables |

mod catalog_select;
mod change;
mod default_model;
mod list_functions;
mod load_model;
mod lookup;
mod model_entry;
mod negation;
mod owner;
mod synonyms;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod transfer;
mod user_vocabulary;
mod vocabulary;

pub use default_model::model;
pub use lookup::{
    attribute_names, attribute_query, attribute_query_of, category_query, model_files, subspaces_of, tagger,
};
pub use model_entry::{config, ModelEntry};
pub use negation::{absence_query, with_other_value};
pub use owner::{execute_as_owner, spi_error};
pub use synonyms::meaning_columns;
pub use vocabulary::{describe, description_query};

use pgrx::prelude::*;

extension_sql_file!("../../../sql/current/catalog.sql", name = "catalog", requires = ["types"]);
