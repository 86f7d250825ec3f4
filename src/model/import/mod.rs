//! PyTorch checkpoints of backbones.
//!
//! | file | what is in it |
//! |---|---|
//! | `backbone_file` | a checkpoint to our own safetensors file, and that file read back |
//! | `pytorch_checkpoint` | where the tensors of a `.pth` or `.safetensors` file lie |
//! | `pickle` | Python's pickle format, read without executing anything |

mod backbone_file;
mod pickle;
mod pytorch_checkpoint;

pub use backbone_file::{import_backbone, read_backbone};
