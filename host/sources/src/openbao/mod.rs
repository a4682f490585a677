//! OpenBao and Vault: KV version 2, and keys that never leave (transit).
