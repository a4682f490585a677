//! How keys are derived from others: HKDF (RFC 5869) with SHA-256, here and nowhere else.

use aws_lc_rs::hkdf;

use crate::memory::burn_stack;

/// How much is derived.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// More was asked for than can be derived at once: 255 times 32 bytes (RFC 5869,
/// section 2.3).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Fills `into` with what follows from a key (`IKM`), a salt and what it is for
/// (`info`, whose parts count as one text). It leaves no trace of the key on the stack.
///
/// Errors: [`TooLong`]; `into` is as it was.
pub(crate) fn derive(
    key: &[u8],
    salt: &[u8],
    info: &[&[u8]],
    into: &mut [u8],
) -> Result<(), TooLong> {
    let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(key)
        .expand(info, Length(into.len()))
        .and_then(|okm| okm.fill(into));
    burn_stack();
    derived.map_err(|_| TooLong)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use data_encoding::HEXLOWER;

    use super::*;

    fn derived(key: &[u8], salt: &[u8], info: &[&[u8]], length: usize) -> String {
        let mut into = vec![0; length];
        derive(key, salt, info, &mut into).unwrap();
        HEXLOWER.encode(&into)
    }

    /// RFC 5869, appendix A: the test cases with SHA-256, whole. The others are with
    /// SHA-1, which derives nothing here.
    #[test]
    fn keys_are_those_of_rfc_5869() {
        let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        // A.1; `info` may come in parts.
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
                        34007208d5b887185865";
        let (key, salt, info) = ([0x0b; 22], range(0, 0x0c), range(0xf0, 0xf9));
        assert_eq!(derived(&key, &salt, &[&info], 42), expected);
        let parts = info.split_at(3);
        assert_eq!(derived(&key, &salt, &[parts.0, b"", parts.1], 42), expected);
        // A.2.
        let (key, salt, info) = (range(0, 0x4f), range(0x60, 0xaf), range(0xb0, 0xff));
        assert_eq!(
            derived(&key, &salt, &[&info], 82),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
             59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
             cc30c58179ec3e87c14c01d5c1f3434f1d87"
        );
        // A.3.
        assert_eq!(
            derived(&[0x0b; 22], b"", &[], 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d\
             9d201395faa4b61a96c8"
        );
    }

    #[test]
    fn more_than_there_is_is_not_derived() {
        let mut into = vec![7; 255 * 32 + 1];
        let longer = derive(&[1; 32], b"", &[], &mut into);
        assert_eq!(longer, Err(TooLong));
        assert!(into.iter().all(|byte| *byte == 7));
        let fits = derive(&[1; 32], b"", &[], &mut into[1..]);
        assert_eq!(fits, Ok(()), "the control");
    }
}
