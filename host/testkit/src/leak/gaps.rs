//! The search for a value between whose bytes others stand.

use std::ops::Range;

/// The most bytes that may stand between two of the value's.
const MAX_GAP: usize = 3;
/// Shorter values are met by chance.
const LEAST: usize = 16;
/// As many bytes as a state has bits.
const MOST: usize = 64;

/// A value, ready to be searched for.
pub(crate) struct Gapped {
    first: u8,
    forward: Masks,
    backward: Masks,
}

/// For each byte, at which places of the value it stands.
struct Masks {
    places: Box<[u64; 256]>,
    last: u64,
}

impl Masks {
    fn new(value: impl ExactSizeIterator<Item = u8>) -> Self {
        let last = 1 << (value.len() - 1);
        let mut places = Box::new([0; 256]);
        for (index, byte) in value.enumerate() {
            places[usize::from(byte)] |= 1 << index;
        }
        Masks { places, last }
    }

    /// How many bytes are read until the value, begun with the first, is complete.
    fn run(&self, bytes: impl Iterator<Item = u8>) -> Run {
        // Bit i of the state before n bytes: the value's first i + 1 bytes end there.
        let mut before = [0_u64; MAX_GAP + 1];
        for (index, byte) in bytes.enumerate() {
            let reached = before.iter().fold(0, |all, state| all | state);
            if reached == 0 && index > 0 {
                return Run::No;
            }
            let begun = u64::from(index == 0);
            let state = ((reached << 1) | begun) & self.places[usize::from(byte)];
            if state & self.last != 0 {
                return Run::Found(index + 1);
            }
            before.rotate_right(1);
            before[0] = state;
        }
        Run::No
    }
}

enum Run {
    /// The value was complete after so many bytes.
    Found(usize),
    /// Nothing is under way any more, or the bytes ran out.
    No,
}

impl Gapped {
    /// None for a value that is too short to be told from chance. Of a long one,
    /// its middle is looked for.
    pub(crate) fn new(value: &[u8]) -> Option<Self> {
        if value.len() < LEAST {
            return None;
        }
        let length = value.len().min(MOST);
        let start = (value.len() - length) / 2;
        let value = &value[start..start + length];
        // A value of one repeated byte is in every run of it.
        if value.iter().all(|byte| byte == &value[0]) {
            return None;
        }
        Some(Gapped {
            first: value[0],
            forward: Masks::new(value.iter().copied()),
            backward: Masks::new(value.iter().rev().copied()),
        })
    }

    /// The first place where the value stands with something in between.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let mut at = 0;
        // A try that ends has seen a few bytes, and the next begins one further on,
        // so the whole is linear but for texts made of the value's own beginnings.
        while let Some(next) = memchr::memchr(self.first, bytes.get(at..)?) {
            let start = at + next;
            match self.forward.run(bytes[start..].iter().copied()) {
                Run::Found(length) => {
                    let end = start + length;
                    let back = self.backward.run(bytes[..end].iter().rev().copied());
                    let start = match back {
                        Run::Found(length) => end - length,
                        Run::No => start,
                    };
                    return Some(start..end);
                }
                Run::No => at = start + 1,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &[u8] = b"q8Zr2Lk0vTn5Xw3Y";

    fn found(text: &[u8]) -> Option<Range<usize>> {
        Gapped::new(VALUE).and_then(|value| value.find(text))
    }

    #[test]
    fn a_value_is_found_with_one_to_three_bytes_between_its_own() {
        for filler in ["-", ", ", " | ", "\0", "\0\0\0"] {
            let mut text = b"some q8Zr q q8 text: ".to_vec();
            let start = text.len();
            for byte in VALUE {
                text.push(*byte);
                text.extend_from_slice(filler.as_bytes());
            }
            text.extend_from_slice(b" and more");
            let end = start + (VALUE.len() - 1) * (filler.len() + 1) + 1;
            assert_eq!(found(&text), Some(start..end), "{filler:?}");
        }
        assert_eq!(found(b"q8Zr2Lk0\nvTn5Xw3Y"), Some(0..17));
        assert_eq!(found(VALUE), Some(0..16));
    }

    #[test]
    fn what_lacks_a_byte_or_has_too_wide_a_gap_is_not_found() {
        assert_eq!(found(b"q8Zr2Lk0----vTn5Xw3Y"), None);
        assert_eq!(found(b"q8Zr2Lk0vTn5Xw3"), None);
        assert_eq!(found(b"q8Zr2Lk0vTn5X3Yw"), None);
        assert_eq!(found(&[0; 4096]), None);
        assert!(Gapped::new(b"short").is_none());
        assert!(Gapped::new(&[b'a'; 40]).is_none());
    }

    #[test]
    fn of_a_long_value_the_middle_is_looked_for() {
        let value: Vec<u8> = (0..200_u32)
            .map(|index| b'!' + u8::try_from(index * 7 % 90).unwrap_or_default())
            .collect();
        let found = Gapped::new(&value).and_then(|long| long.find(&value));
        assert_eq!(found, Some(68..132));
    }
}
