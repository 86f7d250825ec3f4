//! The demonstrations: a few hundred images of clothes, or of emoji, as the products of a shop.
//!
//! | file | what is in it |
//! |---|---|
//! | `demo.sh` | `make demo`: creates a cluster, embeds the images, and answers queries of each kind |
//! | `clothes/`, `emoji/` | for each demonstration: |
//! | `load.sql` | creates and fills its table |
//! | `queries.sh` | its queries |
//! | `gallery/` | its images, `products.csv`, and a README with their origin and licences |
//! | [`emoji_gallery`] | `coopembed data gallery`: makes `emoji/gallery/` from the emoji set |

pub mod emoji_gallery;
