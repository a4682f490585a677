//! Runs what `host/document` made of a policy document, in the sandbox.
//!
//! So far: [`evaluate`], the values and the evaluator of expressions.

#![forbid(unsafe_code)]

pub mod evaluate;
