//! Products of matrices whose columns are the pixels of all images, blocked for the caches and shared by the threads of rayon's pool.
//! Results depend neither on the number of threads nor on how the work is shared.

use super::kernels::{for_each_column_block, groups, ColumnBlock, Loops, Product, DEPTH, ROW_PITCH};
use super::window::Window;
use crate::model::cpu::kernels::Buffer;
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Maximum number of columns of a block: packed, [`DEPTH`] rows of it take half a megabyte of the level-2 cache.
const COLUMNS: usize = 512;

/// Parts of a long sum that are computed at the same time and then added.
const PARTS: usize = 4;

thread_local! {
    /// The packed block of the task that runs on this thread, and rows on their way there.
    static SCRATCH: RefCell<[Buffer; 2]> = RefCell::default();
}

/// A matrix whose rows can be read in runs.
pub trait Rows: Sync {
    /// Calls `put` with the runs of `columns` of a row that need not be zero, from left to right, and where they start in `columns`.
    fn runs(&self, row: usize, columns: Range<usize>, put: impl FnMut(usize, &[f32]));
}

/// A matrix in a slice.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    /// The numbers, from the first row on.
    pub numbers: &'a [f32],
    /// Numbers from one row to the next.
    pub pitch: usize,
}

impl Rows for Plain<'_> {
    fn runs(&self, row: usize, columns: Range<usize>, mut put: impl FnMut(usize, &[f32])) {
        put(0, &self.numbers[row * self.pitch..][columns]);
    }
}

/// The matrix of the input numbers under each tap of a window, `[channels·taps, output pixels]`, which is never built as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Taps<'a> {
    /// The map, `[channels, height, width, batch]`.
    pub map: &'a [f32],
    /// How the kernel moves over a channel.
    pub window: Window,
}

impl Rows for Taps<'_> {
    fn runs(&self, row: usize, columns: Range<usize>, mut put: impl FnMut(usize, &[f32])) {
        let window = &self.window;
        let (channel, tap) = (row / window.taps(), row % window.taps());
        let channel = &self.map[channel * window.input_len()..][..window.input_len()];
        for y in columns.start / window.line()..columns.end.div_ceil(window.line()) {
            window.runs(y, tap, |run| {
                let (first, end) =
                    (run.output.max(columns.start), (run.output + run.length).min(columns.end));
                if first < end {
                    put(first - columns.start, &channel[run.input + first - run.output..][..end - first]);
                }
            });
        }
    }
}

/// The left operand of [`multiply`], in the order in which the product reads it.
#[derive(Debug)]
pub struct Packed {
    numbers: Buffer,
    rows: usize,
    depth: usize,
}

impl Packed {
    /// A matrix `[rows, depth]` with the numbers `at(row, column)`.
    pub fn new(loops: &Loops, rows: usize, depth: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let mut numbers = Buffer::zeros(rows * depth);
        let mut left = &mut numbers[..rows * depth];
        let mut panels = Vec::new();
        for (k, steps) in groups(depth, DEPTH) {
            for (row, count) in groups(rows, loops.rows) {
                let panel = left.split_off_mut(..steps * count).unwrap_or_default();
                panels.push((k, row, count, panel));
            }
        }
        panels.into_par_iter().for_each(|(k, row, count, panel)| {
            for (i, to) in panel.chunks_exact_mut(count).enumerate() {
                to.iter_mut().enumerate().for_each(|(j, to)| *to = at(row + j, k + i));
            }
        });
        Self { numbers, rows, depth }
    }
}

/// What happens to the sums of a product.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// They are added to what the result holds.
    pub add: bool,
    /// One number per row, added to the whole row.
    pub bias: Option<&'a [f32]>,
    /// A matrix of the result's shape, added to it.
    pub residual: Option<&'a [f32]>,
    /// The interval that the result is clamped to.
    pub clamp: (f32, f32),
}

impl Finish<'_> {
    /// Nothing happens to the sums.
    pub const PLAIN: Self =
        Self { add: false, bias: None, residual: None, clamp: (f32::NEG_INFINITY, f32::INFINITY) };
}

/// `to = A·B`: `[rows, width]` from `[rows, depth]` and `[depth, width]`.
///
/// # Panics
/// If the result does not have that shape.
pub fn multiply(loops: &Loops, a: &Packed, b: &impl Rows, to: &mut [f32], finish: &Finish<'_>) {
    let width = to.len() / a.rows.max(1);
    if width == 0 {
        return;
    }
    // Two blocks per thread even out interruptions.
    let blocks = 2 * rayon::current_num_threads();
    let block = width.div_ceil(blocks).next_multiple_of(loops.columns).min(COLUMNS);
    for_each_column_block(to, [a.rows, width], block, |mut to| {
        SCRATCH.with_borrow_mut(|[buffer, _]| multiply_block(loops, a, b, &mut to, finish, buffer));
    });
}

fn multiply_block(
    loops: &Loops,
    a: &Packed,
    b: &impl Rows,
    to: &mut ColumnBlock<'_>,
    finish: &Finish<'_>,
    buffer: &mut Buffer,
) {
    let columns = to.columns();
    for (k, steps) in groups(a.depth, DEPTH) {
        let (first, last) = (k == 0, k + steps == a.depth);
        let panel = steps * loops.columns;
        buffer.grow(columns.len().div_ceil(loops.columns) * panel);
        for i in 0..steps {
            pack_row(loops, b, k + i, columns.clone(), buffer, [i, panel]);
        }
        for (n, from) in columns.clone().step_by(loops.columns).zip(buffer.chunks_exact(panel)) {
            let n = n..(n + loops.columns).min(columns.end);
            for (row, count) in groups(a.rows, loops.rows) {
                let product = Product {
                    a: &a.numbers[k * a.rows + row * steps..],
                    in_rows: false,
                    b: from,
                    depth: steps,
                    add: finish.add || !first,
                    bias: finish.bias.filter(|_| last),
                    residual: finish.residual.filter(|_| last),
                    clamp: if last { finish.clamp } else { Finish::PLAIN.clamp },
                };
                loops.product(&product, to, row..row + count, n.clone());
            }
        }
    }
}

/// Copies some columns of a row into row `i` of the packed panels, each of `panel` numbers; what lies between the runs is zero.
fn pack_row(
    loops: &Loops,
    b: &impl Rows,
    row: usize,
    columns: Range<usize>,
    to: &mut [f32],
    [i, panel]: [usize; 2],
) {
    let width = loops.columns;
    let mut done = 0;
    b.runs(row, columns.clone(), |start, run| {
        in_panels(to, done..start, [i, panel, width], |to, _| to.fill(0.0));
        done = start + run.len();
        in_panels(to, start..done, [i, panel, width], |to, at| copy(to, &run[at - start..]));
    });
    // Beyond the last column too, up to the end of its panel.
    in_panels(to, done..columns.len().next_multiple_of(width), [i, panel, width], |to, _| to.fill(0.0));
}

/// Fills `to` from the start of `from`. A panel's row is too short for a call of `memcpy`.
#[inline]
fn copy(to: &mut [f32], from: &[f32]) {
    const LINE: usize = 16;
    let from = &from[..to.len()];
    let (to, rest) = to.as_chunks_mut::<LINE>();
    let (from, from_rest) = from.as_chunks::<LINE>();
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    rest.copy_from_slice(from_rest);
}

/// Calls `f` with the parts of a row of the panels, and the column that each starts with.
#[inline]
fn in_panels(
    to: &mut [f32],
    columns: Range<usize>,
    [i, panel, width]: [usize; 3],
    mut f: impl FnMut(&mut [f32], usize),
) {
    let mut at = columns.start;
    while at < columns.end {
        let count = (width - at % width).min(columns.end - at);
        f(&mut to[at / width * panel + i * width + at % width..][..count], at);
        at += count;
    }
}

/// `to = A·Bᵀ`: `[rows, outputs]` from matrices of `depth` columns with so many rows.
///
/// # Panics
/// If the result does not have that shape.
pub fn multiply_transposed(
    loops: &Loops,
    a: Plain<'_>,
    b: &impl Rows,
    depth: usize,
    [rows, outputs]: [usize; 2],
    to: &mut [f32],
) {
    assert!(to.len() == rows * outputs, "a matrix of another shape");
    let block = outputs.div_ceil(outputs.div_ceil(COLUMNS)).next_multiple_of(loops.columns);
    // As many parts whatever the number of threads, so that sums are the same.
    let parts = if outputs.div_ceil(block) < PARTS { depth.div_ceil(DEPTH).clamp(1, PARTS) } else { 1 };
    let mut rest = vec![0f32; (parts - 1) * to.len()];
    let length = to.len();
    let targets: Vec<&mut [f32]> = std::iter::once(&mut *to).chain(rest.chunks_exact_mut(length)).collect();
    targets.into_par_iter().zip(groups(depth, depth.div_ceil(parts)).collect::<Vec<_>>()).for_each(
        |(to, (first, count))| {
            for_each_column_block(to, [rows, outputs], block, |mut to| {
                SCRATCH.with_borrow_mut(|scratch| {
                    transposed_block(loops, a, b, first..first + count, &mut to, scratch);
                });
            });
        },
    );
    for part in rest.chunks_exact(length) {
        loops.add(to, part);
    }
}

/// Rows that are transposed together.
const TOGETHER: usize = 16;

fn transposed_block(
    loops: &Loops,
    a: Plain<'_>,
    b: &impl Rows,
    depth: Range<usize>,
    to: &mut ColumnBlock<'_>,
    [buffer, rows]: &mut [Buffer; 2],
) {
    let (columns, width) = (to.columns(), loops.columns);
    rows.grow(TOGETHER.max(loops.rows) * ROW_PITCH);
    for (first, steps) in groups(depth.len(), DEPTH) {
        let within = depth.start + first..depth.start + first + steps;
        let panel = steps * width;
        buffer.grow(columns.len().div_ceil(width) * panel);
        for n in (0..columns.len()).step_by(TOGETHER) {
            let count = TOGETHER.min(columns.len() - n);
            for (i, to) in rows.chunks_exact_mut(ROW_PITCH).take(count).enumerate() {
                copy_row(b, columns.start + n + i, within.clone(), to);
            }
            let to = &mut buffer[n / width * panel + n % width..];
            loops.transpose(rows, ROW_PITCH, [count, steps], to, width);
        }
        for (row, count) in groups(to.rows(), loops.rows) {
            for (i, to) in rows.chunks_exact_mut(ROW_PITCH).take(count).enumerate() {
                copy_row(&a, row + i, within.clone(), to);
            }
            for (n, from) in columns.clone().step_by(width).zip(buffer.chunks_exact(panel)) {
                let n = n..(n + width).min(columns.end);
                let product = Product {
                    a: rows,
                    in_rows: true,
                    b: from,
                    depth: steps,
                    add: first > 0,
                    bias: None,
                    residual: None,
                    clamp: Finish::PLAIN.clamp,
                };
                loops.product(&product, to, row..row + count, n);
            }
        }
    }
}

/// Copies some columns of a row; what lies between the runs is zero.
fn copy_row(b: &impl Rows, row: usize, columns: Range<usize>, to: &mut [f32]) {
    let mut done = 0;
    b.runs(row, columns.clone(), |start, run| {
        to[done..start].fill(0.0);
        done = start + run.len();
        to[start..done].copy_from_slice(run);
    });
    to[done..columns.len()].fill(0.0);
}
