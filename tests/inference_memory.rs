//! After the first passes through a backbone, a pass allocates memory for its result only. In a process of its own, because it counts the
//! allocations of the whole process.
#![allow(unsafe_code)]
#![cfg(feature = "cli")]

use candle_core::{DType, Device, Tensor};
use coopembed::model::{load_backbone, Arch, FeatureSet, Tensors};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it counts, and leaves everything else to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer is from `alloc`, that is from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn after_the_first_passes_only_the_result_is_allocated() {
    for arch in [Arch::EfficientNetLite0, Arch::ResNet18] {
        let tensors: Tensors = arch
            .description()
            .tensor_shapes()
            .into_iter()
            .map(|(name, shape)| (name, Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()))
            .collect();
        let backbone = load_backbone(arch, FeatureSet::Last, &tensors, &Device::Cpu).unwrap();
        // More images than pass through the network together.
        let images = Tensor::zeros((40, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
        let mut passes = Vec::new();
        for _ in 0..40 {
            let before = ALLOCATED.load(Relaxed);
            let features = backbone.forward(&images).unwrap();
            passes.push(ALLOCATED.load(Relaxed) - before);
            assert_eq!(features.dims(), [40, backbone.features()]);
        }
        // The median, because a thread of the pool may run its first task, and allocate its buffer, late. Beside the result there is
        // the tensor around it, and now and then a block of the pool's queue.
        passes.sort_unstable();
        let (median, result) = (passes[20], 40 * backbone.features() * size_of::<f32>());
        assert!((result..result + 4096).contains(&median), "{arch}: {median} bytes for a result of {result}");
    }
}
