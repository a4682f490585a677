//! The public parts of secrets: what a policy may read of connection strings, and what
//! `keyward secret show` prints of these and of certificates. The secret parts are not
//! here.

use keyward_names::SecretName;
use minicbor::Decoder;

use crate::live::{LiveSecret, Material};
use crate::mac::OperationError;
use crate::permit::Permit;
use crate::uses;
use crate::vault::Vault;

/// The longest name that a part is asked for by, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A connection string that no protocol of ours uses: its public parts.
pub(crate) struct OtherConnection(Vec<(String, String)>);

impl OtherConnection {
    /// From the stored form; `None` if it isn't one. The secret parts stay sealed.
    pub(crate) fn prepare(value: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(value);
        let mut parts = Vec::new();
        for _ in 0..decoder.array().ok()?? {
            (decoder.array().ok()? == Some(3)).then_some(())?;
            let (name, text) = (decoder.str().ok()?, decoder.str().ok()?);
            if decoder.u8().ok()? == 1 {
                parts.push((name.to_lowercase(), text.to_owned()));
            }
        }
        Some(Self(parts))
    }
}

impl LiveSecret {
    /// The public parts of the version in use; none for what has none.
    pub(crate) fn public_parts(&self) -> Vec<(String, String)> {
        match self.material() {
            Some(Material::Storage(account)) => account.public(),
            Some(Material::Bus(bus)) => bus.public(),
            Some(Material::Connection(other)) => other.0.clone(),
            Some(Material::Database(login)) => login.public(),
            Some(Material::Certificate(certificate)) => certificate.public(),
            Some(Material::Remote(key)) => match &key.certificate {
                Some(certificate) => certificate.public(),
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

impl Permit<uses::Describe> {
    /// A public part by its name; none if there is no such part, or if it is a secret
    /// one: the two are told apart nowhere.
    ///
    /// Errors: the name is longer than any.
    pub fn part(self, name: &str) -> Result<Option<String>, OperationError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(OperationError::MessageTooLong);
        }
        let parts = self.secret().public_parts().into_iter();
        let mut named = parts.filter(|(known, _)| known == name);
        Ok(named.next().map(|(_, text)| text))
    }
}

impl Vault {
    /// The public parts of a connection string, a database's login or a certificate, for
    /// those who administer it: names and texts. None if there is no such secret, or if
    /// it is of another kind. The texts are as whoever made the secret wrote them, and not
    /// made safe for a terminal. Nothing is recorded: it is not a policy's use.
    pub fn public_parts(&self, name: &SecretName) -> Vec<(String, String)> {
        let live = self.live();
        let secret = live.parts.secrets.get(name);
        secret.map_or_else(Vec::new, |secret| secret.public_parts())
    }
}
