//! The request for a token, for each platform.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::platform::{Chosen, Identity};
use crate::error::IdentityError;

/// What is left as it is in a query or a form (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Microsoft, "How to use managed identities on a VM to acquire an access token".
const IMDS_VERSION: &str = "2018-02-01";
/// Microsoft, "How to use managed identities for App Service", REST endpoint.
const APP_SERVICE_VERSION: &str = "2019-08-01";
/// The longest federated token, in bytes.
const MAX_ASSERTION: usize = 16 * 1024;
/// RFC 7523, 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The parameter that names the identity. The platforms call a resource id
/// differently.
fn identity(identity: &Identity, resource_id: &str) -> String {
    match identity {
        Identity::System => String::new(),
        Identity::ClientId(id) => format!("&client_id={}", encoded(id)),
        Identity::ObjectId(id) => format!("&object_id={}", encoded(id)),
        Identity::ResourceId(id) => format!("&{resource_id}={}", encoded(id)),
    }
}

/// The request for a token for `resource`.
///
/// Errors: the federated token can't be read, or what the platform told can't be
/// written into a request.
pub(super) async fn request(
    chosen: &Chosen,
    whose: &Identity,
    resource: &str,
) -> Result<Request<Zeroizing<Vec<u8>>>, IdentityError> {
    let empty = Zeroizing::new(Vec::new());
    let request = Request::builder().header(ACCEPT, "application/json");
    match chosen {
        Chosen::Imds { base } => request
            .method(Method::GET)
            .uri(format!(
                "{base}/metadata/identity/oauth2/token?api-version={IMDS_VERSION}&resource={}{}",
                encoded(resource),
                identity(whose, "msi_res_id"),
            ))
            .header("Metadata", "true")
            .body(empty)
            .map_err(|_| IdentityError::NoEndpoint),
        Chosen::AppService { endpoint, header } => {
            let unusable = |variable| IdentityError::Environment { variable };
            let mut header =
                HeaderValue::from_str(header).map_err(|_| unusable("IDENTITY_HEADER"))?;
            header.set_sensitive(true);
            let mark = if endpoint.contains('?') { '&' } else { '?' };
            request
                .method(Method::GET)
                .uri(format!(
                    "{endpoint}{mark}api-version={APP_SERVICE_VERSION}&resource={}{}",
                    encoded(resource),
                    identity(whose, "mi_res_id"),
                ))
                .header("X-IDENTITY-HEADER", header)
                .body(empty)
                .map_err(|_| unusable("IDENTITY_ENDPOINT"))
        }
        Chosen::Workload {
            authority,
            tenant,
            client_id,
            token_file,
        } => {
            let assertion = read_assertion(token_file.clone()).await?;
            let parameters = format!(
                "client_id={}&grant_type=client_credentials&scope={}&client_assertion_type={}\
                 &client_assertion=",
                encoded(client_id),
                encoded(&format!("{resource}/.default")),
                encoded(ASSERTION_TYPE),
            );
            // A JWT needs no encoding (RFC 7515, 7.1): base64url and dots.
            let mut form = Zeroizing::new(Vec::with_capacity(parameters.len() + assertion.len()));
            form.extend_from_slice(parameters.as_bytes());
            form.extend_from_slice(&assertion);
            request
                .method(Method::POST)
                .uri(format!("{authority}/{tenant}/oauth2/v2.0/token"))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form)
                .map_err(|_| IdentityError::Malformed)
        }
    }
}

/// The token that the platform keeps renewing in a file; read anew for each login.
async fn read_assertion(file: PathBuf) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    tokio::task::spawn_blocking(move || read_small(&file))
        .await
        .ok()
        .flatten()
        .ok_or(IdentityError::CredentialFile)
}

fn read_small(file: &Path) -> Option<Zeroizing<Vec<u8>>> {
    // Of its final size at once: a buffer that grows leaves copies behind.
    let mut buffer = Zeroizing::new(vec![0; MAX_ASSERTION + 1]);
    let mut file = File::open(file).ok()?;
    let mut filled = 0;
    loop {
        match file.read(buffer.get_mut(filled..)?).ok()? {
            0 => break,
            count => filled += count,
        }
    }
    let text = buffer.get(..filled)?.trim_ascii();
    let is_jwt = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let fits = (1..=MAX_ASSERTION).contains(&text.len());
    (fits && text.iter().all(is_jwt)).then(|| Zeroizing::new(text.to_vec()))
}
