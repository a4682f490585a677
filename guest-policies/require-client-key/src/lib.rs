//! policy require-client-key
