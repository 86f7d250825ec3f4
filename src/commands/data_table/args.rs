//! The flags of `coopembed data table`.

use crate::commands::database_args::DatabaseArgs;
use crate::commands::image_source_args::ImageSourceArgs;
use std::path::PathBuf;

/// Export a training set from a table, a view or a query
///
/// Writes images/, images.csv and attributes.json as "coopembed train --data" reads them, and says what is odd about the labels: in a
/// table here, in findings.csv, and as questions with the SQL that shows or mends each in questions.md. Images that cannot be used are
/// listed in left-out.csv.
///
/// Everything is read in one READ ONLY transaction, from one snapshot. Run the command again to go on after an interruption, or to take up
/// what has changed in the table: images that are in the folder already are not fetched again, labels always are.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  coopembed data table --db shop --table products --image photo --instance sku --category kind --attributes neckline,sleeves,colours --out data/shop
  coopembed data table --db shop --table items --image path --root /srv/photos --instance sku --group style --category kind --attributes colour --out data/shop
  coopembed data table --db shop --query \"SELECT * FROM products JOIN photos USING (sku) WHERE season = 'spring'\" --id photo_id \\
    --image url --http --allow-host '*.shop.com' --instance sku --category kind --attributes neckline --out data/spring

Labels are of any type that has a short text; of an array, each element is a value. NULL and empty texts mean that a label is absent.
Rows without an instance, a category or an image are left out, and counted.")]
pub struct TableArgs {
    /// Database with the table.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Table or view with a row for each image, written as in SQL
    #[arg(long, value_name = "NAME", required_unless_present = "query", conflicts_with = "query")]
    pub table: Option<String>,
    /// Query that returns a row for each image
    #[arg(long, value_name = "SQL")]
    pub query: Option<String>,
    /// Column of images: bytea, oids of large objects, or paths (with --root) or URLs (with --http)
    #[arg(long, value_name = "COLUMN")]
    pub image: String,
    /// Column that says which product or thing an image shows
    #[arg(long, value_name = "COLUMN")]
    pub instance: String,
    /// Column that says what kind of thing it is
    #[arg(long, value_name = "COLUMN")]
    pub category: String,
    /// Columns of attributes; an array has several values
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', required = true)]
    pub attributes: Vec<String>,
    /// Column that is the same for variants of one thing, such as a garment in all its colours: they stay in one half of the split
    #[arg(long, value_name = "COLUMN")]
    pub group: Option<String>,
    /// Crop to a box: a column of type box, or four columns x1,y1,x2,y2 in pixels
    #[arg(long = "box", value_name = "COLUMN,...", value_delimiter = ',')]
    pub crop: Option<Vec<String>>,
    /// Columns that identify a row in what is reported [default: the primary key]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub id: Option<Vec<String>>,
    /// Share of the instances that are not for training, but for query and gallery; 0 for none
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share, conflicts_with = "split_column")]
    pub split: f64,
    /// Column that says train, query or gallery, instead of a random split
    #[arg(long, value_name = "COLUMN")]
    pub split_column: Option<String>,
    /// Number of the random split: the same one gives the same split, and leaves each instance where it is when others are added
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Merge values that differ only in case, blanks and hyphens into the most frequent of them, and take "N/A" and the like as absent
    #[arg(long)]
    pub tidy: bool,
    /// Fetch all images again, also those that are in the folder
    #[arg(long)]
    pub refetch: bool,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Where the images are.
    #[command(flatten)]
    pub images_at: ImageSourceArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=0.9).contains(&share) {
        Ok(share)
    } else {
        Err("expected a number from 0 to 0.9".to_owned())
    }
}
