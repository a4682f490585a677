//! policy set-headers
