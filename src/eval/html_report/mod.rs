//! The page of `coopembed report`: what a model retrieves, as one HTML file that opens without a network.
//!
//! | file | what is in it |
//! |---|---|
//! | `collect` | gathers everything that the page shows |
//! | `page_data` | the data of the page, as its script and the JSON file read it |
//! | `document` | the HTML document around the data (`page.html`, `page.css`, `page.js`) |
//! | `image_sample` | which query and gallery images are shown |
//! | `example_queries` | example queries of each task and their nearest images |
//! | `suspect_labels` | the labels that are probably wrong |
//! | `typical_images` | the images at both ends of each category |
//! | `transitions` | paths between categories, and where they cross |
//! | `subspace_map` | a map of each attribute's subspace |
//! | `projection` | principal components, for the maps |
//! | `curves` | the training curves from `losses.csv` |
//! | `model_facts` | facts about model and data set |
//! | `thumbnails` | small images inside the page |

mod collect;
mod curves;
mod document;
mod example_queries;
mod image_sample;
mod model_facts;
mod page_data;
mod projection;
mod subspace_map;
mod suspect_labels;
mod thumbnails;
mod transitions;
mod typical_images;

pub use collect::{collect, ReportOptions, ReportSources};
pub use document::document;
pub use model_facts::title;
pub use page_data::ReportPage;
pub use thumbnails::Thumbnails;
pub use transitions::CategoryPair;
