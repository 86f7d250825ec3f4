//! Query prototypes and proxies of a trained model. Reading them does not load the network.

use super::config::{ModelConfig, VocabularyEntry};
use super::tensor_names;
use super::tensors::{TensorFile, Tensors};
use crate::error::{Error, Kind, Result};
use crate::memory;

/// The targets of a model's attribute and category queries: means of normalised training embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Prototypes {
    attributes: Vec<Vec<Option<Vec<f32>>>>,
    categories: Vec<Option<Vec<f32>>>,
}

impl Prototypes {
    /// Reads and checks the query prototypes only.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] for weights that are truncated or do not fit the config.
    pub fn from_parts(config: &ModelConfig, weights: &[u8]) -> Result<Self> {
        let file = TensorFile::parse(weights)?;
        file.check(tensor_names::MISMATCH_MESSAGE, &tensor_names::expected_queries(config), |_| true)?;
        Self::read(config, &file)
    }

    /// Reads the query prototypes of a file that has been checked.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] for a missing tensor.
    pub(super) fn read(config: &ModelConfig, file: &TensorFile<'_>) -> Result<Self> {
        let (n, dimensions) = (config.subspace_dim, config.subspace_dim * config.attributes.len());
        let attributes = config.attributes.iter().map(|a| {
            let numbers = file.numbers(&tensor_names::attribute_queries(&a.name))?;
            trained(&a.values, &numbers, n)
        });
        let categories = file.numbers(tensor_names::CATEGORY_QUERIES)?;
        Ok(Self {
            attributes: attributes.collect::<Result<_>>()?,
            categories: trained(&config.categories, &categories, dimensions)?,
        })
    }

    /// The query target `[n]` of each value of attribute k; `None` for a value without training images.
    pub fn attribute_queries(&self, k: usize) -> &[Option<Vec<f32>>] {
        &self.attributes[k]
    }

    /// The query target `[K·n]` of each category; `None` for a category without training images.
    pub fn category_queries(&self) -> &[Option<Vec<f32>>] {
        &self.categories
    }

    /// Bytes of main memory in use.
    pub fn memory_bytes(&self) -> usize {
        let rows = self.attributes.iter().flatten().chain(&self.categories);
        rows.flatten().map(|row| row.len() * size_of::<f32>()).sum()
    }
}

/// The rows of `numbers` (`row` long) whose entry has training images.
fn trained(names: &[VocabularyEntry], numbers: &[f32], row: usize) -> Result<Vec<Option<Vec<f32>>>> {
    let rows = names.iter().zip(numbers.chunks_exact(row));
    rows.map(|(name, row)| (name.images > 0).then(|| memory::copied(row)).transpose()).collect()
}

/// The proxies: the points that training pulled embeddings towards.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxies {
    /// Per attribute, the proxies of its values, `[V, n]` row by row.
    pub attributes: Vec<Vec<f32>>,
    /// Per attribute, the proxy of images without a value, `[n]`, if the model learned one.
    pub absent: Vec<Option<Vec<f32>>>,
    /// The instance proxies, `[P, K·n]` row by row, if the model has them.
    pub instances: Option<Vec<f32>>,
    /// The category proxies, `[C, K·n]` row by row, if the model has them.
    pub categories: Option<Vec<f32>>,
}

impl Proxies {
    /// Reads and checks the proxies only.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] for weights that are truncated or do not fit the config.
    pub fn from_parts(config: &ModelConfig, weights: &[u8]) -> Result<Self> {
        let file = TensorFile::parse(weights)?;
        file.check(tensor_names::MISMATCH_MESSAGE, &tensor_names::expected_proxies(config, &file), |_| true)?;
        Self::from_numbers(config, |name| file.shape(name).map(|_| file.numbers(name)).transpose())
    }

    /// The proxies among a model's tensors.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] if the proxies of an attribute's values are missing.
    pub fn of(config: &ModelConfig, tensors: &Tensors) -> Result<Self> {
        let numbers = |name: &str| -> Result<Option<Vec<f32>>> {
            tensors.get(name).map(|t| Ok(t.flatten_all()?.to_vec1()?)).transpose()
        };
        Self::from_numbers(config, numbers)
    }

    fn from_numbers(
        config: &ModelConfig,
        optional: impl Fn(&str) -> Result<Option<Vec<f32>>>,
    ) -> Result<Self> {
        let attributes = config.attributes.iter().map(|a| {
            let name = tensor_names::attribute_proxies(&a.name);
            optional(&name)?.ok_or_else(|| {
                Error::new(Kind::InvalidModel, format!("the model lacks the tensor \"{name}\""))
            })
        });
        let absent = config.attributes.iter().map(|a| optional(&tensor_names::absent_proxy(&a.name)));
        Ok(Self {
            attributes: attributes.collect::<Result<_>>()?,
            absent: absent.collect::<Result<_>>()?,
            instances: optional(tensor_names::INSTANCE_PROXIES)?,
            categories: optional(tensor_names::CATEGORY_PROXIES)?,
        })
    }
}
