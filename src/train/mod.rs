//! Training: what learns an embedding from labelled images.
//!
//! The trainer draws batches from a [`feature_source`], asks a [`method`] for their losses and lets the [`optimizer`] take a step. Terms
//! are those of the paper: instances have proxies p, attribute values have proxies a, a category's proxy c is the mean of its instances'
//! proxies, each loss is a cross-entropy over distances to proxies, and λ weighs it.
//!
//! | file | what is in it |
//! |---|---|
//! | `losses` | the loss of each equation (Eq. 1 to 5 and the norm of Eq. 7) |
//! | `geometry` | how distances become logits: raw or normalised embeddings |
//! | `pairwise` | distances of a batch to all proxies, with fast gradients |
//! | `labels` | the labels of a batch as tensors |
//! | `batch_losses` | the weighted sum of a batch's losses (Eq. 6 and 7) |
//! | `method`, `method_kind`, `methods/` | the cooperative method and the baselines |
//! | `cooperative_parameters`, `initializer` | what the cooperative method learns, and how parameters start |
//! | `optimizer/` | Adam and AdamW with a rate per group of parameters |
//! | `moving_average` | exponential moving averages of what learns |
//! | `settings/` | hyper-parameters, in stages |
//! | `trainer` | the loop over epochs and batches |
//! | `sampler` | the order of the images in an epoch |
//! | `training_set` | the labels of the training images |
//! | `holdout` | which training images are held out, for validation or calibration |
//! | `validation` | how well held-out images are retrieved |
//! | `calibration` | fits the probabilities of tags to held-out images |
//! | `feature_source` | where features come from: precomputed, of a frozen backbone |
//! | `feature_scaling` | features on one scale, and the projection that takes the scaling in |
//! | `stage_sources` | a feature source for each stage |
//! | `trainable_features`, `trainable_backbone`, `ops/` | features of a backbone that is fine-tuned, with gradients |
//! | `mean_queries` | the query prototypes: means of training embeddings |
//! | `checkpoint` | the state of a training on disk |
//! | `loss_log` | the losses of each epoch as CSV |

pub mod batch_losses;
pub mod calibration;
pub mod checkpoint;
pub mod cooperative_parameters;
pub mod feature_scaling;
pub mod feature_source;
pub mod geometry;
pub mod holdout;
pub mod initializer;
pub mod labels;
pub mod loss_log;
pub mod losses;
pub mod mean_queries;
pub mod method;
pub mod method_kind;
pub mod methods;
pub mod moving_average;
pub mod ops;
pub mod optimizer;
pub mod pairwise;
pub mod sampler;
pub mod settings;
pub mod stage_sources;
pub mod trainable_backbone;
pub mod trainable_features;
pub mod trainer;
pub mod training_set;
pub mod validation;

#[cfg(test)]
mod tests;
