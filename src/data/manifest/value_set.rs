//! The values of one attribute that an image shows: none, one, or several where the attribute is declared so.

use std::fmt::{Debug, Formatter};

/// Indices into [`AttributeEntry::values`](super::AttributeEntry::values), sorted and distinct. Nothing is allocated for none and for one.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueSet(Values);

#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Values {
    #[default]
    None,
    One([u32; 1]),
    /// At least two.
    Several(Box<[u32]>),
}

impl ValueSet {
    /// The values, sorted.
    pub fn as_slice(&self) -> &[u32] {
        match &self.0 {
            Values::None => &[],
            Values::One(value) => value,
            Values::Several(values) => values,
        }
    }

    /// The values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.as_slice().iter().copied()
    }

    /// Whether the image has no value of the attribute.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// The value, if there is exactly one.
    pub fn single(&self) -> Option<u32> {
        match self.0 {
            Values::One([value]) => Some(value),
            _ => None,
        }
    }

    /// Whether the image shows this value.
    pub fn contains(&self, value: u32) -> bool {
        self.as_slice().contains(&value)
    }

    /// Whether both have a value in common. This is what "the same label" means wherever images are compared with each other.
    pub fn shares_value(&self, other: &Self) -> bool {
        self.iter().any(|value| other.contains(value))
    }
}

impl FromIterator<u32> for ValueSet {
    fn from_iter<T: IntoIterator<Item = u32>>(values: T) -> Self {
        let mut values: Vec<u32> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        Self(match values[..] {
            [] => Values::None,
            [value] => Values::One([value]),
            _ => Values::Several(values.into()),
        })
    }
}

impl From<Option<u32>> for ValueSet {
    fn from(value: Option<u32>) -> Self {
        Self(value.map_or(Values::None, |value| Values::One([value])))
    }
}

impl PartialEq<Option<u32>> for ValueSet {
    fn eq(&self, other: &Option<u32>) -> bool {
        self.as_slice() == other.as_slice()
    }
}

/// None and one as an `Option` shows them: checkpoints and finished experiments are recognised by a digest of this text, and those of
/// sets without several values stay valid.
impl Debug for ValueSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Values::None => f.write_str("None"),
            Values::One([value]) => f.debug_tuple("Some").field(value).finish(),
            Values::Several(values) => f.debug_set().entries(values.iter()).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[u32]) -> ValueSet {
        values.iter().copied().collect()
    }

    #[test]
    fn a_set_is_sorted_and_distinct() {
        assert_eq!(set(&[3, 1, 3]).as_slice(), [1, 3]);
        assert_eq!((set(&[2, 2]), set(&[])), (Some(2).into(), ValueSet::default()));
        assert_eq!([set(&[2]).single(), set(&[]).single(), set(&[1, 2]).single()], [Some(2), None, None]);
    }

    #[test]
    fn labels_are_the_same_if_they_share_a_value() {
        assert!(set(&[0, 2]).shares_value(&set(&[2, 5])) && set(&[2]).shares_value(&set(&[0, 2])));
        assert!(!set(&[0, 2]).shares_value(&set(&[1])) && !set(&[]).shares_value(&set(&[])));
    }

    /// Digests of checkpoints hash this text.
    #[test]
    fn none_and_one_are_written_as_an_option_is() {
        for value in [None, Some(7)] {
            assert_eq!(format!("{:?}", vec![ValueSet::from(value)]), format!("{:?}", vec![value]));
        }
        assert_eq!(format!("{:?}", set(&[2, 1])), "{1, 2}");
    }
}
