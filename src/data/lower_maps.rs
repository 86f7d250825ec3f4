//! The maps that the frozen lower part of a backbone makes of images, as the training of its upper part reads them.
//!
//! They are computed once and kept on disk in half precision, unless they would take more room than allowed: then each batch computes its
//! own.

use super::features::{fill_cache, Extractor, FrozenBackbone, Rows};
use super::manifest::Manifest;
use super::row_cache::{Key, RowCache, RowKind};
use super::view::View;
use crate::error::{Error, Result};
use crate::image::Preprocessing;
use crate::model::{normalize_pixels, LowerMaps};
use candle_core::{Device, Tensor};
use half::f16;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The frozen lower part of a backbone: the stem and the first `blocks` blocks.
#[derive(Clone, Copy)]
pub struct LowerPart<'a> {
    /// The backbone.
    pub backbone: &'a FrozenBackbone,
    /// How an image becomes pixels.
    pub preprocessing: &'a Preprocessing,
    /// Blocks of the lower part.
    pub blocks: usize,
}

/// Where maps are kept.
#[derive(Debug, Clone)]
pub struct MapFolder {
    /// The folder.
    pub path: PathBuf,
    /// The most bytes that all files with maps in it may take together.
    pub limit: u64,
}

/// Maps of images of a data set, by row number.
pub struct LowerMapReader<'a> {
    lower: LowerPart<'a>,
    manifest: &'a Manifest,
    /// Per row, the view and the image, as an index in the manifest.
    rows: Vec<(View, usize)>,
    /// Height, width and channels.
    shape: [usize; 3],
    /// The cache and the key of each row; `None` if maps are computed when they are asked for.
    cache: Option<(RowCache, Vec<Key>)>,
}

impl LowerPart<'_> {
    /// Height, width and channels of the maps.
    ///
    /// # Errors
    /// If the backbone fails.
    pub fn shape(&self) -> Result<[usize; 3]> {
        let pixels = vec![0; self.preprocessing.pixel_bytes()];
        let (_, height, width, channels) = self.of_pixels(&pixels, 1)?.map.dims4()?;
        Ok([height, width, channels])
    }

    /// What the lower part makes of pixels `[batch, size, size, 3]`.
    ///
    /// # Errors
    /// If the backbone fails.
    pub fn of_pixels(&self, pixels: &[u8], batch: usize) -> Result<LowerMaps> {
        let network = self.backbone.network();
        network.lower(&normalize_pixels(pixels, batch, self.preprocessing, network.device())?, self.blocks)
    }
}

impl<'a> LowerMapReader<'a> {
    /// Prepares the maps of groups of images, given as indices in the manifest; the rows of a group follow those of the group before. Fills
    /// the cache in `folder` if it has room for all, at the cost of older maps; without a folder nothing is kept.
    ///
    /// # Errors
    /// Those of reading images, of the backbone and of the cache.
    pub fn new(
        lower: LowerPart<'a>,
        manifest: &'a Manifest,
        groups: &[(View, &[usize])],
        folder: Option<&MapFolder>,
    ) -> Result<Self> {
        let shape = lower.shape()?;
        let rows: Vec<(View, usize)> =
            groups.iter().flat_map(|(view, images)| images.iter().map(|&image| (*view, image))).collect();
        let bytes = rows.len() as u64 * RowKind::Maps.record_bytes(shape.iter().product()) as u64;
        let mut reader = Self { lower, manifest, rows, shape, cache: None };
        reader.cache = match folder {
            Some(folder) if bytes <= folder.limit => Some(reader.fill(groups, folder)?),
            Some(folder) => {
                eprintln!(
                    "feature maps would take {:.1} GB, more than the {:.1} GB of --map-cache-limit: they are computed as they are needed",
                    bytes as f64 / 1e9,
                    folder.limit as f64 / 1e9
                );
                None
            }
            None => None,
        };
        Ok(reader)
    }

    fn fill(&self, groups: &[(View, &[usize])], folder: &MapFolder) -> Result<(RowCache, Vec<Key>)> {
        let numbers = self.shape.iter().product();
        let run = |pixels: &[u8], batch: usize| {
            Ok(self.lower.of_pixels(pixels, batch)?.map.flatten_all()?.to_vec1()?)
        };
        let extractor = Extractor {
            backbone: self.lower.backbone.digest(),
            rows: Rows::Maps(self.lower.blocks, numbers),
            preprocessing: self.lower.preprocessing,
            run: &run,
        };
        let mut cache = extractor.open_cache(&folder.path)?;
        let mut keys = Vec::new();
        for (view, images) in groups {
            keys.extend(fill_cache(self.manifest, images, *view, &extractor, &mut cache)?);
        }
        remove_old_maps(folder, cache.path())?;
        Ok((cache, keys))
    }

    /// The maps of some rows, `[rows, height, width, channels]`.
    ///
    /// # Errors
    /// Those of the cache; of reading images and of the backbone, if there is none.
    pub fn read(&self, rows: &[u32]) -> Result<Tensor> {
        let [height, width, channels] = self.shape;
        let length = height * width * channels;
        let mut maps = vec![0f32; rows.len() * length];
        match &self.cache {
            Some((cache, keys)) => {
                for (row, map) in rows.iter().zip(maps.chunks_exact_mut(length)) {
                    cache.read(&keys[*row as usize], map)?;
                }
            }
            None => {
                let pixels = rows.iter().map(|&row| {
                    let (view, image) = self.rows[row as usize];
                    view.pixels(self.manifest, &self.manifest.images[image], self.lower.preprocessing)
                });
                let pixels = pixels.collect::<Result<Vec<_>>>()?.concat();
                maps = self.lower.of_pixels(&pixels, rows.len())?.map.flatten_all()?.to_vec1()?;
                // As a cache would store them: the limit must not change the result.
                maps.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
            }
        }
        Ok(Tensor::from_vec(maps, (rows.len(), height, width, channels), &Device::Cpu)?)
    }
}

/// Removes the files with maps that were written longest ago, until those that are left fit into the limit; `kept` stays.
fn remove_old_maps(folder: &MapFolder, kept: &Path) -> Result<()> {
    let io = |e| Error::io("list", &folder.path, &e);
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(&folder.path).map_err(io)? {
        let path = entry.map_err(io)?.path();
        // A file that another process removes meanwhile needs no room.
        let Ok(metadata) = path.metadata() else { continue };
        if path.extension().is_some_and(|e| e == RowKind::Maps.extension()) {
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((if path == kept { SystemTime::now() } else { modified }, metadata.len(), path));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= folder.limit || path == kept {
            break;
        }
        std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
        total -= bytes;
    }
    Ok(())
}
