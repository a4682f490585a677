//! The loss of power, at every point of a log.

use std::collections::HashMap;

use fastrand::Rng;
use keyward_vault::Durability;

use crate::recorder::{Event, Image, Recorder};
use crate::states::Point;
use crate::steps::{API, FED, HELD, KEYS, MAC, Promise, SPARE, Step};
use crate::verdict::{Survivor, Wrong, survive};
use crate::workload::{Taken, Workload};

/// What a look at a log's crashes has found.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Points of logs.
    pub(crate) points: usize,
    /// States that a crash there could leave.
    pub(crate) states: usize,
    /// Of these, different ones.
    pub(crate) different: usize,
    /// States that a crash during the opening of one of them could leave.
    pub(crate) again: usize,
    /// What was wrong, at most some of it.
    pub(crate) wrong: Vec<Wrong>,
}

/// How thoroughly to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thoroughness {
    /// States at one point.
    pub(crate) states: usize,
    /// Of the different states, one in so many is crashed again while it is opened.
    pub(crate) again_one_in: usize,
    /// States at one point of such an opening.
    pub(crate) states_again: usize,
}

/// A log and what is known about it.
pub(crate) struct Recorded {
    pub(crate) start: Image,
    pub(crate) log: Vec<Event>,
    pub(crate) taken: Vec<Taken>,
    pub(crate) verifier_key: String,
    pub(crate) durability: Durability,
    /// The first point to look at.
    pub(crate) from: usize,
}

/// Keeps what became of each state.
type Seen = HashMap<Image, Result<Survivor, Wrong>>;

const MAX_WRONG: usize = 5;

impl Recorded {
    /// Crashes at every point from [`from`](Self::from) on, and judges every state.
    pub(crate) fn judge(&self, how: Thoroughness, random: &mut Rng) -> Tally {
        let mut tally = Tally::default();
        let mut seen = Seen::new();
        let mut point = Point::start(&self.start);
        for length in 0..=self.log.len() {
            let past = &self.log[..length];
            if length >= self.from {
                tally.points += 1;
                for image in point.crashes(how.states, random) {
                    let keeps = self.durability == Durability::Strict;
                    self.judge_one(&image, past, keeps, how, random, &mut seen, &mut tally);
                }
                // A killed process leaves what it has written, durable or not.
                let killed = self.log.get(length).map(|next| point.killed_within(next));
                let killed = killed.into_iter().flatten().chain([point.seen()]);
                for image in killed {
                    self.judge_one(&image, past, true, how, random, &mut seen, &mut tally);
                }
            }
            if tally.wrong.len() >= MAX_WRONG {
                break;
            }
            if let Some(event) = self.log.get(length) {
                point.apply(event);
            }
        }
        tally
    }

    #[expect(clippy::too_many_arguments, reason = "one loop's body, named")]
    fn judge_one(
        &self,
        image: &Image,
        past: &[Event],
        keeps_uses: bool,
        how: Thoroughness,
        random: &mut Rng,
        seen: &mut Seen,
        tally: &mut Tally,
    ) {
        tally.states += 1;
        let judge = |survivor: &Result<Survivor, Wrong>| match survivor {
            Ok(survivor) => survivor.check(past, &self.taken, keeps_uses),
            Err(wrong) => Err(wrong.clone()),
        };
        let verdict = match seen.get(image) {
            Some(survivor) => judge(survivor),
            None => {
                tally.different += 1;
                let survivor = survive(image, &self.verifier_key);
                let verdict = judge(&survivor);
                seen.insert(image.clone(), survivor);
                if verdict.is_ok() && random.usize(..how.again_one_in) == 0 {
                    self.crash_again(image, past, keeps_uses, how, random, tally);
                }
                verdict
            }
        };
        if let Err(Wrong(what)) = verdict {
            let (at, last) = (past.len(), past.last().map(ToString::to_string));
            let last = last.unwrap_or_default();
            tally
                .wrong
                .push(Wrong(format!("at {at}, after {last}: {what}")));
        }
    }

    /// Opens a state, and crashes at every point of that.
    fn crash_again(
        &self,
        image: &Image,
        past: &[Event],
        keeps_uses: bool,
        how: Thoroughness,
        random: &mut Rng,
        tally: &mut Tally,
    ) {
        let recorder = Recorder::new(image);
        let mut opening = Workload::on(&recorder, self.durability);
        if opening.open().is_err() {
            // There is no vault yet.
            return;
        }
        opening.end();
        let mut point = Point::start(image);
        for event in recorder.log() {
            point.apply(&event);
            for image in point.crashes(how.states_again, random) {
                tally.again += 1;
                let verdict = survive(&image, &self.verifier_key)
                    .and_then(|survivor| survivor.check(past, &self.taken, keeps_uses));
                if let Err(Wrong(what)) = verdict {
                    let at = past.len();
                    tally.wrong.push(Wrong(format!(
                        "opened after a crash at {at}, crashed again after {event}: {what}"
                    )));
                }
            }
        }
    }
}

/// Records steps on a new vault.
pub(crate) fn record_on(recorder: &Recorder, steps: &[Step], durability: Durability) -> Recorded {
    let (mut workload, verifier_key) = Workload::create(recorder, durability);
    workload.run(steps);
    workload.end();
    recorded(recorder, workload, verifier_key, durability)
}

fn recorded(
    recorder: &Recorder,
    workload: Workload,
    verifier_key: String,
    durability: Durability,
) -> Recorded {
    let log = recorder.log();
    // What a crash leaves of a vault's creation is looked at elsewhere.
    let created = log.iter().position(|event| *event == Event::Done(0));
    Recorded {
        start: Image::default(),
        from: created.unwrap() + 1,
        log,
        taken: workload.taken,
        verifier_key,
        durability,
    }
}

/// Records steps of a process that is killed, and those of the next one. The power
/// is to fail while the next one runs.
pub(crate) fn record_killed(
    steps: &[Step],
    next: &[Step],
    killed_at: usize,
    durability: Durability,
) -> Recorded {
    let recorder = Recorder::new(&Image::default());
    let (mut workload, verifier_key) = Workload::create(&recorder, durability);
    let before = recorder.log().len();
    recorder.kill_at(before.saturating_add(killed_at));
    workload.run_until_killed(steps);
    workload.run(next);
    workload.end();
    Recorded {
        from: before.saturating_add(killed_at),
        ..recorded(&recorder, workload, verifier_key, durability)
    }
}

/// The usual life of a vault.
pub(crate) const STEPS: &[Step] = &[
    Step::Add(MAC),
    Step::Add(API),
    Step::Grants,
    Step::Exchange(1),
    Step::Exchange(3),
    Step::Rotate(MAC),
    Step::Exchange(2),
    Step::Rotate(API),
    Step::Unwatched(3),
    Step::Reopen,
    Step::Grants,
    Step::Rotate(MAC),
    Step::Exchange(1),
];

/// Every other change, once.
const CHANGES: &[Step] = &[
    Step::Add(MAC),
    Step::Add(API),
    Step::Add(KEYS),
    Step::Rotate(MAC),
    Step::RollBack(MAC),
    Step::SetRotation(MAC),
    Step::Rotate(MAC),
    Step::SetRotation(MAC),
    Step::Retire(MAC),
    Step::Validity(API),
    Step::Disable(API),
    Step::Remove(API),
    Step::AddClient("shop"),
    Step::RotateClient("shop"),
    Step::RetireClient("shop"),
    Step::DisableClient("shop"),
    Step::EnableClient("shop"),
    Step::AddClient("depot"),
    Step::RemoveClient("shop"),
    Step::SetValue("Greeting"),
    Step::SetValue("Greeting"),
    Step::RemoveValue("Greeting"),
    Step::Grants,
    Step::Revoke,
    Step::Reinstate,
    Step::Disable(MAC),
    Step::Enable(MAC),
    Step::AddSlot,
    Step::Rekey,
    Step::Rewrap,
    Step::RemoveSlot,
    Step::Rekey,
    Step::Backup,
    Step::AddSourceSlot,
    Step::Rekey,
    Step::RemoveSlot,
    Step::AddSourced(FED),
    Step::AddSourced(HELD),
    Step::Receive(FED),
    Step::Receive(HELD),
    Step::Receive(HELD),
    Step::Unavailable(HELD),
    Step::Receive(HELD),
    Step::Unavailable(FED),
    Step::ReceiveAgain(FED),
    Step::Receive(FED),
    Step::SetOrigin(FED),
    Step::Receive(FED),
    Step::RemoveOrigin(FED),
    Step::SetOrigin(FED),
];

/// What the process does that comes after one that was killed.
pub(crate) const NEXT: &[Step] = &[
    Step::Reopen,
    Step::Add(SPARE),
    Step::Grants,
    Step::Exchange(1),
];

pub(crate) const QUICK: Thoroughness = Thoroughness {
    states: 64,
    again_one_in: 100,
    states_again: 3,
};

#[track_caller]
pub(crate) fn assert_all_right(tally: &Tally) {
    assert!(tally.points > 0 && tally.different > 0, "{tally:?}");
    let wrong: Vec<_> = tally.wrong.iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn record(steps: &[Step], durability: Durability) -> Recorded {
    record_on(&Recorder::new(&Image::default()), steps, durability)
}

#[test]
fn a_loss_of_power_at_any_moment_leaves_the_state_before_or_after_and_every_record() {
    let recorded = record(STEPS, Durability::Strict);
    let tally = recorded.judge(QUICK, &mut Rng::with_seed(1));
    assert_all_right(&tally);
    assert!(tally.again > 0);
}

#[test]
fn a_loss_of_power_during_any_change_leaves_the_state_before_or_after() {
    let recorded = record(CHANGES, Durability::Strict);
    let not_done = |taken: &&Taken| taken.promises.is_empty();
    assert_eq!(recorded.taken.iter().find(not_done).map(|_| ()), None);
    let tally = recorded.judge(QUICK, &mut Rng::with_seed(6));
    assert_all_right(&tally);
}

/// With a buffered trail, the loss of power may take the last exchanges' records;
/// nothing else, and the end of the process takes none.
#[test]
fn a_buffered_trail_loses_no_act_to_a_loss_of_power_and_nothing_to_a_kill() {
    let recorded = record(STEPS, Durability::Buffered);
    let tally = recorded.judge(QUICK, &mut Rng::with_seed(2));
    assert_all_right(&tally);
}

#[test]
fn a_loss_of_power_while_a_bundle_gets_its_name_loses_nothing() {
    // How many records there are before the steps around the border: so that its
    // last one is an exchange, an act, or one that opening writes.
    for before in [247, 249, 250, 252] {
        let border = [
            Step::Add(MAC),
            Step::Grants,
            // Four acts come before these.
            Step::Unwatched(before - 4),
            Step::Rotate(MAC),
            Step::Exchange(1),
            Step::Exchange(1),
            Step::Rotate(MAC),
            Step::Exchange(1),
            Step::Reopen,
            Step::Exchange(1),
            Step::Rotate(MAC),
        ];
        let mut recorded = record(&border, Durability::Strict);
        let filled = |event: &Event| match event {
            Event::Names { changes, .. } => changes.iter().any(|(name, _)| name == "001.tail"),
            _ => false,
        };
        let border = recorded.log.iter().position(filled).unwrap();
        recorded.from = border - 30;
        recorded.log.truncate(border + 20);
        let tally = recorded.judge(QUICK, &mut Rng::with_seed(3));
        assert_all_right(&tally);
    }
}

#[test]
fn a_loss_of_power_while_old_entries_are_removed_loses_no_other() {
    let steps = [
        Step::Add(MAC),
        Step::Grants,
        Step::Unwatched(560),
        Step::Rotate(MAC),
        Step::Prune,
        Step::Exchange(1),
        Step::Rotate(MAC),
    ];
    let mut recorded = record(&steps, Durability::Strict);
    assert_eq!(recorded.taken[5].promises, [Promise::act("entries-pruned")]);
    let pruning = |event: &Event| *event == Event::Begun(5);
    recorded.from = recorded.log.iter().position(pruning).unwrap();
    let tally = recorded.judge(QUICK, &mut Rng::with_seed(7));
    assert_all_right(&tally);
}

/// What a killed process left is seen by the next one, but not durable: the next
/// one must not build upon it.
#[test]
fn a_kill_and_then_a_loss_of_power_lose_nothing_either() {
    let whole = record(STEPS, Durability::Strict).log.len();
    let mut random = Rng::with_seed(4);
    let how = Thoroughness {
        states: 16,
        again_one_in: 1000,
        states_again: 2,
    };
    let mut points = 0;
    for killed_at in (0..whole).step_by(11) {
        let recorded = record_killed(STEPS, NEXT, killed_at, Durability::Strict);
        let tally = recorded.judge(how, &mut random);
        assert_all_right(&tally);
        points += tally.points;
    }
    assert!(points > 100);
}
