//! The PostgreSQL glue.
