//! Lets several threads write one map at once, each its own pixels and channels.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// How a map `[pixels, channels]` is partitioned into regions: `parts` along the pixels times `groups` along the channels.
pub struct Partition<P, C> {
    /// Whether the threads of rayon's pool share the regions; otherwise the calling thread runs all of them.
    pub parallel: bool,
    /// Parts along the pixels.
    pub parts: usize,
    /// The first pixel of a part; for `parts`, the number of pixels.
    pub first_pixel: P,
    /// Groups along the channels.
    pub groups: usize,
    /// The first channel of a group; for `groups`, the number of channels.
    pub first_channel: C,
}

/// A range of pixels and channels of a map that one task writes exclusively.
pub struct Region<'a> {
    map: SharedMap<'a>,
    pixels: Range<usize>,
    channels: Range<usize>,
}

/// A mutable map shared by regions.
#[derive(Clone, Copy)]
struct SharedMap<'a> {
    start: *mut f32,
    channels: usize,
    map: PhantomData<&'a mut [f32]>,
}

// SAFETY: the numbers are only accessed through regions, and no two regions of a map overlap.
unsafe impl Send for SharedMap<'_> {}
// SAFETY: the numbers are only accessed through regions, and no two regions of a map overlap.
unsafe impl Sync for SharedMap<'_> {}

impl Region<'_> {
    /// The region's pixels, as indices in the whole map.
    pub fn pixels(&self) -> Range<usize> {
        self.pixels.clone()
    }

    /// The region's channels.
    pub fn channels(&self) -> Range<usize> {
        self.channels.clone()
    }

    /// Numbers from one pixel to the next.
    pub fn pitch(&self) -> usize {
        self.map.channels
    }

    /// Offset in the map of the first of these pixels and channels.
    ///
    /// # Panics
    /// If these pixels and channels do not lie in the region.
    pub fn offset(&self, pixels: Range<usize>, channels: Range<usize>) -> usize {
        let within = |part: &Range<usize>, of: &Range<usize>| of.start <= part.start && part.end <= of.end;
        assert!(within(&pixels, &self.pixels) && within(&channels, &self.channels), "outside of the region");
        pixels.start * self.map.channels + channels.start
    }

    /// All channels of some pixels.
    ///
    /// # Panics
    /// If the pixels do not lie in the region, or if the region does not have all channels.
    pub fn numbers(&mut self, pixels: Range<usize>) -> &mut [f32] {
        let length = pixels.len() * self.pitch();
        let start = self.pointer(pixels, 0..self.pitch());
        // SAFETY: `pointer` has checked that these numbers lie in the region, whose numbers no other region reaches, and the region
        // is borrowed mutably for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(start, length) }
    }

    /// [`Region::offset`] as a pointer, valid for all of these pixels and channels.
    ///
    /// # Panics
    /// As for [`Region::offset`].
    pub fn pointer(&mut self, pixels: Range<usize>, channels: Range<usize>) -> *mut f32 {
        // SAFETY: `offset` has checked that the position lies in the region, and so within the map's allocation.
        unsafe { self.map.start.add(self.offset(pixels, channels)) }
    }
}

/// Calls `run` for every region of a map `[pixels, channels]`.
///
/// # Panics
/// If the boundaries do not ascend, or do not end where the map ends.
pub fn for_each_region<P, C>(
    map: &mut [f32],
    channels: usize,
    partition: &Partition<P, C>,
    run: impl Fn(Region<'_>) + Sync,
) where
    P: Fn(usize) -> usize + Sync,
    C: Fn(usize) -> usize + Sync,
{
    let (pixel, channel) = (&partition.first_pixel, &partition.first_channel);
    let ordered = (0..partition.parts).all(|i| pixel(i) <= pixel(i + 1))
        && (0..partition.groups).all(|i| channel(i) <= channel(i + 1));
    let ends = (pixel(partition.parts) * channels, channel(partition.groups));
    assert!(ordered && ends == (map.len(), channels), "a partition that does not cover the map");
    let map = SharedMap { start: map.as_mut_ptr(), channels, map: PhantomData };
    let region = |index: usize| {
        let (part, group) = (index / partition.groups, index % partition.groups);
        // Boundaries ascend, so no two indices yield overlapping regions.
        run(Region {
            map,
            pixels: pixel(part)..pixel(part + 1),
            channels: channel(group)..channel(group + 1),
        });
    };
    let count = partition.parts * partition.groups;
    if count == 1 || !partition.parallel {
        (0..count).for_each(region);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(region);
    }
}
