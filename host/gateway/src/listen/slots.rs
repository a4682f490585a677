//! How many connections there are, in all and from each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long a change of the limit may go unnoticed while all slots are taken.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Counts connections.
#[derive(Default)]
pub(super) struct Slots {
    counts: Mutex<Counts>,
    freed: Notify,
}

#[derive(Default)]
struct Counts {
    all: usize,
    of_client: HashMap<IpAddr, usize>,
}

/// A connection, counted until this is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    client: IpAddr,
}

impl Slots {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Numbers are never left half changed.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections there are.
    pub(super) fn taken(&self) -> usize {
        self.counts().all
    }

    /// Ready when there are fewer than `most`. Since `most` may change, it is asked
    /// again whenever a connection ends, and every second. Cancel-safe.
    pub(super) async fn free(&self, most: impl Fn() -> usize) {
        loop {
            let freed = self.freed.notified();
            if self.taken() < most().max(1) {
                return;
            }
            // Ended or not: either way it is looked at again.
            let _ = tokio::time::timeout(ASK_AGAIN, freed).await;
        }
    }

    /// Counts a connection; none if that client has `most` already.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, most: Option<usize>) -> Option<Slot> {
        let client = holder(address);
        let mut counts = self.counts();
        let there = counts.of_client.entry(client).or_default();
        if most.is_some_and(|most| *there >= most) {
            return None;
        }
        *there += 1;
        counts.all += 1;
        Some(Slot {
            slots: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some(there) = counts.of_client.get_mut(&self.client) {
            *there = there.saturating_sub(1);
            if *there == 0 {
                counts.of_client.remove(&self.client);
            }
        }
        drop(counts);
        self.slots.freed.notify_one();
    }
}

/// Who has an address: of IPv6, whoever has its /64 has all of it.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_client_has_as_many_connections_as_it_may_and_others_theirs() {
        let slots = Arc::new(Slots::default());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let first = slots.take(one, Some(2)).unwrap();
        let second = slots.take(mapped, Some(2)).unwrap();
        assert!(slots.take(one, Some(2)).is_none());
        let third = slots.take(other, Some(2)).unwrap();
        assert_eq!(slots.taken(), 3);
        drop(first);
        assert!(slots.take(one, Some(2)).is_some());
        drop((second, third));
        assert_eq!(slots.taken(), 0);
        assert!(slots.counts().of_client.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_raised_counts_while_no_connection_ends() {
        let slots = Arc::new(Slots::default());
        let _first = slots.take("192.0.2.1".parse().unwrap(), None).unwrap();
        let most = std::sync::atomic::AtomicUsize::new(1);
        let most_now = || most.load(std::sync::atomic::Ordering::Relaxed);
        let mut free = std::pin::pin!(slots.free(most_now));
        let minute = Duration::from_secs(60);
        let waited = tokio::time::timeout(minute, free.as_mut()).await;
        assert!(waited.is_err(), "there is none");
        most.store(2, std::sync::atomic::Ordering::Relaxed);
        let waited = tokio::time::timeout(Duration::from_secs(2), free).await;
        assert!(waited.is_ok(), "it is not noticed");
    }

    #[test]
    fn addresses_of_one_64_network_are_one_client() {
        let slots = Arc::new(Slots::default());
        let _first = slots.take("2001:db8::1".parse().unwrap(), Some(1)).unwrap();
        assert!(
            slots
                .take("2001:db8::2".parse().unwrap(), Some(1))
                .is_none()
        );
        assert!(
            slots
                .take("2001:db8:0:1::1".parse().unwrap(), Some(1))
                .is_some()
        );
    }
}
