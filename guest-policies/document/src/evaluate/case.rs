//! Upper and lower case as .NET's invariant culture has them: one letter for one.
//!
//! A letter whose other case is several letters stays as it is, unless Unicode has a single
//! one beside, as for `ᾳ`; `ı` stays, too.

/// Letters that become others in the same way.
struct Row {
    first: u32,
    /// Twice how far the last is from the first, and 1 if each second one does.
    reach: u16,
    /// To what they become, in their plane.
    distance: u16,
}

include!(concat!(env!("OUT_DIR"), "/case.rs"));

/// A letter's upper case; what has none, or more than one letter, stays.
pub(crate) fn upper(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    changed(&UPPER, c)
}

/// A letter's lower case; what has none, or more than one letter, stays.
pub(crate) fn lower(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    changed(&LOWER, c)
}

fn changed(rows: &[Row], c: char) -> char {
    let number = u32::from(c);
    let after = rows.partition_point(|row| row.first <= number);
    let Some(row) = after.checked_sub(1).and_then(|at| rows.get(at)) else {
        return c;
    };
    let further = number - row.first;
    if further > u32::from(row.reach >> 1) || further & u32::from(row.reach & 1) != 0 {
        return c;
    }
    let changed = number.wrapping_add(u32::from(row.distance)) & 0xffff;
    char::from_u32(number & !0xffff | changed).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_changes_as_the_standard_library_says_if_it_becomes_one() {
        let single = |mut all: Box<dyn Iterator<Item = char>>, c| match (all.next(), all.next()) {
            (Some(one), None) => one,
            _ => c,
        };
        let mut others = String::new();
        for c in '\0'..=char::MAX {
            if upper(c) != single(Box::new(c.to_uppercase()), c) {
                others.push(c);
            }
            assert_eq!(lower(c), single(Box::new(c.to_lowercase()), c), "{c:?}");
        }
        let greek = "ᾀᾁᾂᾃᾄᾅᾆᾇᾐᾑᾒᾓᾔᾕᾖᾗᾠᾡᾢᾣᾤᾥᾦᾧᾳῃῳ";
        assert_eq!(others, format!("ı{greek}"));
        assert_eq!(upper('ı'), 'ı');
        for c in greek.chars() {
            assert_ne!(upper(c), c);
            assert_eq!(lower(upper(c)), c);
        }
    }
}
