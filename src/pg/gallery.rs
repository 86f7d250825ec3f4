//! Questions about a whole table, and measures of rankings: all of it SQL, so that it runs with the rights of whoever asks.

use pgrx::prelude::*;

extension_sql_file!(
    "../../sql/gallery.sql",
    name = "gallery",
    requires = ["operators", "aggregates", "catalog"]
);
