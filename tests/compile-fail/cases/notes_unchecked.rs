//! Notes can't be written before they are checked.

use keyward_vault::{CheckedNotes, Durable, Notes, Target};

fn unchecked(notes: Notes, durable: &Durable) {
    let _ = notes.write(durable);
}

fn forged(target: &Target<'_>) -> CheckedNotes {
    CheckedNotes {
        notes: Vec::new(),
        authority: target.authority.into(),
    }
}

fn main() {
    let _ = (unchecked, forged);
}
