//! Predicts the attribute values of images as the nearest values, and measures the errors; for ordered attributes also in ranks.

use super::metrics::{mean, rank_of_first_hit, ranking};
use crate::data::manifest::Manifest;
use crate::error::Result;
use crate::model::{Model, Proxies};
use crate::space::{normalize_subspaces, Layout};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Which point represents a value when the value of an image is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PredictBy {
    /// The value's proxy, compared as in training: Eq. 2 is a classifier over the distances of raw embeddings from raw
    /// proxies, and this is its prediction. (An embedding of unit length must not be compared with proxies of another length: the longest
    /// proxy would be too far away, whatever its direction.) Models trained with --normalize compare unit vectors.
    #[default]
    Proxy,
    /// The value's stored query: the prediction is the nearest value in the server, by `emb <-> coop_attr_query(...)`.
    Mean,
}

/// The points that represent the values of each attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePoints {
    /// The layout of the subspaces.
    pub layout: Layout,
    /// Whether embeddings are compared at unit length.
    pub unit: bool,
    /// Per attribute of the model.
    pub attributes: Vec<AttributePoints>,
}

/// The points of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributePoints {
    /// The attribute's name.
    pub name: String,
    /// Whether its values are ordered.
    pub ordered: bool,
    /// Per value, in order, its name and its point `[n]`; `None` if no training image shows it.
    pub values: Vec<(String, Option<Vec<f32>>)>,
}

impl ReferencePoints {
    /// The points of a trained model; `weights` are the bytes of its `model.safetensors`.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] if the proxies do not fit the config.
    pub fn of(model: &Model, weights: &[u8], by: PredictBy) -> Result<Self> {
        let (config, layout) = (model.config(), model.layout());
        let normalized = config.training["settings"]["normalize"].as_bool().unwrap_or(false);
        let proxies = Proxies::from_parts(config, weights)?;
        let mut attributes = Vec::with_capacity(config.attributes.len());
        for (k, a) in config.attributes.iter().enumerate() {
            let mut points = match by {
                PredictBy::Mean => model.prototypes().attribute_queries(k).to_vec(),
                PredictBy::Proxy => {
                    let rows = proxies.attributes[k].chunks_exact(layout.subspace_dim());
                    // The proxy of a value without training images has not learned anything.
                    rows.zip(&a.values).map(|(row, v)| (v.images > 0).then(|| row.to_vec())).collect()
                }
            };
            if by == PredictBy::Proxy && normalized {
                let one = Layout::new(1, layout.subspace_dim(), layout.fingerprint())?;
                points.iter_mut().flatten().try_for_each(|p| normalize_subspaces(one, p))?;
            }
            let names = a.values.iter().map(|v| v.name.clone());
            attributes.push(AttributePoints {
                name: a.name.clone(),
                ordered: a.ordered,
                values: names.zip(points).collect(),
            });
        }
        Ok(Self { layout, unit: by == PredictBy::Mean || normalized, attributes })
    }
}

/// How well the values of one attribute are predicted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictionResult {
    /// The attribute.
    pub name: String,
    /// Whether its values are ordered.
    pub ordered: bool,
    /// Images that count: those with a value that some training image shows.
    pub images: usize,
    /// Images with another value of the attribute; they do not count.
    pub unseen: usize,
    /// The fraction of images whose nearest value is right.
    pub accuracy: Averages,
    /// The mean of 1 / rank, for the rank of the right value among all values by distance.
    pub mean_reciprocal_rank: Averages,
    /// The mean difference in rank between the right and the nearest value; only for ordered attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_absolute_error: Option<Averages>,
    /// The names of the values.
    pub values: Vec<String>,
    /// `[right][predicted]`: numbers of images.
    pub confusion: Vec<Vec<usize>>,
}

/// A mean over images and a mean over values; `None` without images.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Averages {
    /// The mean over images.
    pub micro: Option<f64>,
    /// The mean over values of the mean over the images of each value.
    #[serde(rename = "macro")]
    pub macro_: Option<f64>,
}

/// The prediction of one image's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prediction {
    /// The right value.
    pub right: usize,
    /// The nearest value.
    pub nearest: usize,
    /// The number of values that are nearer than the right one.
    pub nearer: usize,
}

impl Prediction {
    /// From the image's distance to each value, which is `None` for values that cannot be predicted. The result is `None` if the right
    /// value is one of these. Of equal distances the first counts as nearer.
    pub fn new(right: usize, distances: &[Option<f64>]) -> Option<Self> {
        distances.get(right).copied().flatten()?;
        let known: Vec<usize> = (0..distances.len()).filter(|&v| distances[v].is_some()).collect();
        let distances: Vec<f64> = distances.iter().flatten().copied().collect();
        let nearer = rank_of_first_hit(&distances, |i| known[i] == right)?;
        Some(Self { right, nearest: known[*ranking(&distances).first()?], nearer })
    }
}

impl PredictionResult {
    /// The figures of these predictions; `unseen` is the number of images with a value that cannot be predicted.
    pub fn new(
        name: String,
        ordered: bool,
        values: Vec<String>,
        predictions: &[Prediction],
        unseen: usize,
    ) -> Self {
        let mut confusion = vec![vec![0; values.len()]; values.len()];
        predictions.iter().for_each(|p| confusion[p.right][p.nearest] += 1);
        let averages = |of: &dyn Fn(&Prediction) -> f64| Averages {
            micro: mean(predictions.iter().map(of)),
            macro_: mean(
                (0..values.len()).filter_map(|v| mean(predictions.iter().filter(|p| p.right == v).map(of))),
            ),
        };
        Self {
            name,
            ordered,
            images: predictions.len(),
            unseen,
            accuracy: averages(&|p| f64::from(u8::from(p.right == p.nearest))),
            mean_reciprocal_rank: averages(&|p| 1.0 / (p.nearer + 1) as f64),
            mean_absolute_error: ordered.then(|| averages(&|p| p.right.abs_diff(p.nearest) as f64)),
            values,
            confusion,
        }
    }
}

/// Predicts the values of `images`, whose raw embeddings are the rows of `raw` (`[images, N]`), and compares them with the labels.
/// Attributes that the data set does not have are left out.
///
/// # Errors
/// [`crate::error::Kind::InvalidParameter`] for an embedding that is not finite.
pub fn predict(
    manifest: &Manifest,
    images: &[usize],
    raw: &[f32],
    points: &ReferencePoints,
) -> Result<Vec<PredictionResult>> {
    let layout = points.layout;
    let mut raw = raw.to_vec();
    if points.unit {
        raw.par_chunks_mut(layout.dimensions()).try_for_each(|row| normalize_subspaces(layout, row))?;
    }
    let mut reports = Vec::new();
    for (k, attribute) in points.attributes.iter().enumerate() {
        let Some(column) = manifest.attributes.iter().position(|a| a.name == attribute.name) else {
            continue;
        };
        let names = &manifest.attributes[column].values;
        let predictions: Vec<Option<Prediction>> = images
            .par_iter()
            .zip(raw.par_chunks_exact(layout.dimensions()))
            .filter_map(|(&image, row)| Some((manifest.images[image].values[column]?, &row[layout.range(k)])))
            .map(|(value, slice)| {
                let right = attribute.values.iter().position(|(name, _)| *name == names[value as usize])?;
                let distance = |point: &Vec<f32>| squared_distance(slice, point);
                let distances: Vec<_> =
                    attribute.values.iter().map(|(_, p)| p.as_ref().map(distance)).collect();
                Prediction::new(right, &distances)
            })
            .collect();
        let unseen = predictions.iter().filter(|p| p.is_none()).count();
        let predictions: Vec<Prediction> = predictions.into_iter().flatten().collect();
        let values = attribute.values.iter().map(|(name, _)| name.clone()).collect();
        reports.push(PredictionResult::new(
            attribute.name.clone(),
            attribute.ordered,
            values,
            &predictions,
            unseen,
        ));
    }
    Ok(reports)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::manifest::{AttributeEntry, ImageEntry, Split};

    fn close(got: Option<f64>, want: f64) {
        assert!((got.unwrap() - want).abs() < 1e-12, "{got:?} is not {want}");
    }

    fn manifest(values: &[&str], shown: &[Option<u32>]) -> Manifest {
        let image = |value: &Option<u32>| ImageEntry {
            path: String::new(),
            instance: 0,
            category: 0,
            split: Split::Gallery,
            crop: None,
            values: vec![None, *value],
        };
        let attribute = |name: &str, values: &[&str]| AttributeEntry {
            name: name.into(),
            ordered: false,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        };
        Manifest {
            root: "set".into(),
            images: shown.iter().map(image).collect(),
            attributes: vec![attribute("other", &[]), attribute("size", values)],
            instances: vec!["i".into()],
            categories: vec!["c".into()],
            instance_category: vec![0],
            instance_group: vec![0],
            warnings: vec![],
        }
    }

    /// One attribute of the values s, m, l and xl (which no training image shows) at 0, 1 and 3 on a line.
    fn points(unit: bool) -> ReferencePoints {
        let at = |name: &str, x: Option<f32>| (name.to_owned(), x.map(|x| vec![x, 0.0]));
        ReferencePoints {
            layout: Layout::new(2, 2, 0).unwrap(),
            unit,
            attributes: vec![
                AttributePoints { name: "absent".into(), ordered: false, values: vec![at("a", Some(0.0))] },
                AttributePoints {
                    name: "size".into(),
                    ordered: true,
                    values: vec![at("s", Some(0.0)), at("m", Some(1.0)), at("l", Some(3.0)), at("xl", None)],
                },
            ],
        }
    }

    #[test]
    fn ranks_missed_and_reciprocal_ranks_by_hand() {
        // The set names its values in another order: l, s, m, xl, xxl.
        let set = manifest(
            &["l", "s", "m", "xl", "xxl"],
            &[Some(1), Some(1), Some(1), Some(0), Some(2), Some(3), Some(4), None],
        );
        let x = [0.2, 2.5, 0.9, 0.4, 1.1, 9.0, 9.0, 9.0];
        let raw: Vec<f32> = x.iter().flat_map(|&x| [7.0, 7.0, x, 0.0]).collect();
        let images: Vec<usize> = (0..8).collect();
        let r = predict(&set, &images, &raw, &points(false)).unwrap();
        assert_eq!(r.len(), 1); // the set has no "absent"
        let r = &r[0];
        // s at .2: right. s at 2.5: l (.5), m (1.5), s (2.5): third, 2 ranks off. s at .9: m (.1), s (.9): second, 1 off.
        // l at .4: s (.4), m (.6), l (2.6): third, 2 off. m at 1.1: right. xl and xxl cannot be said.
        assert_eq!((r.images, r.unseen, r.ordered), (5, 2, true));
        assert_eq!(r.confusion, [[1, 1, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]);
        close(r.accuracy.micro, 2.0 / 5.0);
        close(r.accuracy.macro_, (1.0 / 3.0 + 1.0 + 0.0) / 3.0);
        let mae = r.mean_absolute_error.unwrap();
        close(mae.micro, (0.0 + 2.0 + 1.0 + 2.0 + 0.0) / 5.0);
        close(mae.macro_, (3.0 / 3.0 + 0.0 + 2.0) / 3.0);
        close(r.mean_reciprocal_rank.micro, (1.0 + 1.0 / 3.0 + 0.5 + 1.0 / 3.0 + 1.0) / 5.0);
        close(r.mean_reciprocal_rank.macro_, ((1.0 + 1.0 / 3.0 + 0.5) / 3.0 + 1.0 + 1.0 / 3.0) / 3.0);
    }

    #[test]
    fn raw_and_unit_embeddings_can_be_nearest_to_different_values() {
        let set = manifest(&["s", "m", "l"], &[Some(2)]);
        let raw = [1.0, 0.0, 2.9, 0.0];
        let nearest = |unit| predict(&set, &[0], &raw, &points(unit)).unwrap()[0].confusion[2].clone();
        assert_eq!(nearest(false), [0, 0, 1, 0]);
        assert_eq!(nearest(true), [0, 1, 0, 0]); // 2.9 shrinks to 1
    }

    #[test]
    fn of_equal_distances_the_first_is_nearer() {
        let p = |right, d: &[f64]| Prediction::new(right, &d.iter().map(|&d| Some(d)).collect::<Vec<_>>());
        assert_eq!(p(1, &[0.5, 0.5, 0.1]), Some(Prediction { right: 1, nearest: 2, nearer: 2 }));
        assert_eq!(p(0, &[0.5, 0.5]), Some(Prediction { right: 0, nearest: 0, nearer: 0 }));
        assert_eq!(Prediction::new(0, &[None, Some(1.0)]), None);
        assert_eq!(p(2, &[1.0]), None);
    }

    #[test]
    fn an_attribute_without_images_has_no_figures() {
        let set = manifest(&["s"], &[None]);
        let r = predict(&set, &[0], &[0.0; 4], &points(false)).unwrap().remove(0);
        assert_eq!((r.images, r.accuracy), (0, Averages::default()));
        assert_eq!(r.mean_absolute_error, Some(Averages::default()));
        let json = serde_json::to_value(&r).unwrap();
        assert!(json["mean_absolute_error"]["macro"].is_null() && json["confusion"][3][3] == 0);
    }
}
