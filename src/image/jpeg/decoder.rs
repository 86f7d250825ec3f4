//! Decodes the scans of a JPEG whose frame is known to interleaved samples.

use super::bits::{BitReader, Damage, HuffmanTable, ZIGZAG};
use super::kernels;
use super::markers::{next_marker, segment, Frame};
use super::planes::Plane;
use super::scan::{Scan, ScanDecoder, Tables};
use crate::error::{Error, Result};
use crate::memory;

/// What the components of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Components {
    /// Samples are returned as they are.
    Plain,
    /// Luma and two differences of colour, to RGB.
    YCbCr,
    /// The same of complements of inks, and black: to cyan, magenta, yellow and black.
    Ycck,
}

/// Why decoding failed.
pub(super) enum Failure {
    Damaged(Damage),
    Other(Error),
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The tables in force, which segments between scans change.
#[derive(Default)]
struct State {
    quantisation: [Option<[u16; 64]>; 4],
    dc: Tables,
    ac: Tables,
    restart_interval: usize,
}

/// Decodes a file to `[height, width, components]`. `tables` is a JPEG of tables alone, as TIFF has it.
pub(super) fn decode(
    bytes: &[u8],
    frame: &Frame,
    tables: Option<&[u8]>,
    components: Components,
) -> std::result::Result<Vec<u8>, Failure> {
    let mut state = State::default();
    if let Some(tables) = tables {
        read_tables(&mut state, tables)?;
    }
    Image::new(frame, components)?.read(bytes, &mut state)
}

/// An image under way.
struct Image<'f, 'a> {
    frame: &'f Frame<'a>,
    components: Components,
    /// MCUs across and down.
    mcus: (usize, usize),
    planes: Vec<Plane>,
    /// Per component and coefficient: the bits still to come, or nothing seen yet.
    missing_bits: Vec<[Option<u8>; 64]>,
    samples: Vec<u8>,
    /// Rows that are in `samples`.
    rows: usize,
}

impl<'f, 'a> Image<'f, 'a> {
    fn new(frame: &'f Frame<'a>, components: Components) -> Result<Self> {
        let (widest, tallest) = frame.max_sampling();
        let mcus = (
            u64::from(frame.width).div_ceil(8 * widest) as usize,
            u64::from(frame.height).div_ceil(8 * tallest) as usize,
        );
        let bytes = frame.pixels() as usize * frame.components.len();
        Ok(Self {
            frame,
            components,
            mcus,
            planes: Plane::of_frame(frame, mcus, frame.coefficient_bytes() > 0)?,
            missing_bits: vec![[None; 64]; frame.components.len()],
            samples: memory::with_capacity(bytes)?,
            rows: 0,
        })
    }

    /// Reads segments and scans up to the end marker.
    fn read(mut self, bytes: &[u8], state: &mut State) -> std::result::Result<Vec<u8>, Failure> {
        let ids: Vec<u8> = self.frame.components.iter().map(|c| c.id).collect();
        let buffered = self.frame.coefficient_bytes() > 0;
        let mut at = 2;
        let mut ended = false;
        while let Some(after) = next_marker(bytes, at) {
            at = after;
            let marker = bytes[at - 1];
            match marker {
                0xd9 => {
                    ended = true;
                    break;
                }
                0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let Some(segment) = segment(bytes, at) else { break };
            at += segment.len() + 2;
            if marker != 0xda {
                state.read(marker, segment)?;
                continue;
            }
            if self.rows > 0 {
                return Err("there is another scan after the last".into());
            }
            let scan = Scan::parse(segment, &ids).ok_or("the header of a scan is invalid")?;
            self.begin_scan(&scan, state)?;
            let progressive = self.frame.is_progressive();
            let tables = (&state.dc, &state.ac);
            let bits = BitReader::new(bytes, at);
            let mut decoder = ScanDecoder::new(scan, bits, tables, state.restart_interval, progressive)?;
            if buffered {
                self.read_scan(&mut decoder)?;
            } else {
                self.read_only_scan(&mut decoder)?;
            }
            at = decoder.bits.finish()?;
        }
        if buffered {
            // A file that was cut off between two scans has no end marker.
            if !ended && self.missing_bits.iter().flatten().any(|bits| *bits != Some(0)) {
                return Err("the file ends before its last scan".into());
            }
            for row in 0..self.mcus.1 {
                self.finish_row(row, row)?;
            }
        }
        Ok(self.samples)
    }

    /// Checks a scan's header against those before it, and keeps its quantisation tables.
    fn begin_scan(&mut self, scan: &Scan, state: &State) -> std::result::Result<(), Damage> {
        let progressive = self.frame.is_progressive();
        let (first, last) = if progressive { scan.band } else { (0, 63) };
        let (before, low) = if progressive { (scan.bits_before, scan.low_bit) } else { (0, 0) };
        let valid = last < 64
            && first <= last
            && (first > 0 || last == 0 || !progressive)
            && (first == 0 || scan.components.len() == 1)
            && low <= 13
            && (before == 0 || before == low + 1);
        if !valid {
            return Err("the header of a progressive scan is invalid");
        }
        for component in &scan.components {
            let number = usize::from(self.frame.components[component.index].quantisation);
            let plane = &mut self.planes[component.index];
            if plane.quantisation.is_none() {
                let table = state.quantisation.get(number).copied().flatten();
                plane.quantisation = Some(table.ok_or("a quantisation table is missing")?);
            }
            let missing = &mut self.missing_bits[component.index];
            if first > 0 && missing[0].is_none() {
                return Err("the scans of the progressive image are in a wrong order");
            }
            for bits in &mut missing[first..=last] {
                if progressive && bits.unwrap_or(0) != before {
                    return Err("the scans of the progressive image are in a wrong order");
                }
                *bits = Some(low);
            }
        }
        Ok(())
    }

    /// Reads a scan whose coefficients are kept.
    fn read_scan(&mut self, decoder: &mut ScanDecoder) -> std::result::Result<(), Damage> {
        if let [component] = &decoder.scan.components[..] {
            let plane = &mut self.planes[component.index];
            let rows = plane.height.div_ceil(8);
            return decoder.single_rows(plane, 0..rows);
        }
        for row in 0..self.mcus.1 {
            decoder.interleaved_row(&mut self.planes, row, self.mcus.0)?;
        }
        Ok(())
    }

    /// Reads the one scan of an image, and computes its samples as they come.
    fn read_only_scan(&mut self, decoder: &mut ScanDecoder) -> std::result::Result<(), Failure> {
        for row in 0..self.mcus.1 {
            for plane in &mut self.planes {
                plane.coefficients.fill([0; 64]);
            }
            if let [plane] = &mut self.planes[..] {
                decoder.single_rows(plane, 0..1)?;
            } else {
                decoder.interleaved_row(&mut self.planes, 0, self.mcus.0)?;
            }
            self.finish_row(row, 0)?;
        }
        Ok(())
    }

    /// Computes the samples of a row of MCUs, whose coefficients are at row `stored`, and the rows of the image that are complete
    /// by it.
    fn finish_row(&mut self, row: usize, stored: usize) -> std::result::Result<(), Damage> {
        let mut context = 0;
        for plane in &mut self.planes {
            plane.compute_samples(row, stored * plane.sampling.1 * plane.blocks_per_row)?;
            context = context.max(plane.context());
        }
        let height = self.frame.height as usize;
        let below = 8 * self.frame.max_sampling().1 as usize * (row + 1);
        let end = if row + 1 == self.mcus.1 { height } else { below - context };
        while self.rows < end {
            self.append_row(self.rows);
            self.rows += 1;
        }
        Ok(())
    }

    /// Appends a row of the image to `samples`, which has the capacity for all.
    fn append_row(&mut self, y: usize) {
        let width = self.frame.width as usize;
        let start = self.samples.len();
        let mut rows: Vec<&[u8]> = self.planes.iter_mut().map(|plane| &plane.row(y)[..width]).collect();
        self.samples.resize(start + width * rows.len(), 0);
        let out = &mut self.samples[start..];
        match (&mut rows[..], self.components) {
            ([only], _) => out.copy_from_slice(only),
            ([luma, blue, red], Components::YCbCr) => kernels::ycbcr_to_rgb(luma, blue, red, out),
            (rows, components) => {
                let count = rows.len();
                for (i, row) in rows.iter().enumerate() {
                    out.iter_mut().skip(i).step_by(count).zip(*row).for_each(|(out, sample)| *out = *sample);
                }
                if components == Components::Ycck {
                    ycck_to_cmyk(out);
                }
            }
        }
    }
}

/// Luma, differences of colour and black to inks, in place.
fn ycck_to_cmyk(pixels: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks_mut::<4>();
    for [a, b, c, _] in pixels {
        let mut rgb = [0; 3];
        kernels::ycbcr_to_rgb(&[*a], &[*b], &[*c], &mut rgb);
        [*a, *b, *c] = rgb.map(|channel| 255 - channel);
    }
}

/// Reads the tables of a JPEG that has nothing else.
fn read_tables(state: &mut State, bytes: &[u8]) -> std::result::Result<(), Damage> {
    let mut at = 2;
    while let Some(after) = next_marker(bytes, at) {
        at = after;
        match bytes[at - 1] {
            0xd9 | 0xda => break,
            0x01 | 0xd0..=0xd8 => continue,
            marker => {
                let segment = segment(bytes, at).ok_or("its tables are cut off")?;
                at += segment.len() + 2;
                state.read(marker, segment)?;
            }
        }
    }
    Ok(())
}

impl State {
    /// Reads a segment with tables; others are ignored.
    fn read(&mut self, marker: u8, segment: &[u8]) -> std::result::Result<(), Damage> {
        match marker {
            0xc4 => self.read_huffman(segment).ok_or("a Huffman table is invalid"),
            0xdb => self.read_quantisation(segment).ok_or("a quantisation table is invalid"),
            0xdd => {
                let interval = segment.first_chunk::<2>().ok_or("a restart interval is cut off")?;
                self.restart_interval = usize::from(u16::from_be_bytes(*interval));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read_huffman(&mut self, mut rest: &[u8]) -> Option<()> {
        while let Some((&class_and_number, after)) = rest.split_first() {
            let (counts, after) = after.split_first_chunk::<16>()?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, after) = after.split_at_checked(total)?;
            let table = HuffmanTable::new(counts, symbols).ok()?;
            let tables = if class_and_number >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(class_and_number & 15))? = Some(table);
            rest = after;
        }
        Some(())
    }

    fn read_quantisation(&mut self, mut rest: &[u8]) -> Option<()> {
        while let Some((&precision_and_number, after)) = rest.split_first() {
            let size = if precision_and_number >> 4 == 0 { 1 } else { 2 };
            let (values, after) = after.split_at_checked(64 * size)?;
            let mut table = [0; 64];
            for (k, value) in values.chunks_exact(size).enumerate() {
                let value = value.iter().fold(0u16, |value, byte| value << 8 | u16::from(*byte));
                table[usize::from(ZIGZAG[k])] = value;
            }
            *self.quantisation.get_mut(usize::from(precision_and_number & 15))? = Some(table);
            rest = after;
        }
        Some(())
    }
}
