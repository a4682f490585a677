//! What one exchange used, and the proof that it is on record.
//!
//! [`Vault::permit`](crate::Vault::permit) enters each use into the exchange's
//! ledger. Before anything that depends on a use leaves the host, the exchange
//! passes [`Ledger::barrier`]: what is pending becomes one record of the audit
//! trail, and the barrier opens when that record is durable. Its [`Durable`] is
//! the only proof of that, and whoever writes a secret anywhere asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keyward_names::{ExchangeId, PolicyName};

use crate::audit::{AuditUnavailable, Body, CountedUse, Done, ExchangePart, Hash, MAX_USES};
use crate::audit::{Notice, Outcome, Shared, UseEntry, notice};
use crate::clock::Clock;
use crate::live::LiveSecret;
use crate::uses::Use;

/// From this many different pending uses on, refusals under aliases that no grant
/// has are counted together, without the alias.
const FOLD_REFUSALS_FROM: usize = 32;
/// The most kinds of refusals that an exchange remembers.
const MAX_REFUSALS: usize = 8;

/// The uses of one exchange.
///
/// One task holds it. Dropping it records what is pending, without waiting: an
/// exchange that ends early, by an error or because its client left, leaves its
/// record all the same.
pub struct Ledger {
    shared: Arc<Shared>,
    exchange: ExchangeId,
    /// The number of the next record.
    part: Arc<AtomicU32>,
    pending: Vec<Pending>,
    /// How many uses were recorded.
    recorded: u64,
    /// How many of them are durable: all or those before some barrier.
    durable: u64,
    /// The newest record that is on its way, and what `durable` will be.
    in_flight: Option<(u64, Notice)>,
    /// Whether it has held anything but denials.
    notable: bool,
    refusals: Vec<Refusal>,
    /// The secrets with which it has signed or attached, in the version that it began
    /// with. Few, so they are not sorted.
    pins: Vec<Arc<LiveSecret>>,
}

struct Pending {
    grants: Hash,
    counted: CountedUse,
}

/// A kind of refusal: who was refused what, and why. For operators, never for a
/// policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Which policy.
    pub policy: PolicyName,
    /// What it wanted to do.
    pub use_: Use,
    /// Why not.
    pub outcome: Outcome,
}

/// A place in the order of an exchange's uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u64);

/// The proof that the uses of an exchange, up to a point, are in the audit trail.
///
/// Only [`Ledger::barrier`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Durable {
    exchange: ExchangeId,
    up_to: Position,
}

impl Durable {
    /// The exchange that it is about.
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// Whether the use at a position of an exchange is among those proved.
    pub(crate) fn covers(&self, exchange: ExchangeId, position: Position) -> bool {
        self.exchange == exchange && position <= self.up_to
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("exchange", &self.exchange)
            .field("recorded", &self.recorded)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    pub(crate) fn new(shared: Arc<Shared>, exchange: ExchangeId) -> Self {
        Self {
            shared,
            exchange,
            part: Arc::default(),
            pending: Vec::new(),
            recorded: 0,
            durable: 0,
            in_flight: None,
            notable: false,
            refusals: Vec::new(),
            pins: Vec::new(),
        }
    }

    /// The exchange that it belongs to.
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// Whether all that was recorded is durable: the exchange has nothing to wait
    /// for.
    pub fn is_settled(&self) -> bool {
        self.durable == self.recorded
    }

    /// A secret in the version with which this exchange began to sign or attach:
    /// `now`'s, if this is the first time, or if that version is gone or not valid.
    pub(crate) fn pinned(&mut self, now: &Arc<LiveSecret>, clock: &Clock) -> Arc<LiveSecret> {
        let mut pins = self.pins.iter_mut();
        match pins.find(|pin| pin.info.id == now.info.id) {
            None => self.pins.push(Arc::clone(now)),
            Some(pin) => {
                let is_other = pin.info.version != now.info.version;
                if is_other && now.allows(pin.info.version, clock) {
                    return Arc::clone(pin);
                }
                *pin = Arc::clone(now);
            }
        }
        Arc::clone(now)
    }

    /// From now on this exchange uses the secret in this version.
    pub(crate) fn pin(&mut self, secret: &Arc<LiveSecret>) {
        self.pins.retain(|pin| pin.info.id != secret.info.id);
        self.pins.push(Arc::clone(secret));
    }

    /// Waits until all that was recorded is durable.
    ///
    /// Returns at once if there is nothing to wait for, even when the trail has
    /// failed: who uses no secret doesn't depend on it.
    ///
    /// Errors: [`AuditUnavailable`]: it can't be recorded; nothing that depends on
    /// it may leave the host. Cancel safe: a record that is on its way stays on its
    /// way, and the next barrier waits for it. Needs no particular runtime.
    pub async fn barrier(&mut self) -> Result<Durable, AuditUnavailable> {
        self.submit()?;
        if let Some((position, notice)) = &mut self.in_flight {
            let (position, result) = (*position, notice.await);
            self.in_flight = None;
            if result.is_ok() {
                self.durable = position;
            }
        }
        if self.is_settled() {
            Ok(Durable {
                exchange: self.exchange,
                up_to: Position(self.durable),
            })
        } else {
            Err(AuditUnavailable)
        }
    }

    /// Where its newest use is.
    pub(crate) const fn position(&self) -> Position {
        Position(self.recorded)
    }

    /// What stays able to record for this exchange when the ledger is gone.
    pub(crate) fn afterwards(&self) -> Afterwards {
        Afterwards {
            shared: Arc::clone(&self.shared),
            exchange: self.exchange,
            part: Arc::clone(&self.part),
        }
    }

    /// Counts a refused use with those of other exchanges: it gets no record of
    /// its own, and nobody waits for it.
    pub(crate) fn count_refused(&self, entry: UseEntry) {
        self.shared.tally.add(&entry.used);
        self.shared.count(entry.grants, entry.used, 1);
    }

    /// Enters a use, or the refusal of one. Equal ones are counted.
    pub(crate) fn record(&mut self, entry: UseEntry) -> Position {
        self.recorded = self.recorded.saturating_add(1);
        let UseEntry { grants, mut used } = entry;
        self.shared.tally.add(&used);
        self.notable |= !used.outcome.is_refusal();
        // A client without a key is no mistake in the grants.
        if used.outcome.is_refusal() && used.outcome != Outcome::Unidentified {
            self.note_refusal(&used);
        }
        if !self.count(&grants, &used) {
            // A policy that tries name after name gets one line, not thousands.
            let fold = used.outcome == Outcome::NotGranted
                && used.grant.is_none()
                && self.pending.len() >= FOLD_REFUSALS_FROM;
            if fold {
                used.alias = None;
            }
            if !(fold && self.count(&grants, &used)) {
                let counted = CountedUse { used, count: 1 };
                self.pending.push(Pending { grants, counted });
            }
        }
        Position(self.recorded)
    }

    /// The kinds of refusals that it has had, at most eight of them.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    fn note_refusal(&mut self, used: &crate::audit::Used) {
        let same = |refusal: &Refusal| {
            refusal.outcome == used.outcome
                && refusal.use_ == used.use_
                && refusal.policy == used.policy
        };
        if self.refusals.len() < MAX_REFUSALS && !self.refusals.iter().any(same) {
            self.refusals.push(Refusal {
                policy: used.policy.clone(),
                use_: used.use_,
                outcome: used.outcome,
            });
        }
    }

    /// Counts a use that is already pending; `false` if it isn't.
    fn count(&mut self, grants: &Hash, used: &crate::audit::Used) -> bool {
        let same = self
            .pending
            .iter_mut()
            .find(|pending| pending.grants == *grants && pending.counted.used == *used);
        match same {
            Some(pending) => {
                pending.counted.count = pending.counted.count.saturating_add(1);
                true
            }
            None => false,
        }
    }

    /// If this exchange has had nothing but denials, gives those of policies that
    /// have had too many such exchanges to the counts.
    fn fold_denials(&mut self) {
        if self.notable || self.pending.is_empty() || self.shared.has_failed() {
            return;
        }
        let mut judged: Vec<(PolicyName, bool)> = Vec::new();
        let (shared, recorded) = (&self.shared, &mut self.recorded);
        self.pending.retain(|pending| {
            let CountedUse { used, count } = &pending.counted;
            let mut known = judged.iter();
            let known = known.find(|(policy, _)| *policy == used.policy);
            let own = match known {
                Some((_, own)) => *own,
                None => {
                    let own = shared.may_record_denial(&used.policy);
                    judged.push((used.policy.clone(), own));
                    own
                }
            };
            if !own {
                shared.count(pending.grants, used.clone(), *count);
                // Nobody holds the place of a denial.
                *recorded = recorded.saturating_sub(*count);
            }
            own
        });
    }

    /// Queues the records of what is pending; all of it, or it stays pending from
    /// the first one that is refused.
    fn submit(&mut self) -> Result<(), AuditUnavailable> {
        self.fold_denials();
        while let Some(length) = self.next_part() {
            let last = length == self.pending.len();
            let body = self.part_of(length);
            let (notifier, notice) = notice();
            self.shared.send(body, Done::Future(notifier))?;
            self.pending.drain(..length);
            // Records are committed in order: the last one speaks for all.
            let position = if last { self.recorded } else { self.durable };
            self.in_flight = Some((position, notice));
        }
        Ok(())
    }

    /// How many pending uses the next record takes: those under the same grants.
    fn next_part(&self) -> Option<usize> {
        let first = self.pending.first()?;
        let same = |pending: &&Pending| pending.grants == first.grants;
        Some(self.pending.iter().take(MAX_USES).take_while(same).count())
    }

    fn part_of(&self, length: usize) -> Body {
        let parts = self.pending.iter().take(length);
        Body::Exchange(ExchangePart {
            exchange: self.exchange,
            part: self.part.fetch_add(1, Ordering::Relaxed),
            grants: self.pending.first().map_or([0; 32], |first| first.grants),
            uses: parts.map(|pending| pending.counted.clone()).collect(),
        })
    }
}

/// Records what comes to light when the uses of an exchange are settled: a value
/// in a backend's answer, which is read long after the request has left.
#[derive(Clone)]
pub(crate) struct Afterwards {
    shared: Arc<Shared>,
    exchange: ExchangeId,
    part: Arc<AtomicU32>,
}

impl Afterwards {
    /// Queues a record of its own, and waits for nothing.
    pub(crate) fn record(&self, entry: UseEntry) {
        let mut ledger = Ledger::new(Arc::clone(&self.shared), self.exchange);
        ledger.part = Arc::clone(&self.part);
        // Dropping the ledger sends it.
        ledger.record(entry);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.fold_denials();
        while let Some(length) = self.next_part() {
            let body = self.part_of(length);
            // If it is refused, the trail has failed, or counts what it sheds.
            self.shared.send(body, Done::Nobody).ok();
            self.pending.drain(..length);
        }
    }
}
