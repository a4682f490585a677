//! Codes over compiled policies, so that nobody else can slip machine code into the
//! host: HMAC-SHA-256 (RFC 2104) under a key that HKDF derives from the root key for
//! this and nothing else. It changes when the vault is rekeyed.

use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// The code over compiled code that was made for `key`, a digest of all that it
    /// depends on.
    ///
    /// It is not recorded in the audit trail: it is no use of a secret.
    ///
    /// Errors: the vault has stopped taking changes.
    pub fn code_tag(&self, key: &[u8; 32], code: &[u8]) -> Result<[u8; 32], VaultError> {
        Ok(self.lock()?.root.code_tag(key, code))
    }

    /// Whether `tag` is this vault's code over that compiled code. It takes as long for
    /// every wrong one.
    pub fn verifies_code(&self, key: &[u8; 32], code: &[u8], tag: &[u8; 32]) -> bool {
        self.lock()
            .is_ok_and(|writer| writer.root.verify_code(key, code, tag))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use crate::{Durability, Vault, VaultFiles};

    #[test]
    fn a_code_fits_its_key_its_bytes_and_its_vault_alone() {
        let open = || {
            let directory = tempfile::tempdir().unwrap();
            let files = VaultFiles::in_directory(directory.path());
            Vault::create(&files).unwrap();
            let vault = Vault::open(&files, Durability::Buffered).unwrap();
            (vault, directory)
        };
        let (vault, _files) = open();
        let tag = vault.code_tag(&[1; 32], b"code").unwrap();
        assert!(vault.verifies_code(&[1; 32], b"code", &tag));
        assert!(!vault.verifies_code(&[2; 32], b"code", &tag));
        assert!(!vault.verifies_code(&[1; 32], b"Code", &tag));
        assert!(!vault.verifies_code(&[1; 32], b"code", &[0; 32]));
        let (other, _files) = open();
        assert!(!other.verifies_code(&[1; 32], b"code", &tag));
    }
}
