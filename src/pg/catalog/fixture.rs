//! A small garment model for tests: three attributes of four dimensions each, on the smallest backbone there is.

use crate::model::synthetic;
use crate::model::{
    contents, Arch, Architecture, Attribute, Calibration, ModelConfig, Named, Presence, Proxies, Tagger,
    Tagging, Tensors,
};
use crate::space::{Layout, Query};
use candle_core::{DType, Device, Tensor};
use pgrx::prelude::*;
use std::path::{Path, PathBuf};

const ARCH: Arch = Arch::EfficientNetLite0;

/// n of the garment model.
pub const SUBSPACE_DIM: usize = 4;

/// A model as its config and tensors, to be spoilt before it is loaded.
pub struct Garments {
    /// `config.json`.
    pub config: ModelConfig,
    /// `model.safetensors`.
    pub tensors: Tensors,
}

impl Garments {
    /// Garments; another `season` has other queries, and so another digest.
    pub fn new(season: &str) -> Self {
        let config = config();
        let (k, n) = (config.attributes.len(), SUBSPACE_DIM);
        let backbone = synthetic::backbone(ARCH).into_iter();
        let mut tensors: Tensors =
            backbone.map(|(name, tensor)| (format!("{}{name}", contents::BACKBONE_PREFIX), tensor)).collect();
        let mut head = |name: String, shape: &[usize]| {
            let numbers: Vec<f32> = synthetic::uniform(&format!("{season} {name}"), shape.iter().product())
                .map(|u| ((u - 0.5) * 0.25) as f32)
                .collect();
            tensors.insert(name, Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap());
        };
        head(contents::PROJECTION_WEIGHT.into(), &[k * n, config.architecture.features]);
        head(contents::PROJECTION_BIAS.into(), &[k * n]);
        head(contents::CATEGORY_QUERIES.into(), &[config.categories.len(), k * n]);
        for a in &config.attributes {
            head(contents::attribute_proxies(&a.name), &[a.values.len(), n]);
            head(contents::attribute_queries(&a.name), &[a.values.len(), n]);
        }
        Self { config, tensors }
    }

    /// The same with all that tags need; only sleeves may be absent.
    pub fn tagged(mut self) -> Self {
        let (k, n) = (self.config.attributes.len(), SUBSPACE_DIM);
        let mut add = |name: String, rows: usize, columns: usize| {
            let numbers = synthetic::uniform(&name, rows * columns).map(|u| ((u - 0.5) * 2.0) as f32);
            let tensor = Tensor::from_vec(numbers.collect::<Vec<f32>>(), (rows, columns), &Device::Cpu);
            self.tensors.insert(name, tensor.unwrap());
        };
        add(contents::CATEGORY_PROXIES.into(), self.config.categories.len(), k * n);
        add(contents::absent_proxy("sleeves"), 1, n);
        let presence = |a: &Attribute| (a.name == "sleeves").then_some(Presence { slope: 2.0, offset: 0.5 });
        self.config.tagging = Some(Tagging {
            unit: false,
            radii: vec![1.5; k],
            attributes: (self.config.attributes.iter())
                .map(|a| Calibration { temperature: 0.75, presence: presence(a) })
                .collect(),
            category_temperature: 1.25,
            held_out_images: 9,
        });
        self.config.format_version = self.config.needed_version();
        self
    }

    /// What tags its embeddings.
    pub fn tagger(&self) -> Tagger {
        let half = half_tensors(&self.tensors);
        Tagger::new(&self.config, Proxies::of(&self.config, &half).unwrap()).unwrap()
    }

    /// The bytes of `model.safetensors`, in half precision.
    pub fn weights(&self) -> Vec<u8> {
        let half: Tensors = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.to_dtype(DType::F16).unwrap()))
            .collect();
        safetensors::serialize(&half, None).unwrap()
    }

    /// Loads it and returns what `coop_load_model` returns.
    pub fn load_as(&self, name: &str) -> String {
        let arguments = [name.into(), self.config.to_json().into(), self.weights().into()];
        Spi::get_one_with_args("SELECT coop_load_model($1, $2, $3)", &arguments).unwrap().unwrap()
    }

    /// Its K, n and fingerprint.
    pub fn layout(&self) -> Layout {
        self.config.layout(&self.config.digest(&self.weights())).unwrap()
    }

    /// The query of a value as text.
    pub fn attribute_query(&self, attribute: &str, value: &str) -> String {
        let (k, a) = self.config.attribute(attribute).unwrap();
        let v = a.values.iter().position(|v| v.name == value).unwrap();
        let target = self.row(&contents::attribute_queries(attribute), v);
        Query::subspace(self.layout(), k, &target).unwrap().as_ref().to_string()
    }

    /// The query of a category as text.
    pub fn category_query(&self, category: &str) -> String {
        let c = self.config.categories.iter().position(|c| c.name == category).unwrap();
        let target = self.row(contents::CATEGORY_QUERIES, c);
        Query::superspace(self.layout(), target).unwrap().as_ref().to_string()
    }

    /// A row of a matrix, as it is stored: in half precision.
    fn row(&self, tensor: &str, row: usize) -> Vec<f32> {
        let row = self.tensors[tensor].get(row).unwrap();
        row.to_dtype(DType::F16).unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap()
    }
}

fn config() -> ModelConfig {
    let named = |names: &[(&str, usize)]| {
        names.iter().map(|(name, images)| Named { name: (*name).into(), images: *images }).collect()
    };
    let attribute =
        |name: &str, ordered, values| Attribute { name: name.into(), ordered, values: named(values) };
    ModelConfig {
        format_version: 1,
        architecture: Architecture {
            backbone: ARCH.to_string(),
            features: ARCH.description().features,
            standardize_features: false,
        },
        subspace_dim: SUBSPACE_DIM,
        attributes: vec![
            attribute("neckline", false, &[("crew", 5), ("v-neck", 3), ("boat", 0)]),
            attribute("sleeves", true, &[("none", 4), ("short", 2), ("long", 2)]),
            attribute("prints", false, &[("plain", 4), ("floral", 4)]),
        ],
        categories: named(&[("blouse", 4), ("dress", 4), ("coat", 0)]),
        preprocessing: crate::image::Preprocessing::imagenet(32),
        tagging: None,
        training: serde_json::Value::Null,
        dataset: serde_json::Value::Null,
        metrics: serde_json::Value::Null,
        licence: "CC0-1.0".into(),
    }
}

/// A folder that is removed with everything in it when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coopembed-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.0.join(name), bytes).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing is lost if it stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// MESSAGE, DETAIL and HINT of the error that a statement ends with, one to a line; what it did is undone.
pub fn failure(sql: &str) -> String {
    let failure = crate::pg::fixture::failure(sql);
    let parts = [failure.message, failure.detail, failure.hint];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The one text that a statement returns.
pub fn text(sql: &str) -> Option<String> {
    Spi::get_one(sql).unwrap()
}

/// As a model's file has them: rounded to half precision, read as single.
fn half_tensors(tensors: &Tensors) -> Tensors {
    let round = |t: &Tensor| t.to_dtype(DType::F16).unwrap().to_dtype(DType::F32).unwrap();
    tensors.iter().map(|(name, t)| (name.clone(), round(t))).collect()
}
