//! Tokens for what runs in Azure: managed identities and workload identity.
