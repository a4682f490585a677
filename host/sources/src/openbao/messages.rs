//! What is said to OpenBao and what it answers, as JSON. Texts that may be secrets
//! stand in buffers that are wiped.

use std::fmt;
use std::io;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use crate::error::SourceError;

/// Around every answer.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) data: Option<T>,
    pub(super) auth: Option<Grant>,
}

/// A token, as a login or a renewal answers it.
#[derive(Deserialize)]
pub(super) struct Grant {
    pub(super) client_token: Text,
    /// In seconds; 0 for one that doesn't end.
    pub(super) lease_duration: u64,
    pub(super) renewable: bool,
}

/// A version of a secret of a KV engine. Either half may be missing.
#[derive(Deserialize)]
pub(super) struct KvData {
    pub(super) data: Option<Fields>,
    pub(super) metadata: Option<Metadata>,
}

/// What is left of a version that was deleted.
#[derive(Deserialize)]
pub(super) struct Gone {
    pub(super) metadata: Option<Metadata>,
}

/// What a KV engine knows of a version.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) version: u64,
    pub(super) created_time: String,
    /// When the version was or will be deleted; empty if never.
    #[serde(default)]
    pub(super) deletion_time: String,
    #[serde(default)]
    pub(super) destroyed: bool,
}

/// What the server says of the token that asks.
#[derive(Deserialize)]
pub(super) struct TokenInfo {
    /// Seconds that are left; 0 for one that doesn't end.
    pub(super) ttl: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

/// What a wrapping token was made by.
#[derive(Deserialize)]
pub(super) struct Wrapping {
    pub(super) creation_path: String,
}

/// What was wrapped.
#[derive(Deserialize)]
pub(super) struct SecretId {
    pub(super) secret_id: Text,
}

/// Why a request was refused. Looked at to tell refusals apart, and never passed on.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// Whether a refusal says this.
pub(super) fn says(body: &[u8], words: &str) -> bool {
    serde_json::from_slice::<Errors>(body)
        .is_ok_and(|answer| answer.errors.iter().any(|error| error.contains(words)))
}

/// Text that may be a secret.
pub(super) struct Text(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(text.to_owned())))
            }
        }
        input.deserialize_str(Reader)
    }
}

/// A field of a secret: `None` where it is no text.
struct Field(Option<Text>);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field")
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field(Some(Text(Zeroizing::new(text.to_owned())))))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut all: A,
            ) -> Result<Field, A::Error> {
                while all.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Field, A::Error> {
                while all.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field(None))
            }
        }
        input.deserialize_any(Reader)
    }
}

/// The fields of a secret, each name once.
pub(super) struct Fields(Vec<(String, Field)>);

impl Fields {
    /// The value of a field; of the only one, if none is named.
    ///
    /// Errors: [`SourceError::Field`] if there is none or it is unclear which;
    /// [`SourceError::Malformed`] if it is no text.
    pub(super) fn pick(&self, name: Option<&str>) -> Result<&str, SourceError> {
        let field = match (name, &self.0[..]) {
            (None, [(_, only)]) => only,
            (None, _) => return Err(SourceError::Field),
            (Some(name), fields) => {
                let found = fields.iter().find(|(field, _)| field == name);
                &found.ok_or(SourceError::Field)?.1
            }
        };
        let what = "the field is not text";
        let text = field.0.as_ref().ok_or(SourceError::Malformed { what })?;
        Ok(&text.0)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Field)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a field stands twice"));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        input.deserialize_map(Reader)
    }
}

/// Errors: [`SourceError::Malformed`].
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, SourceError> {
    let what = "the answer is not the JSON that was expected";
    serde_json::from_slice(body).map_err(|_| SourceError::Malformed { what })
}

/// As JSON, in a buffer that never grows: that would leave copies behind.
///
/// Errors: [`SourceError::Unsupported`], which no message of this module gives.
pub(super) fn write(message: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let what = "take this message";
    let failed = |_| SourceError::Unsupported { what };
    let mut count = Count(0);
    serde_json::to_writer(&mut count, message).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(count.0));
    serde_json::to_writer(&mut *bytes, message).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn fields(json: &str) -> Result<Fields, SourceError> {
        read(json.as_bytes())
    }

    #[test]
    fn a_field_is_picked_by_name_or_because_it_is_the_only_one() {
        let one = fields(r#"{"key":"a\u0062c"}"#).unwrap();
        assert_eq!(one.pick(None), Ok("abc"));
        assert_eq!(one.pick(Some("key")), Ok("abc"));
        assert_eq!(one.pick(Some("other")), Err(SourceError::Field));
        let two = fields(r#"{"key":"a","number":7,"list":[1,{"x":null}],"none":null}"#).unwrap();
        assert_eq!(two.pick(None), Err(SourceError::Field));
        assert_eq!(two.pick(Some("key")), Ok("a"));
        for other in ["number", "list", "none"] {
            let what = "the field is not text";
            assert_eq!(two.pick(Some(other)), Err(SourceError::Malformed { what }));
        }
        assert_eq!(fields("{}").unwrap().pick(None), Err(SourceError::Field));
    }

    #[test]
    fn an_answer_that_two_readers_read_differently_is_malformed() {
        for json in [r#"{"a":"1","a":"2"}"#, "[]", "{", r#"{"a":"1"} x"#] {
            assert!(fields(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_message_is_written_into_one_buffer() {
        let bytes = write(&serde_json::json!({ "text": "a\"b" })).unwrap();
        assert_eq!(&bytes[..], br#"{"text":"a\"b"}"#);
        assert_eq!(bytes.capacity(), bytes.len());
    }
}
