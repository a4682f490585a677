//! The fenced blocks of a Markdown document.
//!
//! What follows the language says what becomes of a block:
//!
//! | Block | Is |
//! |---|---|
//! | `console` | run: `$ ` begins a command, `> ` goes on with it, the rest is what it prints |
//! | `console serve` | begun, and left running until the document ends |
//! | `console exit=3` | run, and its last command has to end with 3 |
//! | any with `file=PATH` | written to that file |
//! | any with `append=PATH` | added to that file |
//!
//! A block in an HTML comment counts like any other: that is where a document prepares
//! what its reader has anyway.

use std::ops::Range;

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// What stands after the first fence, by its words.
    words: Vec<String>,
    /// What stands between the fences.
    pub(crate) text: String,
    /// Where that is in the document.
    pub(crate) span: Range<usize>,
    /// The line of the first fence, from 1.
    pub(crate) line: usize,
}

impl Block {
    /// The first word: the language.
    pub(crate) fn language(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Whether that word is among those after the language.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.words.iter().skip(1).any(|there| there == word)
    }

    /// What is said of `name`: `VALUE` in `name=VALUE`.
    pub(crate) fn said(&self, name: &str) -> Option<&str> {
        self.words
            .iter()
            .filter_map(|word| word.split_once('='))
            .find(|(there, _)| *there == name)
            .map(|(_, value)| value)
    }
}

/// All blocks, in order.
pub(crate) fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Vec<String>, usize)> = None;
    let mut at = 0;
    for (number, line) in document.split_inclusive('\n').enumerate() {
        let next = at + line.len();
        if let Some(info) = line.trim_end().strip_prefix("```") {
            match open.take() {
                None => {
                    let words = info.split_whitespace().map(str::to_owned).collect();
                    open = Some((next, words, number + 1));
                }
                Some((start, words, line)) => blocks.push(Block {
                    words,
                    text: document[start..at].to_owned(),
                    span: start..at,
                    line,
                }),
            }
        }
        at = next;
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    blocks
}

#[test]
fn blocks_are_found_with_what_is_said_of_them() {
    let document = "a\n```console exit=3\n$ x\n```\n<!--\n```toml file=a.toml\nb = 1\n```\n-->\n";
    let found = blocks(document);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].language(), "console");
    assert_eq!(found[0].said("exit"), Some("3"));
    assert_eq!(found[0].text, "$ x\n");
    assert_eq!(found[1].said("file"), Some("a.toml"));
    assert_eq!(&document[found[1].span.clone()], "b = 1\n");
    assert_eq!(found[1].line, 6);
}
