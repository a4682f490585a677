//! Azure Key Vault: secrets, and certificates through the secrets endpoint.
