//! Reads a family from its package: category, licence, and a face for each weight and style.

use super::attributes::{STYLES, WEIGHTS};
use super::catalogue::FamilyRelease;
use super::typeface::Typeface;
use crate::data::builder::packages::{self, PackageCache};
use crate::error::{Error, Kind, Result};
use serde::Deserialize;

/// A fetched family.
pub struct Family {
    /// Fontsource's name.
    pub name: String,
    /// Version of its package.
    pub version: String,
    /// Kind of type: sans-serif, serif, display, handwriting or monospace.
    pub category: String,
    /// SPDX name of its licence.
    pub licence: String,
    /// The author to credit; may be empty.
    pub attribution: String,
    /// Sorted by weight, then style.
    pub faces: Vec<Face>,
}

/// One weight and style of a family.
pub struct Face {
    /// One of [`WEIGHTS`].
    pub weight: &'static str,
    /// One of [`STYLES`].
    pub style: &'static str,
    /// The outlines of its Latin letters.
    pub typeface: Typeface,
}

/// `metadata.json` of a fontsource package.
#[derive(Deserialize)]
struct Metadata {
    category: String,
    license: Licence,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Licence {
    Name(String),
    Record {
        #[serde(rename = "type")]
        name: String,
        #[serde(default)]
        attribution: Option<String>,
    },
}

impl Family {
    /// Fetches and reads a family.
    ///
    /// # Errors
    /// Those of fetching; [`Kind::InvalidData`] if the package cannot be parsed or has no face with Latin letters.
    pub fn read(cache: &PackageCache, release: &FamilyRelease) -> Result<Self> {
        let FamilyRelease { name, version } = release;
        let latin = format!("files/{name}-latin-");
        let folder = cache.package(
            &format!("@fontsource/{name}"),
            version,
            &["metadata.json", &format!("{latin}*")],
        )?;
        let metadata: Metadata = packages::read_json(&folder, "metadata.json")?;
        let mut faces = Vec::new();
        for weight in WEIGHTS {
            for style in STYLES {
                let file = folder.join(format!("{latin}{weight}-{style}.woff2"));
                if file.is_file() {
                    let bytes = std::fs::read(&file).map_err(|e| Error::io("read", &file, &e))?;
                    let typeface = Typeface::from_woff2(&bytes).map_err(|e| {
                        Error { message: format!("\"{}\": {}", file.display(), e.message), ..e }
                            .hint(format!("Remove \"{}\" and run this again.", folder.display()))
                    })?;
                    faces.push(Face { weight, style, typeface });
                }
            }
        }
        if faces.is_empty() {
            return Err(Error::new(
                Kind::InvalidData,
                format!("package \"@fontsource/{name}\" has no face with Latin letters"),
            )
            .detail(format!("There is no file like {latin}400-normal.woff2 in its version {version}."))
            .hint("Remove it from the list."));
        }
        // Sorted by the names of styles, so italic comes before normal.
        faces.sort_by_key(|face| (face.weight, face.style));
        let (licence, attribution) = match metadata.license {
            Licence::Name(name) => (name, None),
            Licence::Record { name, attribution } => (name, attribution),
        };
        Ok(Self {
            name: name.clone(),
            version: version.clone(),
            category: metadata.category,
            licence,
            attribution: attribution.unwrap_or_default(),
            faces,
        })
    }

    /// Names a face in messages, such as `lora 400 italic`.
    pub fn face_name(&self, face: &Face) -> String {
        format!("{} {} {}", self.name, face.weight, face.style)
    }
}
