//! Asks sources again: when, how often at most, and what is done when one doesn't answer.
