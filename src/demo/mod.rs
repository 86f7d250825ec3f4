//! The demonstration: a few hundred emoji images as the products of a shop.
//!
//! | file | what is in it |
//! |---|---|
//! | `demo.sh` | `make demo`: creates a cluster, embeds the images, and answers one query of each kind |
//! | `load.sql` | creates and fills the demo's table |
//! | `gallery/` | the images, `products.csv`, and a README with their designers and licences |
//! | [`gallery`] | `coopembed data gallery`: makes `gallery/` from the emoji set |

pub mod gallery;
