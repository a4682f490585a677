//! Reads another process's memory, and finds values in it.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// How much of a value must not be found.
const WINDOW: usize = 16;

/// What can be read of a process's memory, piece by piece.
pub struct Memory {
    memory: File,
    pages: File,
    mappings: Vec<Mapping>,
    /// How many bytes lie in pages that values in use stand in; they are not read.
    kept_apart: u64,
}

struct Mapping {
    start: u64,
    length: u64,
    name: String,
}

const PAGE: u64 = 4096;

impl Memory {
    /// Of the process with this number, which is this one's child or root reads it.
    pub fn of(pid: u32) -> Self {
        let open = |name| File::open(format!("/proc/{pid}/{name}")).unwrap();
        let smaps = std::io::read_to_string(open("smaps")).unwrap();
        let mut mappings: Vec<Mapping> = Vec::new();
        let mut kept_apart = 0;
        for line in smaps.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
                if has("rd") && has("lo") && has("dd") {
                    // Locked and left out of dumps.
                    kept_apart += mappings.pop().map_or(0, |mapping| mapping.length);
                } else if !has("rd") {
                    mappings.pop();
                }
            } else if let Some((range, rest)) = line.split_once(' ')
                && let Some((from, to)) = range.split_once('-')
            {
                let number = |text| u64::from_str_radix(text, 16).unwrap();
                let (start, end) = (number(from), number(to));
                let name = rest.split_ascii_whitespace().nth(4);
                mappings.push(Mapping {
                    start,
                    length: end - start,
                    name: name.unwrap_or("anonymous").to_owned(),
                });
            }
        }
        // The kernel's own pages for the clock.
        mappings.retain(|mapping| !mapping.name.starts_with("[v"));
        Self {
            memory: open("mem"),
            pages: open("pagemap"),
            mappings,
            kept_apart,
        }
    }

    /// Calls `look` with every run of pages that are there; the others are zero.
    fn each(&self, mut look: impl FnMut(&str, &[u8])) {
        for mapping in &self.mappings {
            let count = usize::try_from(mapping.length / PAGE).unwrap();
            let mut entries = vec![0_u8; count * 8];
            let at = mapping.start / PAGE * 8;
            let read = self.pages.read_at(&mut entries, at).unwrap();
            // In memory or in swap (kernel: pagemap.rst).
            let there: Vec<bool> = entries[..read]
                .chunks_exact(8)
                .map(|entry| entry[7] & 0xc0 != 0)
                .collect();
            let mut start = mapping.start;
            for run in there.chunk_by(|one, next| one == next) {
                if run[0] {
                    for part in self.read(start, run.len()) {
                        look(&mapping.name, &part);
                    }
                }
                start += run.len() as u64 * PAGE;
            }
        }
    }

    /// Pages as one piece, or each by itself if some have gone meanwhile.
    fn read(&self, start: u64, count: usize) -> Vec<Vec<u8>> {
        let read = |start, count: usize| {
            let mut bytes = vec![0; count * usize::try_from(PAGE).unwrap()];
            let read = self.memory.read_exact_at(&mut bytes, start);
            read.is_ok().then_some(bytes)
        };
        if let Some(bytes) = read(start, count) {
            return vec![bytes];
        }
        (0..count as u64)
            .filter_map(|page| read(start + page * PAGE, 1))
            .collect()
    }
}

/// What is found, and in which mapping.
pub type Found = BTreeSet<(String, String)>;

/// Finds parts of values.
pub struct Search {
    parts: AhoCorasick,
    /// What each part belongs to.
    names: Vec<String>,
}

impl Search {
    /// For these values, each with the name by which it is told.
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
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
    pub fn in_memory(&self, memory: &Memory) -> (Found, usize) {
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
    pub fn until_clean(&self, pid: u32, patience: Duration) -> Found {
        let begin = Instant::now();
        loop {
            let memory = Memory::of(pid);
            // The pages that are left out are there, and hide nothing else.
            let kept_apart = memory.kept_apart;
            assert!((1..1 << 20).contains(&kept_apart), "{kept_apart} bytes");
            let (found, read) = self.in_memory(&memory);
            assert!(read > 4 << 20, "only {read} bytes could be read");
            if found.is_empty() || begin.elapsed() > patience {
                return found;
            }
        }
    }
}
