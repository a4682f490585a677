//! Data that the server seals and opens.

use data_encoding::BASE64;
use http::{Method, StatusCode};
use serde::Serialize;
use zeroize::Zeroizing;

use super::super::OpenBao;
use super::super::messages::{self, Envelope};
use super::{Closed, Opened, versioned};
use crate::error::SourceError;
use crate::source::RemoteSealed;

/// What the server says, with status 400, of data that it can't open: whoever handed
/// them in is at fault, and not the key.
const NOT_SEALED: [&str; 3] = [
    "message authentication failed",
    "invalid ciphertext",
    "version is disallowed",
];

#[derive(Serialize)]
struct ToSeal<'a> {
    plaintext: &'a str,
    associated_data: &'a str,
}

#[derive(Serialize)]
struct ToOpen<'a> {
    ciphertext: &'a str,
    associated_data: &'a str,
}

impl OpenBao {
    pub(super) async fn seal_text(
        &self,
        key: &str,
        text: &[u8],
        associated: &[u8],
    ) -> Result<RemoteSealed, SourceError> {
        let path = self.transit_path("encrypt", key, None)?;
        let (text, associated) = (
            Zeroizing::new(BASE64.encode(text)),
            BASE64.encode(associated),
        );
        let asked = ToSeal {
            plaintext: &text,
            associated_data: &associated,
        };
        let closed: Closed = self.post(&path, &asked).await?;
        let malformed = SourceError::Malformed { what: "ciphertext" };
        let (version, sealed) = versioned(&closed.ciphertext).ok_or(malformed.clone())?;
        let sealed = BASE64.decode(sealed.as_bytes()).map_err(|_| malformed)?;
        Ok(RemoteSealed { version, sealed })
    }

    pub(super) async fn open_sealed(
        &self,
        key: &str,
        sealed: &RemoteSealed,
        associated: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SourceError> {
        let path = self.transit_path("decrypt", key, None)?;
        let RemoteSealed { version, sealed } = sealed;
        let ciphertext = format!("vault:v{version}:{}", BASE64.encode(sealed));
        let body = messages::write(&ToOpen {
            ciphertext: &ciphertext,
            associated_data: &BASE64.encode(associated),
        })?;
        let answer = self.ask(Method::POST, &path, &body).await?;
        let is_not_sealed = NOT_SEALED.iter().any(|words| answer.says(words));
        if answer.status == StatusCode::BAD_REQUEST && is_not_sealed {
            return Ok(None);
        }
        let answer: Envelope<Opened> = answer.accepted()?.read()?;
        let opened = answer.data.ok_or(SourceError::Malformed { what: "data" })?;
        let text = opened.bytes();
        let what = "plaintext";
        text.map(Some).ok_or(SourceError::Malformed { what })
    }
}
