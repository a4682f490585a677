//! policy ip-filter
