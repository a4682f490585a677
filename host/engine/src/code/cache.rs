//! Compiled code that is kept, and what it takes to believe it.
//!
//! Whoever can forge compiled code runs code in the host. So what is kept carries
//! the vault's code over it and over everything that it was made from, and is
//! loaded only if that fits.

use std::fmt::{self, Debug};
use std::hash::{Hash, Hasher};

use keyward_vault::{Vault, digest_component};

use crate::config::CodeConfig;

/// What goes into the key besides wasmtime's own version, its settings and the
/// processor: this changes with how images are made.
const VERSION: &[u8] = b"keyward compiled code 2";
const TAG_BYTES: usize = 32;

/// What it is: compiled code, by a digest of the component, its profile and the engine;
/// or the data that settings made, by a digest of these, the component, its profile and
/// its limits while it is configured. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeKey([u8; 32]);

impl fmt::Display for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Keeps compiled code, for example in a folder. Nothing that it gives back is
/// believed: it may lose entries, mix them up or be changed by others.
///
/// Implementations must not panic.
pub trait CodeCache: Debug + Send + Sync + 'static {
    /// What was put there; none if there is nothing or it can't be read.
    fn get(&self, key: &CodeKey) -> Option<Vec<u8>>;

    /// Keeps an entry. That it can't is no error: the code is compiled again.
    fn put(&self, key: &CodeKey, entry: &[u8]);
}

/// What wasmtime tells a hasher, as bytes.
struct Collected(Vec<u8>);

impl Hasher for Collected {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Wasmtime's version, its settings and the processor, as bytes that are equal
/// where code can be exchanged.
pub(crate) fn fingerprint(engine: &wasmtime::Engine) -> Vec<u8> {
    let mut collected = Collected(Vec::new());
    engine.precompile_compatibility_hash().hash(&mut collected);
    collected.0
}

/// The key of what is made for `purpose` from `from`.
pub(crate) fn key(fingerprint: &[u8], code: CodeConfig, purpose: &[u8], from: &[u8]) -> CodeKey {
    let length = u64::try_from(fingerprint.len()).unwrap_or(u64::MAX);
    let parts = [
        VERSION,
        code.profile.as_str().as_bytes(),
        &[u8::from(code.reports)],
        purpose,
        // No purpose has a zero in it.
        b"\0",
        &length.to_be_bytes(),
        fingerprint,
        from,
    ];
    CodeKey(*digest_component(&parts.concat()).as_bytes())
}

/// The code that an entry holds; none if it is not one that this vault wrote for
/// this key.
pub(crate) fn open<'a>(vault: &Vault, key: &CodeKey, entry: &'a [u8]) -> Option<&'a [u8]> {
    let (code, tag) = entry.split_last_chunk::<TAG_BYTES>()?;
    vault.verifies_code(&key.0, code, tag).then_some(code)
}

/// The entry for some code; none if the vault makes no codes any more.
pub(crate) fn seal(vault: &Vault, key: &CodeKey, code: &[u8]) -> Option<Vec<u8>> {
    let tag = vault.code_tag(&key.0, code).ok()?;
    Some([code, &tag].concat())
}
