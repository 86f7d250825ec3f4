//! The loops compiled once per instruction set (portable, AVX2, AVX-512), and the choice of the best at run time.

use super::depthwise::{self, GatherCall};
use super::passes;
use super::product::{self, ProductTile, REGISTERS, ROW_PITCH};
use super::shared::ColumnBlock;
use super::tap_plan::{Run, TapPlan, TapRuns};
use super::transpose;
use crate::model::cpu::kernels::vector;
use std::ops::Range;
use std::sync::LazyLock;

/// A loop over one tile of a product.
type TileLoop = unsafe fn(&ProductTile);
type AffineLoop = fn(&mut [f32], &[f32], Option<&[f32]>, [f32; 2], (f32, f32));
type MaskLoop = fn(&mut [f32], &[f32], (f32, f32)) -> f64;
type SlopeLoop = fn(&mut [f32], &[f32], &[f32], &[f32]);
type TransposeLoop = unsafe fn(&[f32], usize, [usize; 2], &mut [f32], usize);

/// The loops for one instruction set.
pub struct Loops {
    /// Name of the instruction set.
    pub name: &'static str,
    /// Maximum number of rows of a product's tile.
    pub rows: usize,
    /// Columns of a product's tile.
    pub columns: usize,
    /// Numbers in a vector register.
    lanes: usize,
    /// `product[rows - 1][A is in rows][more than one register]`.
    product: &'static [[[TileLoop; REGISTERS]; 2]],
    transpose: TransposeLoop,
    gather: unsafe fn(&GatherCall<'_>),
    tap_sum: unsafe fn(*const f32, *const f32, &[Run]) -> f32,
    affine: AffineLoop,
    mask: MaskLoop,
    add: fn(&mut [f32], &[f32]),
    add_squares: fn(&mut [f32], &[f32], &[f32]),
    add_slope: SlopeLoop,
    centre: fn(&mut [f32], &[f32], f32, f32, f32, f32),
    sum: fn(&[f32]) -> f64,
    squares: fn(&[f32], f32) -> f64,
    products: fn(&[f32], &[f32], f32) -> f64,
}

impl std::fmt::Debug for Loops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The best instruction set of this processor.
pub static BEST: LazyLock<&Loops> = LazyLock::new(|| available()[0]);

/// All instruction sets of this processor, the best first.
pub fn available() -> Vec<&'static Loops> {
    let mut found: Vec<&Loops> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            found.push(&avx512::LOOPS);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            found.push(&avx2::LOOPS);
        }
    }
    found.push(&portable::LOOPS);
    found
}

/// A pass compiled with the instruction set, as a safe function for the table.
macro_rules! pass {
    ([$(#[$target:meta])*], $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        pub fn $name($($argument: $type),*) $(-> $result)? {
            $(#[$target])*
            unsafe fn compiled($($argument: $type),*) $(-> $result)? {
                passes::$name($($argument),*)
            }
            // SAFETY: `available` hands out this table only on processors that have the instruction set.
            unsafe { compiled($($argument),*) }
        }
    };
}

/// Compiles every loop for one instruction set. Arguments: the module's name, the register type, the `target_feature` attribute, the
/// rows of a product's tile, and the rows of A and B in a tile of inner products. The functions may only be called on a processor with
/// the instruction set; that is why the table is only reachable through [`available`].
macro_rules! instruction_set {
    ($module:ident, $vector:ty, [$($target:tt)*], rows [$($row:literal)*], $transpose:path) => {
        mod $module {
            use super::{depthwise, passes, product, transpose, vector};
            use super::{GatherCall, Loops, ProductTile, Run, REGISTERS};
            use vector::Vector;

            pub static LOOPS: Loops = Loops {
                name: stringify!($module),
                rows: [$($row),*].len(),
                columns: REGISTERS * <$vector>::LANES,
                lanes: <$vector>::LANES,
                product: &[$([
                    [product::<false, 1, $row>, product::<false, REGISTERS, $row>],
                    [product::<true, 1, $row>, product::<true, REGISTERS, $row>],
                ]),*],
                transpose: $transpose,
                gather,
                tap_sum,
                affine,
                mask,
                add,
                add_squares,
                add_slope,
                centre,
                sum,
                squares,
                products,
            };

            $($target)*
            unsafe fn product<const IN_ROWS: bool, const WIDTH: usize, const ROWS: usize>(t: &ProductTile) {
                // SAFETY: the caller upholds the same contract, and this function enables the instruction set.
                unsafe { product::product::<$vector, IN_ROWS, WIDTH, ROWS>(t) }
            }

            $($target)*
            unsafe fn gather(c: &GatherCall<'_>) {
                // SAFETY: the caller upholds the same contract, and this function enables the instruction set.
                unsafe { depthwise::gather::<$vector>(c) }
            }

            $($target)*
            unsafe fn tap_sum(dy: *const f32, x: *const f32, runs: &[Run]) -> f32 {
                // SAFETY: the caller upholds the same contract, and this function enables the instruction set.
                unsafe { depthwise::tap_sum::<$vector>(dy, x, runs) }
            }

            pass!([$($target)*], affine(y: &mut [f32], x: &[f32], residual: Option<&[f32]>, by: [f32; 2], clamp: (f32, f32)));
            pass!([$($target)*], mask(d: &mut [f32], y: &[f32], clamp: (f32, f32)) -> f64);
            pass!([$($target)*], add(to: &mut [f32], from: &[f32]));
            pass!([$($target)*], add_squares(to: &mut [f32], x: &[f32], centre: &[f32]));
            pass!([$($target)*], add_slope(to: &mut [f32], x: &[f32], centre: &[f32], slope: &[f32]));
            pass!([$($target)*], centre(d: &mut [f32], x: &[f32], scale: f32, mean: f32, centre: f32, slope: f32));
            pass!([$($target)*], sum(x: &[f32]) -> f64);
            pass!([$($target)*], squares(x: &[f32], centre: f32) -> f64);
            pass!([$($target)*], products(d: &[f32], x: &[f32], centre: f32) -> f64);
        }
    };
}

instruction_set!(portable, vector::Portable, [], rows [1 2 3 4], transpose::plain);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx2, vector::Avx2, [#[target_feature(enable = "avx2,fma")]],
    rows [1 2 3 4 5 6], transpose::plain
);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx512, vector::Avx512, [#[target_feature(enable = "avx512f")]],
    rows [1 2 3 4 5 6 7 8 9 10 11 12 13 14], transpose::avx512
);

/// One tile of a product `A·B`, and what happens to the sums.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// `[depth, rows]` of A, or, if `in_rows`, `[rows, depth]` with [`ROW_PITCH`] numbers from one row to the next.
    pub a: &'a [f32],
    /// How A lies in memory.
    pub in_rows: bool,
    /// `[depth, columns]` of B, padded to [`Loops::columns`].
    pub b: &'a [f32],
    /// The number of products in each sum.
    pub depth: usize,
    /// Whether the sums are added to what the result holds.
    pub add: bool,
    /// One number per row of the whole result, added to all of that row.
    pub bias: Option<&'a [f32]>,
    /// Added to the result, whose shape it has.
    pub residual: Option<&'a [f32]>,
    /// The interval that the result is clamped to.
    pub clamp: (f32, f32),
}

impl Loops {
    /// Computes `rows` and `columns` of the result of a product.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn product(
        &self,
        p: &Product<'_>,
        to: &mut ColumnBlock<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let whole = to.rows() * to.pitch();
        assert!(
            (1..=self.rows).contains(&rows.len())
                && columns.len() <= self.columns
                && p.a.len()
                    >= if p.in_rows { (rows.len() - 1) * ROW_PITCH + p.depth } else { p.depth * rows.len() }
                && p.b.len() >= p.depth * self.columns
                && p.bias.is_none_or(|b| b.len() >= rows.end)
                && p.residual.is_none_or(|r| r.len() == whole),
            "shapes of a product that do not fit"
        );
        let pitch = to.pitch();
        let (at, address) = to.pointer(rows.clone(), columns.clone());
        let tile = ProductTile {
            a: p.a.as_ptr(),
            b: p.b.as_ptr(),
            depth: p.depth,
            to: address,
            pitch,
            columns: columns.len(),
            add: p.add,
            bias: p.bias.map_or(std::ptr::null(), |b| b[rows.start..].as_ptr()),
            residual: p.residual.map_or(std::ptr::null(), |r| r[at..].as_ptr()),
            clamp: p.clamp,
        };
        // SAFETY: the processor has the instruction set (see `available`), the assertion above covers everything that is read, and
        // `pointer` is valid for the rectangle that is written, which no other task can reach.
        unsafe {
            self.product[rows.len() - 1][usize::from(p.in_rows)][usize::from(columns.len() > self.lanes)](
                &tile,
            );
        };
    }

    /// Writes the transpose of `from`, a matrix of this shape whose rows are `pitch` numbers apart, with rows `to_pitch` numbers apart.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn transpose(
        &self,
        from: &[f32],
        pitch: usize,
        [rows, columns]: [usize; 2],
        to: &mut [f32],
        to_pitch: usize,
    ) {
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(
            columns <= pitch
                && rows <= to_pitch
                && from.len() >= (rows - 1) * pitch + columns
                && to.len() >= (columns - 1) * to_pitch + rows,
            "a matrix beyond the end of its slice"
        );
        // SAFETY: the processor has the instruction set (see `available`), and both matrices lie within their slices.
        unsafe { (self.transpose)(from, pitch, [rows, columns], to, to_pitch) };
    }

    /// Computes an output channel `to` from an input channel and its filter.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn gather(
        &self,
        plan: &TapPlan,
        x: &[f32],
        weights: &[f32],
        to: &mut [f32],
        bias: f32,
        clamp: (f32, f32),
    ) {
        assert!(
            x.len() == plan.reads
                && weights.len() == plan.weights
                && to.len() == plan.ends.len() * plan.numbers,
            "shapes of a depthwise convolution that do not fit"
        );
        let (x, weights, to) = (x.as_ptr(), weights.as_ptr(), to.as_mut_ptr());
        // SAFETY: the processor has the instruction set (see `available`), and the slices have the lengths within which all taps and
        // pixels of the plan lie.
        unsafe { (self.gather)(&GatherCall { plan, x, weights, to, bias, clamp }) };
    }

    /// Writes the gradient of a channel's filter, from its input `x` and the gradient `dy` of its result.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn tap_sums(&self, runs: &TapRuns, x: &[f32], dy: &[f32], to: &mut [f32]) {
        assert!(
            [x.len(), dy.len()] == runs.lengths && to.len() == runs.ends.len(),
            "shapes of a depthwise convolution that do not fit"
        );
        let mut first = 0;
        for (to, end) in to.iter_mut().zip(&runs.ends) {
            // SAFETY: the processor has the instruction set (see `available`), and the slices have the lengths within which all runs
            // lie.
            *to = unsafe { (self.tap_sum)(dy.as_ptr(), x.as_ptr(), &runs.runs[first..*end]) };
            first = *end;
        }
    }
}

/// The loops that read and write slices as they are.
impl Loops {
    /// `y = clamp(x · scale + shift + residual)`; `by` is scale and shift.
    pub fn affine(
        &self,
        y: &mut [f32],
        x: &[f32],
        residual: Option<&[f32]>,
        by: [f32; 2],
        clamp: (f32, f32),
    ) {
        (self.affine)(y, x, residual, by, clamp);
    }

    /// Zeroes `d` where the activation has clamped `y` to the ends of the interval; returns the sum of what is left.
    pub fn mask(&self, d: &mut [f32], y: &[f32], clamp: (f32, f32)) -> f64 {
        (self.mask)(d, y, clamp)
    }

    /// `to += from`.
    pub fn add(&self, to: &mut [f32], from: &[f32]) {
        (self.add)(to, from);
    }

    /// `to += (x − centre)²`.
    pub fn add_squares(&self, to: &mut [f32], x: &[f32], centre: &[f32]) {
        (self.add_squares)(to, x, centre);
    }

    /// `to += (x − centre) slope`.
    pub fn add_slope(&self, to: &mut [f32], x: &[f32], centre: &[f32], slope: &[f32]) {
        (self.add_slope)(to, x, centre, slope);
    }

    /// `d = scale (d − mean − (x − centre) slope)`.
    pub fn centre(&self, d: &mut [f32], x: &[f32], [scale, mean, centre, slope]: [f32; 4]) {
        (self.centre)(d, x, scale, mean, centre, slope);
    }

    /// Σ xᵢ.
    pub fn sum(&self, x: &[f32]) -> f64 {
        (self.sum)(x)
    }

    /// Σ (xᵢ − centre)².
    pub fn squares(&self, x: &[f32], centre: f32) -> f64 {
        (self.squares)(x, centre)
    }

    /// Σ dᵢ (xᵢ − centre).
    pub fn products(&self, d: &[f32], x: &[f32], centre: f32) -> f64 {
        (self.products)(d, x, centre)
    }
}

/// `count` things in groups of nearly equal size, at most `most` each: where each starts, and its size.
pub fn groups(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let groups = count.div_ceil(most).max(1);
    (0..groups).map(move |i| {
        let start = i * count / groups;
        (start, (i + 1) * count / groups - start)
    })
}
