//! One scan of a Huffman-coded JPEG: bits to coefficients, sequential and progressive (sections F.2 and G.2 of the standard).

use super::bits::{extend, BitReader, Damage, HuffmanTable, TOO_MANY, ZIGZAG};
use super::planes::Plane;

/// A component in a scan.
pub(super) struct ScanComponent {
    /// Its place in the frame.
    pub(super) index: usize,
    /// Numbers of its tables.
    pub(super) dc_table: usize,
    pub(super) ac_table: usize,
    /// The last value of the first coefficient.
    predicted: i32,
}

/// The header of a scan.
pub(super) struct Scan {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient.
    pub(super) band: (usize, usize),
    /// Bits below those that earlier scans had, and below those that this one has.
    pub(super) bits_before: u8,
    pub(super) low_bit: u8,
}

impl Scan {
    /// Parses a scan's header for a frame with these component ids.
    pub(super) fn parse(segment: &[u8], ids: &[u8]) -> Option<Self> {
        let (count, rest) = segment.split_first()?;
        let (selectors, rest) = rest.split_at_checked(2 * usize::from(*count))?;
        let mut components: Vec<ScanComponent> = Vec::new();
        for selector in selectors.chunks_exact(2) {
            // Where ids repeat, each selector means the next.
            let used = |i: usize| components.iter().any(|c| c.index == i);
            let index = (0..ids.len()).find(|i| ids[*i] == selector[0] && !used(*i))?;
            let (dc_table, ac_table) = (usize::from(selector[1] >> 4), usize::from(selector[1] & 15));
            components.push(ScanComponent { index, dc_table, ac_table, predicted: 0 });
        }
        let [first, last, bits, ..] = *rest else { return None };
        if components.is_empty() || dc_or_ac_out_of_range(&components) {
            return None;
        }
        let band = (usize::from(first), usize::from(last));
        Some(Self { components, band, bits_before: bits >> 4, low_bit: bits & 15 })
    }
}

fn dc_or_ac_out_of_range(components: &[ScanComponent]) -> bool {
    components.iter().any(|c| c.dc_table > 3 || c.ac_table > 3)
}

/// Huffman tables by number.
pub(super) type Tables = [Option<HuffmanTable>; 4];

const NO_TABLE: Damage = "a scan uses a Huffman table that the file does not have";

/// Decodes a scan block by block.
pub(super) struct ScanDecoder<'a, 't> {
    pub(super) scan: Scan,
    pub(super) bits: BitReader<'a>,
    tables: Vec<(Option<&'t HuffmanTable>, Option<&'t HuffmanTable>)>,
    /// MCUs between restart markers; 0 if there are none.
    restart_interval: usize,
    until_restart: usize,
    next_restart: u8,
    /// Blocks that are left of a run of blocks without any coefficients.
    end_of_band_run: u32,
    progressive: bool,
}

impl<'a, 't> ScanDecoder<'a, 't> {
    pub(super) fn new(
        scan: Scan,
        bits: BitReader<'a>,
        (dc, ac): (&'t Tables, &'t Tables),
        restart_interval: usize,
        progressive: bool,
    ) -> Result<Self, Damage> {
        let mut tables = Vec::new();
        for component in &scan.components {
            let (dc, ac) = (dc[component.dc_table].as_ref(), ac[component.ac_table].as_ref());
            let needs_dc = !progressive || scan.band.0 == 0 && scan.bits_before == 0;
            let needs_ac = !progressive || scan.band.0 > 0;
            if needs_dc && dc.is_none() || needs_ac && ac.is_none() {
                return Err(NO_TABLE);
            }
            tables.push((dc, ac));
        }
        Ok(Self {
            scan,
            bits,
            tables,
            restart_interval,
            until_restart: restart_interval,
            next_restart: 0,
            end_of_band_run: 0,
            progressive,
        })
    }

    /// Decodes one row of MCUs of an interleaved scan, whose coefficients begin at row `row` of MCUs in `planes`.
    pub(super) fn interleaved_row(
        &mut self,
        planes: &mut [Plane],
        row: usize,
        mcus: usize,
    ) -> Result<(), Damage> {
        for mcu in 0..mcus {
            self.begin_mcu()?;
            for i in 0..self.scan.components.len() {
                let plane = &mut planes[self.scan.components[i].index];
                let (across, down) = plane.sampling;
                for y in 0..down {
                    let first = (row * down + y) * plane.blocks_per_row + mcu * across;
                    for block in &mut plane.coefficients[first..first + across] {
                        self.block(i, block)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Decodes `rows` rows of blocks of a scan of one component, which has only the blocks with pixels.
    pub(super) fn single_rows(
        &mut self,
        plane: &mut Plane,
        rows: std::ops::Range<usize>,
    ) -> Result<(), Damage> {
        for row in rows {
            let first = row * plane.blocks_per_row;
            for block in &mut plane.coefficients[first..first + plane.width.div_ceil(8)] {
                self.begin_mcu()?;
                self.block(0, block)?;
            }
        }
        Ok(())
    }

    fn begin_mcu(&mut self) -> Result<(), Damage> {
        if self.restart_interval == 0 {
            return Ok(());
        }
        if self.until_restart == 0 {
            self.bits.restart(self.next_restart)?;
            self.next_restart = (self.next_restart + 1) % 8;
            self.until_restart = self.restart_interval;
            self.end_of_band_run = 0;
            self.scan.components.iter_mut().for_each(|component| component.predicted = 0);
        }
        self.until_restart -= 1;
        Ok(())
    }

    #[inline(always)]
    fn block(&mut self, component: usize, block: &mut [i16; 64]) -> Result<(), Damage> {
        if !self.progressive {
            block[0] = self.first_coefficient(component)? as i16;
            if let Some(table) = self.tables[component].1 {
                self.bits.ac_coefficients(table, block)?;
            }
            return self.bits.check();
        }
        match (self.scan.band.0, self.scan.bits_before) {
            (0, 0) => block[0] = (self.first_coefficient(component)? << self.scan.low_bit) as i16,
            (0, _) => {
                if self.bits.bit() {
                    block[0] |= 1 << self.scan.low_bit;
                }
            }
            (_, 0) => self.first_band(component, block)?,
            _ => self.refined_band(component, block)?,
        }
        self.bits.check()
    }

    #[inline(always)]
    fn first_coefficient(&mut self, component: usize) -> Result<i32, Damage> {
        let Some(table) = self.tables[component].0 else { return Err(NO_TABLE) };
        let size = u32::from(self.bits.symbol(table)?);
        if size > 15 {
            return Err("a coefficient is out of range");
        }
        let difference = extend(self.bits.take(size), size);
        let predicted = &mut self.scan.components[component].predicted;
        *predicted = predicted.wrapping_add(i32::from(difference));
        Ok(*predicted)
    }

    /// The highest bits of a band of coefficients.
    fn first_band(&mut self, component: usize, block: &mut [i16; 64]) -> Result<(), Damage> {
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            return Ok(());
        }
        let Some(table) = self.tables[component].1 else { return Err(NO_TABLE) };
        let (mut k, last) = self.scan.band;
        while k <= last {
            let symbol = self.bits.symbol(table)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 {
                if run < 15 {
                    self.end_of_band_run = (1 << run) - 1 + self.bits.take(run as u32);
                    return Ok(());
                }
                k += 16;
                continue;
            }
            k += run;
            if k > last {
                return Err(TOO_MANY);
            }
            block[usize::from(ZIGZAG[k]) & 63] = extend(self.bits.take(size), size) << self.scan.low_bit;
            k += 1;
        }
        if k > last + 1 {
            return Err(TOO_MANY);
        }
        Ok(())
    }

    /// The next bit of a band: of coefficients that are not zero, and of some that become so.
    fn refined_band(&mut self, component: usize, block: &mut [i16; 64]) -> Result<(), Damage> {
        let Some(table) = self.tables[component].1 else { return Err(NO_TABLE) };
        let one = 1i16 << self.scan.low_bit;
        let (mut k, last) = self.scan.band;
        if self.end_of_band_run == 0 {
            while k <= last {
                let symbol = self.bits.symbol(table)?;
                let (mut zeros, size) = (u32::from(symbol >> 4), symbol & 15);
                let mut value = 0;
                match size {
                    0 if zeros < 15 => {
                        self.end_of_band_run = (1 << zeros) + self.bits.take(zeros);
                        break;
                    }
                    0 => {}
                    1 => value = if self.bits.bit() { one } else { -one },
                    _ => return Err("a refined coefficient is out of range"),
                }
                // Refines what is not zero, passes as many zeros as the run says, and stops at the next.
                while k <= last {
                    let coefficient = &mut block[usize::from(ZIGZAG[k]) & 63];
                    if *coefficient != 0 {
                        self.bits_of(coefficient, one);
                    } else if zeros == 0 {
                        *coefficient = value;
                        k += 1;
                        break;
                    } else {
                        zeros -= 1;
                    }
                    k += 1;
                }
            }
        }
        if self.end_of_band_run > 0 {
            for k in k..=last {
                let coefficient = &mut block[usize::from(ZIGZAG[k]) & 63];
                if *coefficient != 0 {
                    self.bits_of(coefficient, one);
                }
            }
            self.end_of_band_run -= 1;
        }
        Ok(())
    }

    /// Reads the next bit of a coefficient that is not zero.
    #[inline(always)]
    fn bits_of(&mut self, coefficient: &mut i16, one: i16) {
        if self.bits.bit() && *coefficient & one == 0 {
            *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { one } else { -one });
        }
    }
}
