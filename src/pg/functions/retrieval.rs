//! Questions about a whole table, and measures of rankings: all of it SQL, so that it runs with the rights of whoever asks.

use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/current/retrieval.sql",
    name = "retrieval",
    requires = ["operators", "aggregates", "catalog"]
);
