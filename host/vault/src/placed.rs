//! Writing what a grant places: a header, a parameter of the query, or the body.

use bytes::Bytes;
use http::Uri;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::attach::AttachError;
use crate::chosen::Chosen;
use crate::grants::{Place, Placement};
use crate::headers::{alike, remove_alike};
use crate::holes::Holes;
use crate::live::{Material, Version};
use crate::presented::is_named;
use crate::template::{self, Encoding, Filling};

/// What was written onto a request so far, so that no place is written twice.
#[derive(Default)]
pub(crate) struct Places {
    headers: Vec<HeaderName>,
    parameters: Vec<String>,
    /// The body, in place of the request's own.
    pub(crate) body: Option<Bytes>,
}

/// What says how the body is to be read, of which nothing is left beside another body:
/// RFC 9110 (8.3 to 8.7, 14.4), RFC 9530, and what came before that.
const OF_THE_BODY: [HeaderName; 12] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-disposition"),
    HeaderName::from_static("content-encoding"),
    HeaderName::from_static("content-language"),
    HeaderName::from_static("content-length"),
    HeaderName::from_static("content-location"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-range"),
    HeaderName::from_static("content-type"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("trailer"),
];

impl Places {
    /// Writes a version of a secret to its place, with what the policy chose.
    ///
    /// Errors: something is written there already, or the secret has not what the
    /// template needs.
    pub(crate) fn write(
        &mut self,
        placement: &Placement,
        version: &Version,
        chosen: &Chosen,
        head: &mut Parts,
    ) -> Result<(), AttachError> {
        let none = Holes::default();
        let holes = match chosen {
            Chosen::Holes(holes) => holes,
            _ => &none,
        };
        let filling = version.filling(holes)?;
        let unfilled = |template::Unfilled| AttachError::Unavailable;
        match &placement.place {
            Place::Header { name, value } => {
                if self.headers.iter().any(|other| alike(other, name)) {
                    return Err(AttachError::SamePlace);
                }
                let text = template::single("", value, Encoding::Plain, &filling);
                // Made from shared bytes, the header takes them over without a copy.
                let mut text = HeaderValue::from_maybe_shared(text.map_err(unfilled)?)
                    .map_err(|_| AttachError::Unavailable)?;
                text.set_sensitive(true);
                self.headers.push(name.clone());
                remove_alike(&mut head.headers, name);
                head.headers.insert(name, text);
            }
            Place::Query { name, value } => {
                if self
                    .parameters
                    .iter()
                    .any(|other| other.eq_ignore_ascii_case(name))
                {
                    return Err(AttachError::SamePlace);
                }
                self.parameters.push(name.clone());
                let before = before_parameter(&head.uri, name);
                let text = template::single(&before, value, Encoding::Percent, &filling);
                head.uri = with_target(&head.uri, text.map_err(unfilled)?)?;
            }
            Place::Form(fields) => {
                let body = template::form(fields, &filling).map_err(unfilled)?;
                self.put_body(head, "application/x-www-form-urlencoded", body)?;
            }
            Place::Json(document) => {
                let body = template::json(document, &filling).map_err(unfilled)?;
                self.put_body(head, "application/json", body)?;
            }
        }
        Ok(())
    }

    fn put_body(
        &mut self,
        head: &mut Parts,
        kind: &'static str,
        body: Bytes,
    ) -> Result<(), AttachError> {
        if self.body.is_some() {
            return Err(AttachError::SamePlace);
        }
        for name in &OF_THE_BODY {
            remove_alike(&mut head.headers, name);
        }
        let headers = &mut head.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        self.body = Some(body);
        Ok(())
    }
}

impl Version {
    /// The parts of it that templates have slots for.
    fn filling<'a>(&self, holes: &'a Holes) -> Result<Filling<'a>, AttachError> {
        Ok(match &self.material {
            Material::ApiKey(key) => Filling {
                secret: Some(key.value.expose()),
                user: None,
                password: None,
                holes,
            },
            Material::Basic(basic) => Filling {
                secret: Some(basic.encoded.expose()),
                user: Some(basic.user.expose()),
                password: Some(basic.password.expose()),
                holes,
            },
            _ => return Err(AttachError::Unavailable),
        })
    }
}

/// The path and the query up to the parameter's value, without others of its name in
/// whatever spelling.
fn before_parameter(uri: &Uri, name: &str) -> String {
    let mut text = uri.path().to_owned();
    let mut separator = '?';
    let parts = uri.query().unwrap_or_default().split('&');
    for part in parts.filter(|part| !part.is_empty() && !is_named(part, name)) {
        text.push(separator);
        text.push_str(part);
        separator = '&';
    }
    text.push(separator);
    text.push_str(name);
    text.push('=');
    text
}

fn with_target(uri: &Uri, target: Bytes) -> Result<Uri, AttachError> {
    let target = PathAndQuery::from_maybe_shared(target).map_err(|_| AttachError::Unavailable)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|_| AttachError::Unavailable)
}
