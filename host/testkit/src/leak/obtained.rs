//! Bearers, ready to be looked for: tokens that the host obtained, signatures that it
//! made.
//!
//! A case that runs again obtains the same ones again. What was made ready for them is
//! kept, and with it the memories in which none of them was: to search all of a memory
//! takes longer than all else in a case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::canaries::Canaries;
use super::memory::Memories;
use crate::run::Bearer;

/// How many sets of bearers are kept, each with some memories.
const MOST: usize = 32;

/// A set of bearers.
pub(crate) struct Obtained {
    pub(crate) canaries: Canaries,
    pub(crate) memories: Mutex<Memories>,
}

/// The sets that were obtained so far.
#[derive(Default)]
pub(crate) struct Obtaineds(Mutex<HashMap<Vec<Bearer>, Arc<Obtained>>>);

impl Obtaineds {
    /// What looks for these.
    pub(crate) fn of(&self, bearers: &[Bearer]) -> Arc<Obtained> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(bearers) {
            return Arc::clone(known);
        }
        let names: Vec<String> = bearers.iter().map(Bearer::name).collect();
        let values = names.iter().map(String::as_str).zip(bearers);
        let obtained = Arc::new(Obtained {
            canaries: Canaries::new(values.map(|(name, bearer)| (name, &bearer.value[..]))),
            memories: Mutex::default(),
        });
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(bearers.to_vec(), Arc::clone(&obtained));
        obtained
    }
}
