//! Secrets in environment variables: for development only.
