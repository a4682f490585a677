//! Secrets that stand in a folder, one in each file.
