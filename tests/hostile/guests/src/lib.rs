//! Policies that attack their host
