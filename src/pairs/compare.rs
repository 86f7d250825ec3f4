//! Rows that fit in memory: split for as long as it saves comparisons, then compared.

use super::reach::{project, Reach};
use super::rows::Rows;
use super::sketch::{may_be_pair, Sketch, Sketcher};
use super::split::Split;
use super::{Found, Guest, MAX_DEPTH};
use crate::error::Result;
use crate::memory;
use crate::space::{embedding_distance, squared_l2_f16};

/// So few rows are compared rather than split.
const MAX_COMPARED: usize = 768;
/// Rows that a split is chosen by.
const SAMPLE: usize = 96;

/// What pairs are wanted, and what to do with them.
pub struct Comparison<'a> {
    pub threshold: f64,
    pub reach: Reach,
    pub wait: &'a mut dyn FnMut(),
    pub found: &'a mut Found<'a>,
}

/// A row, and the splits that it is a guest of here.
#[derive(Clone, Copy)]
struct Member {
    row: u32,
    guest: Guest,
}

/// A row that is compared with others: first by its sketch.
struct Compared {
    sketch: Sketch,
    member: Member,
}

impl Comparison<'_> {
    /// Finds all pairs of some rows, which have been split `depth` times.
    ///
    /// # Errors
    /// Those of `found`; [`crate::error::Kind::OutOfMemory`].
    pub fn all(&mut self, rows: &Rows, depth: u32) -> Result<()> {
        let members = (0..rows.len()).map(|row| Member { row: row as u32, guest: rows.guest(row) });
        self.members(rows, memory::collect(members)?, depth)
    }

    fn members(&mut self, rows: &Rows, members: Vec<Member>, depth: u32) -> Result<()> {
        (self.wait)();
        let step = members.len().div_ceil(SAMPLE).max(1);
        let sample = memory::collect(members.iter().step_by(step).map(|member| member.row))?;
        let split = Split::best(rows, &sample, &self.reach)?;
        let split = match split {
            Some(split) if members.len() > MAX_COMPARED && depth < MAX_DEPTH => split,
            _ => return self.compare(rows, &members, split.map(|split| split.vector)),
        };
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for Member { row, guest } in members {
            let (left, right) = split.sides(project(rows, row as usize, &split.vector), &self.reach);
            if left {
                memory::push(&mut lefts, Member { row, guest: guest | Guest::from(right) << depth })?;
            }
            if right {
                memory::push(&mut rights, Member { row, guest })?;
            }
        }
        self.members(rows, lefts, depth + 1)?;
        self.members(rows, rights, depth + 1)
    }

    /// Compares rows with those that are near them on a line, in the direction `first` if there is one.
    fn compare(&mut self, rows: &Rows, members: &[Member], first: Option<Vec<f32>>) -> Result<()> {
        let sketcher = Sketcher::new(rows, members.iter().map(|member| member.row as usize), first)?;
        let sketched = members
            .iter()
            .map(|&member| Compared { sketch: sketcher.sketch(rows, member.row as usize), member });
        let mut compared = memory::collect(sketched)?;
        compared.sort_unstable_by(|a, b| a.sketch[0].total_cmp(&b.sketch[0]));
        let order = selective_order(rows, members, &self.reach)?;
        for (i, a) in compared.iter().enumerate() {
            (self.wait)();
            for b in &compared[i + 1..] {
                if b.sketch[0] - a.sketch[0] > self.reach.projection {
                    break;
                }
                if a.member.guest & b.member.guest == 0 && may_be_pair(&a.sketch, &b.sketch, &self.reach) {
                    self.pair(rows, a.member.row as usize, b.member.row as usize, &order)?;
                }
            }
        }
        Ok(())
    }

    /// Computes the distance of two rows, subspace by subspace until it is too great, and calls `found` if it is not.
    fn pair(&mut self, rows: &Rows, a: usize, b: usize, order: &[usize]) -> Result<()> {
        let (one, other, mut sum) = (rows.embedding(a), rows.embedding(b), 0.0);
        for &k in order {
            let range = rows.layout().range(k);
            sum += squared_l2_f16(&one.values[range.clone()], &other.values[range]);
            if sum > self.reach.squared {
                return Ok(());
            }
        }
        let distance = embedding_distance(one, other)?;
        if distance > self.threshold {
            return Ok(());
        }
        match rows.id(a).cmp(rows.id(b)) {
            std::cmp::Ordering::Less => (self.found)(rows.id(a), rows.id(b), distance),
            std::cmp::Ordering::Greater => (self.found)(rows.id(b), rows.id(a), distance),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }
}

/// The subspaces, those first in which rows are farthest apart, as far as that counts.
fn selective_order(rows: &Rows, members: &[Member], reach: &Reach) -> Result<Vec<usize>> {
    let step = (members.len() / 32).max(1);
    let mut gains = memory::filled(0.0, rows.layout().subspaces())?;
    for (a, b) in members.iter().step_by(step).zip(members.iter().step_by(step).skip(1)) {
        for (k, gain) in gains.iter_mut().enumerate() {
            let range = rows.layout().range(k);
            let (a, b) = (rows.values(a.row as usize), rows.values(b.row as usize));
            *gain += squared_l2_f16(&a[range.clone()], &b[range]).min(reach.squared);
        }
    }
    let mut order = memory::collect(0..gains.len())?;
    order.sort_by(|&a, &b| gains[b].total_cmp(&gains[a]));
    Ok(order)
}
