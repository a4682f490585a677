//! Message authentication codes: HMAC (RFC 2104, FIPS 198-1) of the plain message,
//! so that any backend can check them.

use aws_lc_rs::hmac;

use crate::kind::MacAlgorithm;
use crate::live::Material;
use crate::memory::burn_stack;
use crate::permit::Permit;
use crate::secret::Secret;
use crate::uses;

/// The longest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 512 << 10;

/// Why an operation was not done, although it was permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The message is longer than [`MAX_MESSAGE_BYTES`].
    #[error("the message is longer than {MAX_MESSAGE_BYTES} bytes")]
    MessageTooLong,
    /// The data were not sealed so, or have been changed.
    #[error("the data were not sealed so, or have been changed")]
    NotSealed,
    /// The secret can't do this; its kind should have prevented the permit.
    #[error("the secret can't be used so")]
    Unavailable,
    /// The key stays in its source, which has to be asked
    /// ([`Permit::is_remote`](crate::Permit::is_remote)).
    #[error("the key stays in its source, which has to be asked")]
    Remote,
    /// The grant doesn't allow it so.
    #[error("the grant does not allow it so")]
    NotGranted,
    /// The use is not in the audit trail yet, so its source can't be asked.
    #[error("the use is not in the audit trail yet")]
    NotDurable,
    /// The key's source didn't do it.
    #[error("the key's source did not do it")]
    Failed,
}

/// A message authentication code, whole: 32, 48 or 64 bytes.
///
/// It is made to be shown to a backend, and is not a secret of ours.
pub struct Mac(Code);

enum Code {
    Here(hmac::Tag),
    Elsewhere(Box<[u8]>),
}

impl Mac {
    /// One that a key's source made.
    pub(crate) fn made_elsewhere(code: &[u8]) -> Self {
        Self(Code::Elsewhere(code.into()))
    }
}

impl AsRef<[u8]> for Mac {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Code::Here(tag) => tag.as_ref(),
            Code::Elsewhere(code) => code,
        }
    }
}

/// A key, shielded. What is computed from it is made for each use and wiped after.
pub(crate) struct MacKey {
    algorithm: MacAlgorithm,
    key: Secret,
}

impl MacKey {
    pub(crate) fn prepare(algorithm: MacAlgorithm, key: Secret) -> Self {
        Self { algorithm, key }
    }

    /// How many bytes the key has.
    pub(crate) fn key_bytes(&self) -> usize {
        self.key.length()
    }

    pub(crate) fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// Does something with the key, and leaves no trace of it.
    fn using<T>(&self, operate: impl FnOnce(&hmac::Key) -> T) -> T {
        let algorithm = match self.algorithm {
            MacAlgorithm::Sha256 => hmac::HMAC_SHA256,
            MacAlgorithm::Sha384 => hmac::HMAC_SHA384,
            MacAlgorithm::Sha512 => hmac::HMAC_SHA512,
        };
        // The key cleanses itself when dropped.
        let result = operate(&hmac::Key::new(algorithm, &self.key.expose()));
        burn_stack();
        result
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Mac {
        Mac(Code::Here(self.using(|key| hmac::sign(key, message))))
    }

    /// Takes the same time for all codes of one length.
    pub(crate) fn verify(&self, message: &[u8], code: &[u8]) -> bool {
        self.using(|key| hmac::verify(key, message, code).is_ok())
    }
}

crate::secret::assert_not_implemented!(MacKey: std::fmt::Debug, Clone, serde::Serialize);

impl Permit<uses::MacSign> {
    /// The code of a message under the secret's current version.
    ///
    /// Errors: the message is longer than [`MAX_MESSAGE_BYTES`], or the key stays in its
    /// source.
    pub fn sign(self, message: &[u8]) -> Result<Mac, OperationError> {
        check_length(message)?;
        match self.secret().material() {
            Some(Material::Mac(key)) => Ok(key.sign(message)),
            Some(Material::Remote(_)) => Err(OperationError::Remote),
            _ => Err(OperationError::Unavailable),
        }
    }
}

impl Permit<uses::MacVerify> {
    /// Whether `code` is the whole code of a message under the secret's current
    /// version or the one before it, where that was still accepted when the permit
    /// was given. The time that it takes doesn't depend on the code's bytes, nor on
    /// which of the two versions it belongs to.
    ///
    /// Errors: the message is longer than [`MAX_MESSAGE_BYTES`], or the key stays in its
    /// source.
    pub fn verify(self, message: &[u8], code: &[u8]) -> Result<bool, OperationError> {
        check_length(message)?;
        let secret = self.secret();
        let current = match secret.material() {
            Some(Material::Mac(key)) => key,
            Some(Material::Remote(_)) => return Err(OperationError::Remote),
            _ => return Err(OperationError::Unavailable),
        };
        let by_current = current.verify(message, code);
        let previous = self.previous().map(|version| &version.material);
        let by_previous = match previous {
            Some(Material::Mac(previous)) => previous.verify(message, code),
            _ => false,
        };
        Ok(by_current | by_previous)
    }
}

pub(crate) fn check_length(message: &[u8]) -> Result<(), OperationError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(OperationError::MessageTooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use data_encoding::HEXLOWER;

    /// RFC 4231, section 4: key, data, and the codes for SHA-256, SHA-384, SHA-512.
    /// Test case 5, whose codes are cut short, stands by itself.
    fn vectors() -> Vec<(Vec<u8>, Vec<u8>, [&'static str; 3])> {
        vec![
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                [
                    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                    "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c\
                     faea9ea9076ede7f4af152e8b2fa9cb6",
                    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                     daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
                ],
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                [
                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                     8e2240ca5e69e2c78b3239ecfab21649",
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                     9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
                ],
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                [
                    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
                    "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b\
                     2a5ab39dc13814b94e3ab6e101a34f27",
                    "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39\
                     bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
                ],
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                [
                    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                    "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e\
                     6801dd23c4a7d679ccf8a386c674cffb",
                    "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db\
                     a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
                ],
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                [
                    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                    "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6\
                     0c2ef6ab4030fe8296248df163f44952",
                    "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352\
                     6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
                ],
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than \
                  block-size data. The key needs to be hashed before being used by the \
                  HMAC algorithm."
                    .to_vec(),
                [
                    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
                    "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5\
                     a678cc31e799176d3860e6110c46523e",
                    "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944\
                     b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
                ],
            ),
        ]
    }

    #[test]
    fn codes_are_those_of_rfc_4231() {
        for (key, message, codes) in vectors() {
            for (algorithm, code) in MacAlgorithm::ALL.into_iter().zip(codes) {
                let key = MacKey::prepare(algorithm, Secret::copy_of(&key));
                assert_eq!(HEXLOWER.encode(key.sign(&message).as_ref()), code);
                let code = HEXLOWER.decode(code.as_bytes()).unwrap();
                assert!(key.verify(&message, &code));
            }
        }
    }

    /// RFC 4231, test case 5: only 128 bits of its codes are known, and a code that is
    /// cut short verifies nothing here.
    #[test]
    fn codes_begin_like_the_short_ones_of_rfc_4231() {
        let starts = [
            "a3b6167473100ee06e0c796c2955552b",
            "3abf34c3503b2a23a46efc619baef897",
            "415fad6271580a531d4179bc891d87a6",
        ];
        for (algorithm, start) in MacAlgorithm::ALL.into_iter().zip(starts) {
            let key = MacKey::prepare(algorithm, Secret::copy_of(&[0x0c; 20]));
            let code = HEXLOWER.encode(key.sign(b"Test With Truncation").as_ref());
            assert_eq!(code.get(..32), Some(start));
            let short = HEXLOWER.decode(start.as_bytes()).unwrap();
            assert!(!key.verify(b"Test With Truncation", &short));
        }
    }

    #[test]
    fn only_the_whole_code_verifies() {
        let key = MacKey::prepare(MacAlgorithm::Sha256, Secret::copy_of(&[0x0b; 32]));
        let code = key.sign(b"message").as_ref().to_vec();
        assert!(!key.verify(b"massage", &code));
        for length in 0..code.len() {
            assert!(!key.verify(b"message", &code[..length]), "{length}");
        }
        for bit in 0..code.len() * 8 {
            let mut wrong = code.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"message", &wrong), "{bit}");
        }
        assert!(!key.verify(b"message", &[code.as_slice(), &[0]].concat()));
    }
}
