//! Guests' memories, of which most stays as it was.
//!
//! A call starts from the image that the policy's settings left, and changes little.
//! So a part that is as it was in a memory of the same policy that held nothing is
//! not searched again.

use std::collections::HashMap;

use keyward::names::PolicyName;

use super::canaries::{Canaries, Found};

/// How much is compared at once, in bytes.
const BLOCK: usize = 1 << 10;

/// Memories of policies in which nothing was found.
#[derive(Default)]
pub(crate) struct Memories {
    clean: HashMap<(PolicyName, usize), Vec<u8>>,
}

impl Memories {
    /// Searches the memory `index` of a policy.
    pub(crate) fn search(
        &mut self,
        canaries: &Canaries,
        policy: &PolicyName,
        index: usize,
        memory: &[u8],
    ) -> Vec<Found> {
        let key = (policy.clone(), index);
        let Some(before) = self.clean.get(&key) else {
            let found = canaries.find(memory);
            if found.is_empty() {
                self.clean.insert(key, memory.to_vec());
            }
            return found;
        };
        let mut all: Vec<Found> = Vec::new();
        for range in changed(before, memory, canaries.reach()) {
            for mut found in canaries.find(&memory[range.clone()]) {
                found.at = found.at.start + range.start..found.at.end + range.start;
                let known = |one: &Found| one.secret == found.secret && one.shape == found.shape;
                if !all.iter().any(known) {
                    all.push(found);
                }
            }
        }
        all
    }
}

/// What is otherwise than before, with so many bytes around it.
fn changed(before: &[u8], now: &[u8], around: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    let mut start = 0;
    while start < now.len() {
        let end = (start + BLOCK).min(now.len());
        if before.get(start..end) != Some(&now[start..end]) {
            let from = start.saturating_sub(around);
            let to = (end + around).min(now.len());
            match ranges.last_mut() {
                Some(last) if last.end >= from => last.end = to,
                _ => ranges.push(from..to),
            }
        }
        start = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_change_is_left_out_and_what_did_is_found_across_borders() {
        let mut memory = vec![0; 64 << 10];
        assert!(changed(&memory, &memory, 100).is_empty());
        let before = memory.clone();
        memory[5000] = 1;
        assert_eq!(changed(&before, &memory, 100)[0], 3996..5220);
        memory.push(1);
        assert_eq!(changed(&before, &memory, 0).len(), 2);

        let value = b"kw-0a1b2c3d4e5f60718293a4b5c6d7e8f9abcde";
        let canaries = Canaries::new([("key", &value[..])]);
        let policy = PolicyName::parse("p").expect("a name");
        let mut memories = Memories::default();
        let mut memory = vec![b'.'; 64 << 10];
        // Half of it was there before: what changes is the other half.
        memory[10_220..10_240].copy_from_slice(&value[..20]);
        assert_eq!(memories.search(&canaries, &policy, 0, &memory), []);
        memory[10_240..10_260].copy_from_slice(&value[20..]);
        let found = memories.search(&canaries, &policy, 0, &memory);
        assert_eq!(found[0].at, 10_220..10_260);
        // And it is found again: what holds a value is no base to compare with.
        assert_eq!(memories.search(&canaries, &policy, 0, &memory).len(), 1);
    }
}
