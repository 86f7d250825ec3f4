//! The access method in a server.
