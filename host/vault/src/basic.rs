//! HTTP Basic (RFC 7617): a user and a password, and what is sent of them.

use data_encoding::BASE64;
use minicbor::Decoder;

use crate::format::Damaged;
use crate::memory::Scratch;
use crate::secret::Secret;

/// A user and a password, ready to be written into requests. Each part is shielded.
pub(crate) struct Basic {
    pub(crate) user: Secret,
    pub(crate) password: Secret,
    /// `user:password`.
    pub(crate) pair: Secret,
    /// The base64 of that, padded (RFC 7617, section 2).
    pub(crate) encoded: Secret,
}

crate::secret::assert_not_implemented!(Basic: std::fmt::Debug, Clone, serde::Serialize);

impl Basic {
    /// From the stored form: `[user, password]`.
    pub(crate) fn prepare(stored: &[u8]) -> Result<Self, Damaged> {
        let mut decoder = Decoder::new(stored);
        if decoder.array().map_err(|_| Damaged)? != Some(2) {
            return Err(Damaged);
        }
        let user = decoder.str().map_err(|_| Damaged)?.as_bytes();
        let password = decoder.str().map_err(|_| Damaged)?.as_bytes();
        let mut pair = Scratch::new(user.len() + 1 + password.len());
        let (name, rest) = pair.split_at_mut(user.len());
        name.copy_from_slice(user);
        let (colon, rest) = rest.split_at_mut(1);
        colon.copy_from_slice(b":");
        rest.copy_from_slice(password);
        let mut encoded = Scratch::new(BASE64.encode_len(pair.len()));
        BASE64.encode_mut(&pair, &mut encoded);
        Ok(Self {
            user: Secret::copy_of(user),
            password: Secret::copy_of(password),
            pair: Secret::copy_of(&pair),
            encoded: Secret::copy_of(&encoded),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn what_is_sent_is_what_rfc_7617_says() {
        // Section 2, and section 2.1 with a pound sign in UTF-8.
        for (user, password, encoded) in [
            ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test", "123\u{a3}", "dGVzdDoxMjPCow=="),
        ] {
            let mut stored = vec![0x82, 0x60 + u8::try_from(user.len()).unwrap()];
            stored.extend_from_slice(user.as_bytes());
            stored.push(0x60 + u8::try_from(password.len()).unwrap());
            stored.extend_from_slice(password.as_bytes());
            let basic = Basic::prepare(&stored).unwrap();
            assert_eq!(&*basic.encoded.expose(), encoded.as_bytes());
            assert_eq!(&*basic.user.expose(), user.as_bytes());
            assert_eq!(&*basic.password.expose(), password.as_bytes());
        }
        assert!(Basic::prepare(b"\x81\x61a").is_err());
        assert!(Basic::prepare(b"").is_err());
    }
}
