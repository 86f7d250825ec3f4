//! The steps of a network that are not convolutions: max pool, the statistics of a map, and the change of memory layout at the start.

use super::kernels::{for_each_region, Kernels, Partition};
use crate::model::feature_layout::TapColumns;
use crate::model::map_shape::MapShape;

/// Partitions a map of this shape along its rows for `threads` threads, with at least `rows` rows in a part.
fn by_rows(
    shape: MapShape,
    rows: usize,
    threads: usize,
) -> Partition<impl Fn(usize) -> usize, impl Fn(usize) -> usize> {
    let all = shape.batch * shape.height;
    let parts = all.div_ceil(rows.max(1)).min(4 * threads).max(1);
    Partition {
        parallel: threads > 1,
        parts,
        first_pixel: move |part| part * all / parts * shape.width,
        groups: 1,
        first_channel: move |group| group * shape.channels,
    }
}

/// Images `[batch, channels, height, width]` to a map `[batch, height, width, channels]`.
pub fn from_planes(images: &[f32], shape: MapShape, out: &mut [f32], threads: usize) {
    let (plane, channels) = (shape.plane(), shape.channels);
    for_each_region(out, channels, &by_rows(shape, 16, threads), |mut region| {
        let mut pixels = region.pixels();
        while !pixels.is_empty() {
            // The region may span images: up to the end of this one.
            let (image, first) = (pixels.start / plane, pixels.start % plane);
            let count = pixels.len().min(plane - first);
            let to = region.numbers(pixels.start..pixels.start + count);
            for channel in 0..channels {
                let from = &images[(image * channels + channel) * plane + first..][..count];
                to.iter_mut().skip(channel).step_by(channels).zip(from).for_each(|(t, f)| *t = *f);
            }
            pixels.start += count;
        }
    });
}

/// The shape of the result of [`max_pool`].
pub fn pooled(shape: MapShape) -> MapShape {
    let half = |size: usize| (size - 1) / 2 + 1;
    MapShape { height: half(shape.height), width: half(shape.width), ..shape }
}

/// 3x3 max pool of stride 2 with one pixel of padding. The map comes from a ReLU, so 0 can stand for the padding.
pub fn max_pool(kernels: &Kernels, map: &[f32], shape: MapShape, out: &mut [f32], threads: usize) {
    let result = pooled(shape);
    let around = |at: usize, size: usize| (2 * at).saturating_sub(1)..(2 * at + 2).min(size);
    for_each_region(out, shape.channels, &by_rows(result, 4, threads), |mut region| {
        for pixel in region.pixels() {
            let (row, x) = (pixel / result.width, pixel % result.width);
            let (image, y) = (row / result.height, row % result.height);
            let to = region.numbers(pixel..pixel + 1);
            to.fill(0.0);
            for y in around(y, shape.height) {
                for x in around(x, shape.width) {
                    let from = ((image * shape.height + y) * shape.width + x) * shape.channels;
                    kernels.maximum(to, &map[from..from + shape.channels]);
                }
            }
        }
    });
}

/// The mean over the pixels, into the first columns of the rows of `features` (`[batch, F]`).
pub fn average(kernels: &Kernels, map: &[f32], shape: MapShape, features: &mut [f32]) {
    let share = 1.0 / shape.plane() as f32;
    for (image, row) in features.chunks_exact_mut(features.len() / shape.batch).enumerate() {
        let to = &mut row[..shape.channels];
        to.fill(0.0);
        let pixels = map[image * shape.plane() * shape.channels..].chunks_exact(shape.channels);
        pixels.take(shape.plane()).for_each(|pixel| kernels.add(to, pixel));
        to.iter_mut().for_each(|x| *x *= share);
    }
}

/// The mean and the deviation of each channel over the pixels of each image, into columns of the rows of `features` (`[batch, F]`).
pub fn moments(kernels: &Kernels, map: &[f32], shape: MapShape, columns: &TapColumns, features: &mut [f32]) {
    let image_len = shape.plane() * shape.channels;
    let share = 1.0 / shape.plane() as f32;
    let (mut sums, mut squares) = (vec![0f32; shape.channels], vec![0f32; shape.channels]);
    let rows = features.chunks_exact_mut(features.len() / shape.batch);
    for (image, row) in map.chunks_exact(image_len).zip(rows) {
        kernels.moments(image, &mut sums, &mut squares);
        for (mean, (sum, first)) in row[columns.mean.clone()].iter_mut().zip(sums.iter().zip(image)) {
            *mean = first + sum * share;
        }
        for (deviation, (sum, square)) in
            row[columns.deviation.clone()].iter_mut().zip(sums.iter().zip(&squares))
        {
            let variance = square * share - (sum * share) * (sum * share);
            // A comparison with NaN is false, so NaN stays NaN.
            *deviation = if variance < 0.0 { 0.0 } else { variance.sqrt() };
        }
    }
}
