//! The extension's functions, by topic. A file belongs to the file of the same name in `sql/current/`, which declares its functions.
//!
//! | file | what is in it |
//! |---|---|
//! | `embed.rs` | `coop_embed()`: an image's embedding |
//! | `embed_table.rs` | `coop_embed_table()`: embeds a table in batches, each committed; its progress |
//! | `embed_trigger.rs` | `coop_embed_trigger()`: keeps rows embedded as their images change |
//! | `queries.rs` | `coop_attr_query()`, `coop_category_query()`, `coop_not()`, `coop_absent()`, `coop_like()`, `coop_vector()` |
//! | `description.rs` | `coop_query()`, `coop_query_explain()`: queries from words |
//! | `algebra.rs` | `coop_replace()`, `coop_blend()`, `coop_subspace()`, `coop_explain()` |
//! | `tags.rs` | `coop_predict()`, `coop_tags()`: which values an embedding shows |
//! | `knn.rs` | stored neighbour graphs: the list of them, digests of embeddings |
//! | `transition.rs` | `coop_transition()`: the shortest path from image to image |
//! | `retrieval.rs` | functions on a whole table, in SQL: typicality, measures of rankings |
//! | `duplicates.rs` | `coop_duplicates()`: pairs of rows that are near each other |
//! | `version.rs` | `coop_version()` |
//! | `row_image.rs` | the image and crop box of a row |
//! | `arguments.rs` | arguments that several functions take |
//!
//! Functions elsewhere: types and operators in `../types/`, models and vocabulary in `../catalog/`, the index in `../am/`, the service's
//! status in `../inference/`, `coop_search()` in `../planner/`.

mod algebra;
mod arguments;
mod description;
mod duplicates;
mod embed;
mod embed_table;
mod embed_trigger;
mod knn;
mod queries;
mod retrieval;
mod row_image;
mod tags;
mod transition;
mod version;
