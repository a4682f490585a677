//! policy sign-request
