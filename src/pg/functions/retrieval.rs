//! Functions on a whole table, and measures of rankings. They are written in SQL, in `sql/current/retrieval.sql`, and so run with the
//! privileges of whoever calls them. This file only adds them to the extension.

use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/current/retrieval.sql",
    name = "retrieval",
    requires = ["operators", "aggregates", "catalog"]
);
