//! Names (A22): a text that is not exactly a name is no other name, however much it
//! looks like one.

use keyward::names::{Alias, PolicyName, RouteName, SecretName};

use crate::attacker::{Attacker, body};
use crate::lab::Lab;

/// Opens a credential by each name that the test gives, attaches it, and tells how
/// many were attached. Each name comes as 120 bytes: its length, and itself.
fn asks(names: usize) -> Vec<u8> {
    let attacker = body(&format!(
        "(loop $more
           (call $random (i32.const 120) (i32.const 0))
           (call $open (i32.add (i32.load (i32.const 0)) (i32.const 1))
             (i32.load8_u (i32.load (i32.const 0))) (i32.const 16))
           (call $attach (i32.load (i32.const 20)) (local.get $x) (i32.const 32))
           (call $drop-credential (i32.load (i32.const 20)))
           (local.set $j (i32.add (local.get $j) (i32.eqz (i32.load8_u (i32.const 32)))))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $i) (i32.const {names}))))
         (call $tell (local.get $j))"
    ));
    let attacker = Attacker {
        memory: "4".to_owned(),
        ..attacker
    };
    attacker.build()
}

/// Characters that are drawn, folded, mapped or skipped so that they look like one of
/// `backend`, and others that end, join or turn texts.
const LIKE: [(char, &[char]); 6] = [
    ('b', &['B', 'Ь', 'Ƅ', 'ｂ', '𝐛', 'ḃ']),
    ('a', &['A', 'а', 'ɑ', 'ａ', 'á', 'à', 'ª', '𝒂']),
    ('c', &['C', 'с', 'ϲ', 'ｃ', 'ç', 'ⅽ']),
    ('k', &['K', 'κ', 'к', 'ｋ', '\u{212a}']),
    ('e', &['E', 'е', 'ｅ', 'é', 'ℯ', '℮']),
    ('n', &['N', 'п', 'ո', 'ｎ', 'ñ', 'ⁿ']),
];
const BESIDE: [char; 26] = [
    '\0',
    ' ',
    '\t',
    '\n',
    '\r',
    '/',
    '\\',
    ':',
    '%',
    '?',
    '#',
    '.',
    '-',
    '_',
    '\u{7f}',
    '\u{a0}',
    '\u{ad}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200f}',
    '\u{202e}',
    '\u{2066}',
    '\u{feff}',
    '\u{301}',
    '\u{1f511}',
];

/// Other texts than `backend`, by a generator with a fixed seed.
struct Texts(u64);

impl Texts {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift, as Marsaglia gives it.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn next(&mut self) -> String {
        loop {
            let mut text: Vec<char> = "backend".chars().collect();
            for _ in 0..=self.below(3) {
                let place = self.below(text.len() + 1);
                match self.below(6) {
                    0 => text.insert(place, BESIDE[self.below(BESIDE.len())]),
                    1 if place < text.len() => {
                        let like = LIKE.iter().find(|(plain, _)| *plain == text[place]);
                        if let Some((_, like)) = like {
                            text[place] = like[self.below(like.len())];
                        }
                    }
                    2 if place < text.len() => text[place] = text[place].to_ascii_uppercase(),
                    3 if place < text.len() => _ = text.remove(place),
                    4 => {
                        let any = char::from_u32(self.below(0x11_0000) as u32);
                        text.insert(place, any.unwrap_or('\u{fffd}'));
                    }
                    _ => text.push(BESIDE[self.below(BESIDE.len())]),
                }
            }
            let text: String = text.into_iter().collect();
            if text != "backend" && text.len() < 120 {
                return text;
            }
        }
    }
}

fn give(lab: &Lab, name: &str) {
    let mut bytes = [0; 120];
    bytes[0] = u8::try_from(name.len()).unwrap();
    bytes[1..=name.len()].copy_from_slice(name.as_bytes());
    lab.world.feed(&bytes);
}

#[test]
fn no_other_text_is_the_name() {
    const IN_A_CALL: usize = 100;
    let lab = Lab::with(|engine| {
        engine.limits.random_bytes = 1 << 20;
        engine.limits.secret_uses = 1_000;
        engine.limits.cpu_milliseconds = 10_000;
    });
    let policy = lab.load(&asks(IN_A_CALL)).unwrap();
    let mut texts = Texts(0x9e37_79b9_7f4a_7c15);
    for _ in 0..100_000 / IN_A_CALL {
        for _ in 0..IN_A_CALL {
            give(&lab, &texts.next());
        }
        assert_eq!(lab.run(&policy).told(), Some(0));
    }
    // Control: the name itself is, each time.
    for _ in 0..IN_A_CALL {
        give(&lab, "backend");
    }
    assert_eq!(lab.run(&policy).told(), Some(100));
}

#[test]
fn a_text_is_a_name_as_it_stands_or_none() {
    let mut texts = Texts(0x2545_f491_4f6c_dd1d);
    for _ in 0..100_000 {
        let text = texts.next();
        let plain = text.len() <= 64
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
            && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let parsed = [
            Alias::parse(&text)
                .map(|name| name.as_str().to_owned())
                .ok(),
            PolicyName::parse(&text)
                .map(|name| name.as_str().to_owned())
                .ok(),
            RouteName::parse(&text)
                .map(|name| name.as_str().to_owned())
                .ok(),
            SecretName::parse(&text)
                .map(|name| name.as_str().to_owned())
                .ok(),
        ];
        for name in parsed {
            assert_eq!(name, plain.then(|| text.clone()), "{text:?}");
        }
    }
}
