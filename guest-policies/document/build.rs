//! What the linker and the tables of letters need.
//!
//! Documents and their expressions are as deep as they are: what runs them needs more
//! stack than other policies, and has it lie first in its memory as they do.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

/// Enough for statements, expressions and JSON as deep as they may be, all at once, as
/// `tests/policies/document.rs` shows.
const STACK_BYTES: u32 = 52 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Behind what the kit says for all policies; the last one counts.
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_BYTES}");
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"));
    let tables = format!(
        "{}{}",
        table("UPPER", upper),
        table("LOWER", |c| single(c.to_lowercase()))
    );
    fs::write(folder.join("case.rs"), tables).expect("Cargo made the folder");
}

/// As .NET's invariant culture has it, which takes Unicode's simple mappings but for `ı`.
fn upper(c: char) -> Option<char> {
    // Of these the standard library makes two letters, and Unicode has one beside.
    let mut greek = '\u{1f88}'..='\u{1ffc}';
    single(c.to_uppercase())
        .filter(|_| c != 'ı')
        .or_else(|| greek.find(|other| *other != c && single(other.to_lowercase()) == Some(c)))
}

/// A letter of which several become stays as it is.
fn single(mut all: impl Iterator<Item = char>) -> Option<char> {
    let first = all.next();
    first.filter(|_| all.next().is_none())
}

/// The standard library's table takes 12 KB, copied for each call of a policy: what follows
/// each other at the same distance is one row of 8 bytes here.
fn table(name: &str, change: impl Fn(char) -> Option<char>) -> String {
    let mut rows: Vec<(u32, u32, u32, u16)> = Vec::new();
    for c in '\u{80}'..=char::MAX {
        let Some(changed) = change(c).filter(|changed| *changed != c) else {
            continue;
        };
        let (at, changed) = (u32::from(c), u32::from(changed));
        assert_eq!(at >> 16, changed >> 16, "a letter changes within its plane");
        let [low, high, ..] = changed.wrapping_sub(at).to_le_bytes();
        let distance = u16::from_le_bytes([low, high]);
        if let Some((first, last, step, of_row)) = rows.last_mut() {
            let further = at - *last;
            let joins = *of_row == distance && (further == *step || *first == *last && further < 3);
            if joins {
                (*last, *step) = (at, further);
                continue;
            }
        }
        rows.push((at, at, 1, distance));
    }
    let mut text = format!("const {name}: [Row; {}] = [\n", rows.len());
    for (first, last, step, distance) in rows {
        let reach = (last - first) << 1 | (step - 1);
        writeln!(
            text,
            "    Row {{ first: {first}, reach: {reach}, distance: {distance} }},"
        )
        .expect("a text takes all");
    }
    text.push_str("];\n");
    text
}
