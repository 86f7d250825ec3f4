//! A map that several tasks write at once, each its own pixels and channels.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Where a map `[pixels, channels]` is cut into regions.
pub struct Cuts<P, C> {
    /// Whether regions are handed to the threads of rayon's pool, or one after the other to this thread.
    pub spread: bool,
    /// Parts along the pixels.
    pub parts: usize,
    /// The first pixel of a part; of part `parts`, the number of pixels.
    pub pixel: P,
    /// Groups along the channels.
    pub groups: usize,
    /// The first channel of a group; of group `groups`, the number of channels.
    pub channel: C,
}

/// Some pixels and channels of a map, for one task alone.
pub struct Region<'a> {
    map: Shared<'a>,
    pixels: Range<usize>,
    channels: Range<usize>,
}

#[derive(Clone, Copy)]
struct Shared<'a> {
    start: *mut f32,
    channels: usize,
    map: PhantomData<&'a mut [f32]>,
}

// SAFETY: threads reach the numbers only through regions, of which no two overlap.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl Region<'_> {
    /// The pixels, counted in the whole map.
    pub fn pixels(&self) -> Range<usize> {
        self.pixels.clone()
    }

    /// The channels.
    pub fn channels(&self) -> Range<usize> {
        self.channels.clone()
    }

    /// Numbers from one pixel to the next.
    pub fn pitch(&self) -> usize {
        self.map.channels
    }

    /// Where a pixel's channel is in the map.
    ///
    /// # Panics
    /// If these pixels and channels do not lie in the region.
    pub fn offset(&self, pixels: Range<usize>, channels: Range<usize>) -> usize {
        let within = |part: &Range<usize>, of: &Range<usize>| of.start <= part.start && part.end <= of.end;
        assert!(within(&pixels, &self.pixels) && within(&channels, &self.channels), "outside of the region");
        pixels.start * self.map.channels + channels.start
    }

    /// All numbers of some pixels.
    ///
    /// # Panics
    /// If the pixels do not lie in the region, or the region has not all channels.
    pub fn numbers(&mut self, pixels: Range<usize>) -> &mut [f32] {
        let length = pixels.len() * self.pitch();
        let start = self.pointer(pixels, 0..self.pitch());
        // SAFETY: these numbers lie in the map, and only this region reaches them, which is borrowed.
        unsafe { std::slice::from_raw_parts_mut(start, length) }
    }

    /// [`Region::offset`] as a pointer, good for all these pixels and channels.
    ///
    /// # Panics
    /// As for [`Region::offset`].
    pub fn pointer(&mut self, pixels: Range<usize>, channels: Range<usize>) -> *mut f32 {
        // SAFETY: an offset within the region lies within the map.
        unsafe { self.map.start.add(self.offset(pixels, channels)) }
    }
}

/// Hands every region of a map `[pixels, channels]` to `run`.
///
/// # Panics
/// If the cuts are not in order, or end elsewhere than the map.
pub fn for_each_region<P, C>(
    map: &mut [f32],
    channels: usize,
    cuts: &Cuts<P, C>,
    run: impl Fn(Region<'_>) + Sync,
) where
    P: Fn(usize) -> usize + Sync,
    C: Fn(usize) -> usize + Sync,
{
    let (pixel, channel) = (&cuts.pixel, &cuts.channel);
    let ordered = (0..cuts.parts).all(|i| pixel(i) <= pixel(i + 1))
        && (0..cuts.groups).all(|i| channel(i) <= channel(i + 1));
    let ends = (pixel(cuts.parts) * channels, channel(cuts.groups));
    assert!(ordered && ends == (map.len(), channels), "a map cut elsewhere than it ends");
    let map = Shared { start: map.as_mut_ptr(), channels, map: PhantomData };
    let region = |index: usize| {
        let (part, group) = (index / cuts.groups, index % cuts.groups);
        // Cuts are in order, so that no two indices give overlapping regions.
        run(Region {
            map,
            pixels: pixel(part)..pixel(part + 1),
            channels: channel(group)..channel(group + 1),
        });
    };
    let count = cuts.parts * cuts.groups;
    if count == 1 || !cuts.spread {
        (0..count).for_each(region);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(region);
    }
}
