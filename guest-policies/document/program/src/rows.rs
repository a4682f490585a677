//! Numbers of what stands in an array, and rows in one.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Invalid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub u32);

        impl $name {
            pub(crate) fn new(index: usize) -> Self {
                Self($crate::rows::number(index))
            }

            pub(crate) fn index(self) -> usize {
                $crate::rows::index(self.0)
            }
        }
    )* };
}

pub(crate) use ids;

/// What stands in a row in one of the arrays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The first.
    pub from: u32,
    /// How many.
    pub count: u32,
}

impl Row {
    /// What is added at an array's end.
    pub(crate) fn add<T: Copy>(array: &mut Vec<T>, all: &[T]) -> Self {
        let from = number(array.len());
        array.extend_from_slice(all);
        let count = number(all.len());
        Self { from, count }
    }

    /// What stands there in an array. Errors: not all of it does.
    pub(crate) fn of<T>(self, array: &[T]) -> Result<&[T], Invalid> {
        let from = index(self.from);
        let to = from.checked_add(index(self.count)).ok_or(Invalid::Index)?;
        array.get(from..to).ok_or(Invalid::Index)
    }
}

pub(crate) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(crate) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
