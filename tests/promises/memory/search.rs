//! Reads another process's memory, and finds values in it.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::PATIENCE;
use super::gateway::Gateway;

/// How much of a value must not be found.
const WINDOW: usize = 16;

/// What can be read of a process's memory, piece by piece.
pub(super) struct Memory {
    memory: File,
    pages: File,
    /// Address, length and name of each mapping.
    mappings: Vec<(u64, u64, String)>,
}

const PAGE: u64 = 4096;

impl Memory {
    pub(super) fn of(pid: u32) -> Self {
        let open = |name| File::open(format!("/proc/{pid}/{name}")).unwrap();
        let smaps = std::io::read_to_string(open("smaps")).unwrap();
        let mut mappings: Vec<(u64, u64, String)> = Vec::new();
        for line in smaps.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
                // Locked and left out of dumps: the pages that values in use stand in.
                if !has("rd") || has("lo") && has("dd") {
                    mappings.pop();
                }
            } else if let Some((range, rest)) = line.split_once(' ')
                && let Some((from, to)) = range.split_once('-')
            {
                let number = |text| u64::from_str_radix(text, 16).unwrap();
                let name = rest.split_ascii_whitespace().nth(4).unwrap_or("anonymous");
                let (from, to) = (number(from), number(to));
                mappings.push((from, to - from, name.to_owned()));
            }
        }
        Self {
            memory: open("mem"),
            pages: open("pagemap"),
            mappings,
        }
    }

    /// Calls `look` with every run of pages that are there; the others are zero.
    fn each(&self, mut look: impl FnMut(&str, &[u8])) {
        for (start, length, name) in &self.mappings {
            let count = length / PAGE;
            let mut entries = vec![0_u8; usize::try_from(count * 8).unwrap()];
            let read = self.pages.read_at(&mut entries, start / PAGE * 8).unwrap();
            entries.truncate(read);
            let mut run: Option<(u64, u64)> = None;
            let ends = entries.chunks_exact(8).map(Some).chain([None]);
            for (index, entry) in (0..).zip(ends) {
                // In memory or in swap (kernel: pagemap.rst).
                let there = entry.is_some_and(|entry| entry[7] & 0xc0 != 0);
                match (&mut run, there) {
                    (Some((_, pages)), true) => *pages += 1,
                    (None, true) => run = Some((index, 1)),
                    (Some((first, pages)), false) => {
                        let mut bytes = vec![0; usize::try_from(*pages * PAGE).unwrap()];
                        if self
                            .memory
                            .read_exact_at(&mut bytes, start + *first * PAGE)
                            .is_ok()
                        {
                            look(name, &bytes);
                        }
                        run = None;
                    }
                    (None, false) => {}
                }
            }
        }
    }
}

/// What is found, and in which mapping.
pub(super) type Found = BTreeSet<(String, String)>;

/// Finds parts of values.
pub(super) struct Search {
    parts: AhoCorasick,
    /// What each part belongs to.
    names: Vec<String>,
}

impl Search {
    pub(super) fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut parts, mut names) = (BTreeSet::new(), Vec::new());
        let mut patterns = Vec::new();
        for (name, value) in values {
            let mut forms = vec![
                ("raw", value.to_vec()),
                ("hexadecimal", HEXLOWER.encode(value).into_bytes()),
                ("upper hexadecimal", HEXUPPER.encode(value).into_bytes()),
                // RFC 2104, section 2.
                ("inner pad", value.iter().map(|byte| byte ^ 0x36).collect()),
                ("outer pad", value.iter().map(|byte| byte ^ 0x5c).collect()),
            ];
            for shift in 0..3 {
                let shifted = [&b"xx"[..shift], value].concat();
                for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
                    let text = encoding.encode(&shifted);
                    let first = (shift * 4).div_ceil(3);
                    forms.push(("base64", text.as_bytes()[first..text.len() - 2].to_vec()));
                }
            }
            for (form, bytes) in forms {
                for part in bytes.windows(WINDOW) {
                    if parts.insert(part.to_vec()) {
                        patterns.push(part.to_vec());
                        names.push(format!("{name}, {form}"));
                    }
                }
            }
        }
        Self {
            parts: AhoCorasick::new(patterns).unwrap(),
            names,
        }
    }

    /// What is found, and in which mapping; and how many bytes were read.
    pub(super) fn in_memory(&self, memory: &Memory) -> (Found, usize) {
        let (mut found, mut read) = (BTreeSet::new(), 0);
        memory.each(|mapping, bytes| {
            read += bytes.len();
            for hit in self.parts.find_iter(bytes) {
                let name = &self.names[hit.pattern().as_usize()];
                found.insert((name.clone(), mapping.to_owned()));
            }
        });
        (found, read)
    }

    /// Searches until nothing is found, or for as long as patience lasts; returns
    /// what is found in the end.
    pub(super) fn until_clean(&self, gateway: &Gateway) -> Found {
        let begin = Instant::now();
        loop {
            let (found, read) = self.in_memory(&gateway.memory());
            assert!(read > 4 << 20, "only {read} bytes could be read");
            if found.is_empty() || begin.elapsed() > PATIENCE {
                return found;
            }
        }
    }
}
