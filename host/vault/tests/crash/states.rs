//! What a loss of power can leave, from a log.
//!
//! At a point of the log, what was synced before it is there. Of the rest, any
//! subset may be: a change of names wholly or not at all; a write whole, not at
//! all, cut at any byte, as zeros (the file's size was extended and its data not
//! written), or with zeros in front of what was written (pages written in another
//! order). Nothing is assumed of the order between files and directories.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use fastrand::Rng;

use crate::recorder::{Event, Image, Inode, ROOT, image_of};

/// A disk sector: where a write is torn first.
const SECTOR: usize = 512;

/// What becomes of one event that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    Lost,
    /// So many bytes of the start of a write, and the file ends there.
    Cut(usize),
    /// The file has its length and so many zeros at the start of the write.
    Zeros(usize),
}

/// A disk on which events have happened, some of them not durably.
pub(crate) struct Point {
    /// What is durable.
    files: BTreeMap<Inode, Vec<u8>>,
    names: BTreeMap<Inode, BTreeMap<OsString, Inode>>,
    /// What is not, in the order in which it was asked for.
    pending: Vec<Event>,
}

impl Point {
    /// A disk before the first event; the log of `recorder` must be empty.
    pub(crate) fn start(image: &Image) -> Self {
        // The numbers that a recorder gives: in the order of the paths.
        let mut point = Self {
            files: BTreeMap::new(),
            names: BTreeMap::from([(ROOT, BTreeMap::new())]),
            pending: Vec::new(),
        };
        let mut numbers = BTreeMap::from([(std::path::PathBuf::new(), ROOT)]);
        for (number, (path, content)) in (1..).zip(&image.0) {
            let directory = numbers[path.parent().unwrap()];
            let name = path.file_name().unwrap().to_owned();
            point
                .names
                .get_mut(&directory)
                .unwrap()
                .insert(name, number);
            numbers.insert(path.clone(), number);
            match content {
                Some(bytes) => drop(point.files.insert(number, bytes.clone())),
                None => drop(point.names.insert(number, BTreeMap::new())),
            }
        }
        point
    }

    /// Lets one event happen.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Begun(_) | Event::Done(_) => {}
            Event::Directory(inode) => {
                self.names.insert(*inode, BTreeMap::new());
            }
            Event::SyncFile(synced) => self.settle(|event| match event {
                Event::Write { file, .. } | Event::Truncate { file, .. } => file == synced,
                _ => false,
            }),
            Event::SyncDirectory(synced) => self.settle(
                |event| matches!(event, Event::Names { directory, .. } if directory == synced),
            ),
            change => self.pending.push(change.clone()),
        }
    }

    fn settle(&mut self, is_durable: impl Fn(&Event) -> bool) {
        let (durable, pending): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|event| is_durable(event));
        self.pending = pending;
        for event in &durable {
            happen(event, Fate::Whole, &mut self.files, &mut self.names);
        }
    }

    /// What processes see: all that has happened.
    pub(crate) fn seen(&self) -> Image {
        self.with(&vec![Fate::Whole; self.pending.len()])
    }

    /// What a process leaves that is killed in the middle of the next event.
    pub(crate) fn killed_within(&self, next: &Event) -> Vec<Image> {
        let Event::Write { bytes, .. } = next else {
            return Vec::new();
        };
        let whole = vec![Fate::Whole; self.pending.len()];
        [1, bytes.len() / 2, bytes.len().saturating_sub(1)]
            .map(|cut| {
                let mut files = self.files.clone();
                let mut names = self.names.clone();
                for (event, fate) in self.pending.iter().zip(&whole) {
                    happen(event, *fate, &mut files, &mut names);
                }
                happen(next, Fate::Cut(cut), &mut files, &mut names);
                image(&files, &names)
            })
            .to_vec()
    }

    /// What a loss of power can leave now: all of it if that is at most `limit`
    /// states, else so many of them, chosen by `random`.
    pub(crate) fn crashes(&self, limit: usize, random: &mut Rng) -> BTreeSet<Image> {
        let choices: Vec<Vec<Fate>> = self
            .pending
            .iter()
            .map(|event| fates(event, random))
            .collect();
        let total = choices
            .iter()
            .try_fold(1_usize, |total, choice| total.checked_mul(choice.len()));
        let mut images = BTreeSet::new();
        if let Some(total) = total.filter(|total| *total <= limit) {
            for mut number in 0..total {
                let mut chosen = Vec::new();
                for choice in &choices {
                    chosen.push(choice[number % choice.len()]);
                    number /= choice.len();
                }
                images.insert(self.with(&chosen));
            }
        } else {
            images.insert(self.seen());
            images.insert(self.with(&vec![Fate::Lost; choices.len()]));
            for _ in 0..limit {
                // Often most is there or most is lost, and sometimes anything.
                let lean = random.u8(..4);
                let chosen: Vec<Fate> = choices
                    .iter()
                    .map(|choice| match (lean, random.u8(..4)) {
                        (0, 1..) => Fate::Whole,
                        (1, 1..) => Fate::Lost,
                        _ => choice[random.usize(..choice.len())],
                    })
                    .collect();
                images.insert(self.with(&chosen));
            }
        }
        images
    }

    fn with(&self, fates: &[Fate]) -> Image {
        let mut files = self.files.clone();
        let mut names = self.names.clone();
        for (event, fate) in self.pending.iter().zip(fates) {
            happen(event, *fate, &mut files, &mut names);
        }
        image(&files, &names)
    }
}

fn image(
    files: &BTreeMap<Inode, Vec<u8>>,
    names: &BTreeMap<Inode, BTreeMap<OsString, Inode>>,
) -> Image {
    // What was created and never written is an empty file.
    let file = |inode: Inode| match names.contains_key(&inode) {
        true => None,
        false => Some(files.get(&inode).cloned().unwrap_or_default()),
    };
    let entries = |inode: Inode| names.get(&inode).cloned().unwrap_or_default();
    image_of(&file, &entries)
}

/// What can become of an event.
fn fates(event: &Event, random: &mut Rng) -> Vec<Fate> {
    let mut fates = vec![Fate::Whole, Fate::Lost];
    if let Event::Write { at, bytes, .. } = event {
        let length = bytes.len();
        let mut cuts = BTreeSet::from([1, length / 2, length.saturating_sub(1)]);
        let first = at.next_multiple_of(SECTOR) - at;
        cuts.extend((first..length).step_by(SECTOR).take(4));
        cuts.extend((0..2).map(|_| random.usize(..=length)));
        cuts.retain(|cut| (1..length).contains(cut));
        for cut in cuts {
            fates.extend([Fate::Cut(cut), Fate::Zeros(cut)]);
        }
        fates.push(Fate::Zeros(length));
    }
    fates
}

fn happen(
    event: &Event,
    fate: Fate,
    files: &mut BTreeMap<Inode, Vec<u8>>,
    names: &mut BTreeMap<Inode, BTreeMap<OsString, Inode>>,
) {
    if fate == Fate::Lost {
        return;
    }
    match event {
        Event::Write { file, at, bytes } => {
            let (zeros, end) = match fate {
                Fate::Cut(cut) => (0, cut),
                Fate::Zeros(zeros) => (zeros, bytes.len()),
                _ => (0, bytes.len()),
            };
            let data = files.entry(*file).or_default();
            if data.len() < at + end {
                data.resize(at + end, 0);
            }
            data[at + zeros..at + end].copy_from_slice(&bytes[zeros..end]);
        }
        Event::Truncate { file, length } => files.entry(*file).or_default().truncate(*length),
        Event::Names { directory, changes } => {
            let entries = names.entry(*directory).or_default();
            for (name, inode) in changes {
                match inode {
                    Some(inode) => entries.insert(name.clone(), *inode),
                    None => entries.remove(name),
                };
            }
        }
        _ => {}
    }
}
