//! Tests of the grants file: what it says, and what it says when it is wrong.
