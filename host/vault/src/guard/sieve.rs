//! Tells quickly where in a text a form can't be.

/// How many bytes are looked at together.
const GRAM: usize = 4;
/// Forms shorter than this leave too little to skip.
const MIN_FORM: usize = 8;
/// No more of a form than its first bytes is looked for.
const MAX_FORM: usize = 48;
/// How many bits there are for each gram: so few false answers come (one of 64),
/// at first.
const BITS_PER_GRAM: usize = 64;
/// 512 KiB: more would not stay in a core's cache.
const MAX_BITS: usize = 1 << 22;

/// The grams (four bytes in a row) in the first bytes of some forms, as a set that
/// has no false negatives.
///
/// If a form occurs in a text, one of its grams stands at one of the positions of
/// every series of positions that are [`stride`](Self::stride) apart.
pub(super) struct Sieve {
    /// A power of two of bits.
    bits: Box<[u64]>,
    /// How far a hash is shifted to give a bit's number.
    shift: u32,
    /// Odd and random, so that nobody can choose grams that fall together.
    factor: u64,
    stride: usize,
}

crate::secret::assert_not_implemented!(Sieve: std::fmt::Debug, Clone, serde::Serialize);

impl Sieve {
    /// `None` if there is no form, or one that is too short.
    pub(super) fn new<'a>(forms: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Self> {
        let shortest = forms.clone().map(<[u8]>::len).min()?.min(MAX_FORM);
        if shortest < MIN_FORM {
            return None;
        }
        let stride = shortest - GRAM + 1;
        let grams = forms.clone().count() * stride;
        let bits = (grams * BITS_PER_GRAM)
            .next_power_of_two()
            .clamp(1 << 12, MAX_BITS);
        let mut random = [0; 8];
        crate::primitives::fill_random(&mut random);
        let mut sieve = Self {
            bits: vec![0; bits / 64].into_boxed_slice(),
            shift: 64 - bits.trailing_zeros(),
            factor: u64::from_le_bytes(random) | 1 | 1 << 63,
            stride,
        };
        for form in forms {
            for gram in form.windows(GRAM).take(stride) {
                if let Some(gram) = gram.first_chunk() {
                    let (word, bit) = sieve.place(gram);
                    if let Some(word) = sieve.bits.get_mut(word) {
                        *word |= 1 << bit;
                    }
                }
            }
        }
        Some(sieve)
    }

    /// How far apart the positions are that have to be looked at.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Looks at `from` and at every stride after it: the first position at which
    /// there may be a gram of a form, and `true`; or the first one at which the text
    /// has no gram any more, and `false`.
    pub(super) fn next_candidate(&self, text: &[u8], from: usize) -> (usize, bool) {
        let mut at = from;
        while let Some(gram) = text.get(at..).and_then(<[u8]>::first_chunk) {
            let (word, bit) = self.place(gram);
            if self.bits.get(word).is_none_or(|word| word >> bit & 1 == 1) {
                return (at, true);
            }
            at += self.stride;
        }
        (at, false)
    }

    fn place(&self, gram: &[u8; GRAM]) -> (usize, u32) {
        let hash = u64::from(u32::from_le_bytes(*gram)).wrapping_mul(self.factor) >> self.shift;
        // Fewer than 2^22.
        ((hash >> 6) as usize, (hash & 63) as u32)
    }
}
