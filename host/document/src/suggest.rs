//! What the author may have meant.

/// The one of `valid` that is a slip of the hand away from `found`.
pub(crate) fn closest<'a>(found: &str, valid: &[&'a str]) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if found.chars().count() > LONGEST {
        return None;
    }
    valid
        .iter()
        .map(|name| (strsim::levenshtein(&found.to_lowercase(), name), *name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_a_different_word_is_not() {
        let valid = ["inbound", "backend", "outbound", "on-error"];
        assert_eq!(closest("inbund", &valid), Some("inbound"));
        assert_eq!(closest("Inbound", &valid), Some("inbound"));
        assert_eq!(closest("onerror", &valid), Some("on-error"));
        assert_eq!(closest("fragment", &valid), None);
        assert_eq!(closest("", &["base"]), None);
        assert_eq!(closest(&"x".repeat(1000), &valid), None);
    }
}
