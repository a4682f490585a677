//! Output that is the same at each run: times, digests, keys and the user who runs
//! the test are replaced by what they are.

use std::path::Path;

use keyward_gateway::control::Peer;

/// What a command printed, with everything replaced by what it is that another run
/// prints otherwise.
pub(crate) fn text(output: Vec<u8>, root: &Path) -> String {
    let text = String::from_utf8(output).unwrap();
    let text = text.replace(root.to_str().unwrap(), "<folder>");
    let text = text.replace(&Peer::this_process().to_string(), "<me>");
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let inside_word = shown
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        let found = PATTERNS
            .iter()
            .find_map(|(pattern, label)| match inside_word {
                true => None,
                false => Some((matched(rest, pattern)?, label)),
            });
        match found {
            Some((length, label)) => {
                shown.push_str(label);
                rest = &rest[length..];
            }
            None => {
                shown.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    shown
}

/// `0` is a digit, `x` a hexadecimal digit, `*` any number of base64 characters
/// and dots, the rest is itself.
const PATTERNS: [(&str, &str); 11] = [
    ("(0* µs)", "(<took>)"),
    ("(0* ms)", "(<took>)"),
    ("(0* s)", "(<took>)"),
    ("0000-00-00T00:00:00*#*", "<file version>"),
    ("0000-00-00T00:00:00*", "<time>"),
    ("0000-00-00 00:00:00Z", "<time>"),
    ("0000-00-00 00:00Z", "<time>"),
    (
        "keyward/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx+xxxxxxxx+*",
        "<verifier key>",
    ),
    ("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "<uuid>"),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "<sha256>",
    ),
    ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "<id>"),
];

fn matched(text: &str, pattern: &str) -> Option<usize> {
    let mut length = 0;
    for want in pattern.chars() {
        let rest = &text[length..];
        if want == '*' {
            length += rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "+/=.-_".contains(*c))
                .map(char::len_utf8)
                .sum::<usize>();
            continue;
        }
        let have = rest.chars().next()?;
        let good = match want {
            '0' => have.is_ascii_digit(),
            'x' => have.is_ascii_hexdigit(),
            other => have == other,
        };
        if !good {
            return None;
        }
        length += have.len_utf8();
    }
    Some(length)
}
