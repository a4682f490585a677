#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod used;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use futures_util::future::{BoxFuture, FutureExt as _};
use keyward_vault::{Secret, Validity};

use super::*;
use crate::SourceVersion;
use crate::error::{ChallengeError, Unreachable};
use crate::source::{Announcer, Changes, CheckStep, Fetched};

/// A source whose answer is set by the test.
struct Fake {
    name: SourceName,
    /// What it answers: a version, or an error.
    answer: Mutex<Result<u64, SourceError>>,
    enabled: AtomicBool,
    latency: Mutex<Duration>,
    /// When it was asked, and for what.
    asked: Mutex<Vec<(Instant, String)>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    announcer: Announcer,
}

impl Fake {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: SourceName::parse(name).unwrap(),
            answer: Mutex::new(Ok(1)),
            enabled: AtomicBool::new(true),
            latency: Mutex::default(),
            asked: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            announcer: Announcer::new(),
        })
    }

    fn answers(&self, answer: Result<u64, SourceError>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn is_down(&self) {
        self.answers(Err(SourceError::Unreachable(Unreachable::Connect)));
    }

    fn takes(&self, latency: Duration) {
        *self.latency.lock().unwrap() = latency;
    }

    fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// When it was asked, in seconds after `start`.
    fn times(&self, start: Instant) -> Vec<f64> {
        let asked = self.asked.lock().unwrap();
        let after = |asked: &(Instant, _)| (asked.0 - start).as_secs_f64();
        asked.iter().map(after).collect()
    }
}

impl Source for Fake {
    fn name(&self) -> &SourceName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "fake"
    }

    fn fetch<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        async move {
            self.asked
                .lock()
                .unwrap()
                .push((Instant::now(), key.to_owned()));
            let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
            self.most_under_way.fetch_max(under_way, SeqCst);
            let answer = self.answer.lock().unwrap().clone();
            let latency = *self.latency.lock().unwrap();
            tokio::time::sleep(latency).await;
            self.under_way.fetch_sub(1, SeqCst);
            let version = answer?;
            Ok(Fetched {
                value: Secret::read_from(format!("value {version}").as_bytes(), 100).unwrap(),
                version: SourceVersion::parse(&version.to_string())?,
                validity: Validity::default(),
                enabled: self.enabled.load(SeqCst),
                content_type: None,
            })
        }
        .boxed()
    }

    fn check<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>> {
        async { Vec::new() }.boxed()
    }

    fn check_key(&self, _: &str) -> Result<(), SourceError> {
        Ok(())
    }

    fn watch(&self) -> Option<Changes> {
        Some(self.announcer.listen())
    }
}

/// What was received, in order.
#[derive(Default)]
struct Record {
    events: Mutex<Vec<String>>,
    newest: Mutex<BTreeMap<String, String>>,
    numbers: AtomicU64,
    refuses: AtomicBool,
}

impl Record {
    fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}

impl Receiver for Record {
    fn receive(
        &self,
        secret: &SecretName,
        _: &Reference,
        fetched: Fetched,
    ) -> Result<Taken, ReceiveError> {
        if self.refuses.load(SeqCst) {
            return Err(ReceiveError::Kind {
                said: "PKCS #12",
                kind: "api-key",
            });
        }
        if !fetched.enabled {
            self.events
                .lock()
                .unwrap()
                .push(format!("{secret} disabled"));
            return Ok(Taken::Disabled);
        }
        let version = fetched.version.to_string();
        let before = self
            .newest
            .lock()
            .unwrap()
            .insert(secret.to_string(), version.clone());
        if before.as_ref() == Some(&version) {
            return Ok(Taken::Unchanged);
        }
        self.events
            .lock()
            .unwrap()
            .push(format!("{secret} is {version}"));
        Ok(Taken::NewVersion(self.numbers.fetch_add(1, SeqCst) + 1))
    }

    fn withhold(
        &self,
        secret: &SecretName,
        _: &Reference,
        why: Withheld,
    ) -> Result<(), ReceiveError> {
        self.newest.lock().unwrap().remove(secret.as_str());
        self.events
            .lock()
            .unwrap()
            .push(format!("{secret} {why:?}"));
        Ok(())
    }

    fn challenged(
        &self,
        secret: &SecretName,
        _: &Reference,
        why: ChallengeError,
    ) -> Result<(), ReceiveError> {
        let event = format!("{secret} challenged: {}", why.word());
        self.events.lock().unwrap().push(event);
        Ok(())
    }

    fn confirm(&self, source: &SourceName, confirmed: &[Confirmed]) -> Result<(), ReceiveError> {
        let each = confirmed.iter();
        let each: Vec<_> = each
            .map(|one| format!("{} {}s", one.secret, one.ago.as_secs()))
            .collect();
        let event = format!("{source} confirms {}", each.join(", "));
        self.events.lock().unwrap().push(event);
        Ok(())
    }
}

fn tracked(secret: &str, reference: &str) -> Tracked {
    Tracked {
        secret: SecretName::parse(secret).unwrap(),
        reference: reference.parse().unwrap(),
        has_value: false,
        withheld: None,
        sealed: false,
        confirmed_ago: None,
    }
}

fn scheduled(source: &Arc<Fake>) -> Scheduled {
    Scheduled {
        source: Arc::clone(source) as Arc<dyn Source>,
        schedule: Schedule::default(),
    }
}

/// A refresher of one source and one secret, which has been fetched.
async fn one() -> (Refresher, Arc<Fake>, Arc<Record>) {
    let (source, record) = (Fake::new("far"), Arc::new(Record::default()));
    let refresher = Refresher::seeded(Arc::clone(&record) as Arc<dyn Receiver>, 7);
    refresher.start();
    refresher.apply(vec![scheduled(&source)], vec![tracked("key", "far:k")]);
    assert!(
        refresher
            .first_values(Duration::from_secs(10))
            .await
            .is_empty()
    );
    (refresher, source, record)
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn only(refresher: &Refresher) -> SecretReport {
    refresher.secrets().pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_source_is_in_force_within_the_interval() {
    let (_refresher, source, record) = one().await;
    for version in 2..20 {
        source.answers(Ok(version));
        pass(61).await;
        assert_eq!(
            record.events().last().unwrap(),
            &format!("key is {version}")
        );
    }
    let asked = source.times_asked();
    assert!((19..=26).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_tells_of_changes_is_asked_at_once() {
    let (_refresher, source, record) = one().await;
    pass(5).await;
    source.answers(Ok(2));
    for _ in 0..50 {
        source.announcer.announce();
    }
    pass(1).await;
    assert_eq!(record.events(), ["key is 1", "key is 2"]);
    assert_eq!(source.times_asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_a_fetch_is_under_way_is_fetched_again() {
    let (_refresher, source, record) = one().await;
    pass(5).await;
    source.takes(Duration::from_secs(4));
    source.answers(Ok(2));
    source.announcer.announce();
    pass(1).await;
    source.answers(Ok(3));
    source.announcer.announce();
    pass(9).await;
    assert_eq!(record.events(), ["key is 1", "key is 2", "key is 3"]);
}

#[tokio::test(start_paused = true)]
async fn waits_after_failures_grow_and_end_at_the_first_answer() {
    let (refresher, source, _record) = one().await;
    source.is_down();
    let start = Instant::now();
    pass(3000).await;
    let times = source.times(start);
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps[0] <= 60.0 && gaps[1] <= 1.0 && gaps[2] <= 2.0 && gaps[3] <= 4.0,
        "{gaps:?}"
    );
    assert!(gaps.iter().all(|gap| *gap <= 60.1), "{gaps:?}");
    let late = &gaps[10..];
    assert!(late.iter().all(|gap| *gap >= 29.9), "{late:?}");
    let report = only(&refresher);
    assert_eq!(report.freshness, Freshness::Stale);
    assert_eq!(report.last_error.unwrap().word(), "unreachable");
    assert!(report.next_try.is_some());
    source.answers(Ok(2));
    pass(61).await;
    let report = only(&refresher);
    assert_eq!(report.freshness, Freshness::Fresh);
    assert!(report.last_error.is_none());
    assert_eq!(refresher.sources()[0].breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_served_until_the_stale_limit_and_then_withheld_once() {
    let (refresher, source, record) = one().await;
    source.is_down();
    pass(3590).await;
    assert_eq!(record.events(), ["key is 1"]);
    assert!(only(&refresher).stale_in.unwrap() < Duration::from_secs(60));
    pass(7200).await;
    assert_eq!(record.events(), ["key is 1", "key Stale"]);
    assert_eq!(only(&refresher).freshness, Freshness::Unavailable);
    source.answers(Ok(1));
    pass(61).await;
    assert_eq!(record.events(), ["key is 1", "key Stale", "key is 1"]);
    assert_eq!(only(&refresher).freshness, Freshness::Fresh);
}

#[tokio::test(start_paused = true)]
async fn a_denial_or_a_deletion_is_served_stale_and_a_disabled_secret_is_not() {
    let (refresher, source, record) = one().await;
    for error in [
        SourceError::NotFound,
        SourceError::Denied { firewall: false },
    ] {
        source.answers(Err(error));
        pass(600).await;
        assert_eq!(record.events(), ["key is 1"]);
        assert_eq!(only(&refresher).freshness, Freshness::Stale);
    }
    // What one secret lacks doesn't stop the others.
    assert_eq!(refresher.sources()[0].breaker, BreakerState::Closed);
    source.answers(Err(SourceError::Disabled));
    pass(61).await;
    assert_eq!(record.events(), ["key is 1", "key Disabled"]);
    assert_eq!(only(&refresher).freshness, Freshness::Disabled);
    source.answers(Ok(1));
    pass(61).await;
    assert_eq!(only(&refresher).freshness, Freshness::Fresh);
    source.enabled.store(false, SeqCst);
    pass(61).await;
    assert_eq!(record.events().last().unwrap(), "key disabled");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_source_asks_for_is_kept() {
    let (refresher, source, _record) = one().await;
    let retry_after = Some(Duration::from_secs(300));
    source.answers(Err(SourceError::Throttled { retry_after }));
    pass(61).await;
    let asked = source.times_asked();
    source.answers(Ok(2));
    pass(230).await;
    assert_eq!(source.times_asked(), asked);
    let BreakerState::Open { remaining } = refresher.sources()[0].breaker else {
        panic!("it is asked");
    };
    assert!(remaining <= Duration::from_secs(80), "{remaining:?}");
    // An operator is told, and the source is left in peace.
    let refreshed = refresher.refresh(&Selection::All).await.pop().unwrap();
    assert_eq!(refreshed.outcome.unwrap_err().word(), "throttled");
    assert_eq!(source.times_asked(), asked);
    pass(100).await;
    assert_eq!(source.times_asked(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_probed_with_one_secret_and_not_with_all() {
    let (source, record) = (Fake::new("far"), Arc::new(Record::default()));
    let refresher = Refresher::seeded(Arc::clone(&record) as Arc<dyn Receiver>, 7);
    let names: Vec<String> = (0..100).map(|number| format!("key-{number}")).collect();
    let secrets = names
        .iter()
        .map(|name| tracked(name, &format!("far:{name}")));
    source.takes(Duration::from_secs(1));
    refresher.start();
    refresher.apply(vec![scheduled(&source)], secrets.collect());
    assert!(
        refresher
            .first_values(Duration::from_secs(60))
            .await
            .is_empty()
    );
    assert_eq!(source.most_under_way.load(SeqCst), 8);
    source.is_down();
    pass(120).await;
    let before = source.times_asked();
    pass(600).await;
    let probes = source.times_asked() - before;
    assert!((9..=25).contains(&probes), "{probes}");
    assert!(matches!(
        refresher.sources()[0].breaker,
        BreakerState::Open { .. } | BreakerState::HalfOpen
    ));
    // Somebody who asks is answered at once, and that tells that it is back.
    source.answers(Ok(2));
    let key = SecretName::parse("key-1").unwrap();
    let refreshed = refresher.refresh(&Selection::Secrets(vec![key])).await;
    assert!(matches!(refreshed[0].outcome, Ok(Taken::NewVersion(_))));
    pass(60).await;
    assert!(
        refresher
            .secrets()
            .iter()
            .all(|report| report.failures == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_for_one_secret_make_one_fetch_that_began_after_they_asked() {
    let (refresher, source, _record) = one().await;
    pass(1).await;
    source.takes(Duration::from_secs(2));
    let asked = source.times_asked();
    let all = Selection::All;
    let first = refresher.refresh(&all);
    let rest = async {
        // The first is under way.
        pass(1).await;
        source.answers(Ok(9));
        futures_util::future::join_all((0..50).map(|_| refresher.refresh(&all))).await
    };
    let (first, rest) = tokio::join!(first, rest);
    assert_eq!(first[0].outcome, Ok(Taken::Unchanged));
    for refreshed in rest {
        assert!(matches!(refreshed[0].outcome, Ok(Taken::NewVersion(_))));
    }
    assert_eq!(source.times_asked(), asked + 2);
    assert_eq!(source.most_under_way.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_asks_sparingly_can_not_make_a_source_work() {
    let (refresher, source, record) = one().await;
    let key = SecretName::parse("key").unwrap();
    let pause = Duration::from_secs(5);
    let asked = source.times_asked();
    // Just fetched: not again.
    refresher.refresh_sparingly(&key, pause).await;
    assert_eq!(source.times_asked(), asked);
    pass(6).await;
    source.answers(Ok(2));
    source.takes(Duration::from_secs(1));
    let many = (0..100).map(|_| refresher.refresh_sparingly(&key, pause));
    futures_util::future::join_all(many).await;
    assert_eq!(source.times_asked(), asked + 1);
    assert_eq!(record.events().last().unwrap(), "key is 2");
    // A source that is left alone stays so.
    source.is_down();
    refresher.refresh(&Selection::All).await;
    refresher.refresh(&Selection::All).await;
    refresher.refresh(&Selection::All).await;
    let asked = source.times_asked();
    refresher.refresh_sparingly(&key, Duration::ZERO).await;
    assert_eq!(source.times_asked(), asked);
    let other = SecretName::parse("other").unwrap();
    refresher.refresh_sparingly(&other, pause).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_in_time_and_does_not_hold_the_others() {
    let (slow, quick) = (Fake::new("slow"), Fake::new("quick"));
    let record = Arc::new(Record::default());
    slow.takes(Duration::from_secs(100_000));
    let refresher = Refresher::seeded(Arc::clone(&record) as Arc<dyn Receiver>, 7);
    refresher.start();
    refresher.apply(
        vec![scheduled(&slow), scheduled(&quick)],
        vec![tracked("a", "slow:k"), tracked("b", "quick:k")],
    );
    let start = Instant::now();
    let missing = refresher.first_values(Duration::from_secs(30)).await;
    assert_eq!(missing, [SecretName::parse("a").unwrap()]);
    assert!(start.elapsed() <= Duration::from_secs(11));
    let report = refresher.secret(&missing[0]).unwrap();
    assert_eq!(report.last_error.unwrap().word(), "timed-out");
    assert_eq!(record.events(), ["b is 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_start_waits_for_first_values_only_so_long() {
    let (source, record) = (Fake::new("far"), Arc::new(Record::default()));
    source.takes(Duration::from_secs(9));
    let refresher = Refresher::seeded(Arc::clone(&record) as Arc<dyn Receiver>, 7);
    refresher.start();
    let sealed = Tracked {
        has_value: true,
        ..tracked("sealed", "far:s")
    };
    refresher.apply(vec![scheduled(&source)], vec![sealed.clone()]);
    let start = Instant::now();
    assert!(
        refresher
            .first_values(Duration::from_secs(5))
            .await
            .is_empty()
    );
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(5),
        "what is sealed is asked for, too"
    );
    refresher.track(vec![sealed, tracked("memory", "far:m")]);
    let missing = refresher.first_values(Duration::from_secs(5)).await;
    assert_eq!(missing, [SecretName::parse("memory").unwrap()]);
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    pass(20).await;
    assert!(refresher.without_value().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_taken_leaves_the_last_good_one_and_says_why() {
    let (refresher, source, record) = one().await;
    source.answers(Ok(2));
    record.refuses.store(true, SeqCst);
    pass(600).await;
    assert_eq!(record.events(), ["key is 1"]);
    let report = only(&refresher);
    assert_eq!(report.freshness, Freshness::Stale);
    assert_eq!(report.last_error.unwrap().word(), "other-kind");
    // It is asked no more often for that.
    assert!(source.times_asked() <= 14, "{}", source.times_asked());
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_known_and_forgets_what_is_gone() {
    let (refresher, source, record) = one().await;
    pass(10).await;
    let asked = source.times_asked();
    let both = vec![tracked("key", "far:k"), tracked("more", "far:m")];
    refresher.apply(vec![scheduled(&source)], both);
    pass(1).await;
    assert_eq!(
        source.times_asked(),
        asked + 1,
        "only what is new is fetched"
    );
    // Another source of that name: everything is fetched from it.
    let other = Fake::new("far");
    other.answers(Ok(5));
    refresher.apply(vec![scheduled(&other)], vec![tracked("key", "far:k")]);
    pass(1).await;
    assert_eq!(record.events().last().unwrap(), "key is 5");
    assert_eq!(refresher.secrets().len(), 1);
    // And it is the other that is listened to.
    other.answers(Ok(6));
    other.announcer.announce();
    pass(1).await;
    assert_eq!(record.events().last().unwrap(), "key is 6");
    // Its source is gone: it goes stale, and says why.
    refresher.apply(Vec::new(), vec![tracked("key", "far:k")]);
    pass(120).await;
    let report = only(&refresher);
    assert_eq!(report.freshness, Freshness::Stale);
    assert_eq!(
        report.last_error.unwrap(),
        SourceError::NotConfigured.into()
    );
    let name = SourceName::parse("far").unwrap();
    assert!(refresher.source(&name).is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_secret_that_goes_is_not_left_waiting() {
    let (refresher, source, _record) = one().await;
    source.takes(Duration::from_secs(5));
    let all = Selection::All;
    let (refreshed, ()) = tokio::join!(refresher.refresh(&all), async {
        pass(1).await;
        refresher.apply(Vec::new(), Vec::new());
    });
    assert_eq!(refreshed[0].outcome, Err(ReceiveError::Gone.into()));
}

#[tokio::test(start_paused = true)]
async fn work_ends_with_the_last_clone() {
    let (refresher, source, _record) = one().await;
    let clone = refresher.clone();
    drop(refresher);
    pass(120).await;
    assert!(source.times_asked() > 1);
    drop(clone);
    let asked = source.times_asked();
    pass(600).await;
    assert_eq!(source.times_asked(), asked);
}

/// A refresher of one sealed secret, which its source confirmed so long ago.
fn sealed_since(ago: Duration) -> (Refresher, Arc<Fake>, Arc<Record>) {
    let (source, record) = (Fake::new("far"), Arc::new(Record::default()));
    let refresher = Refresher::seeded(Arc::clone(&record) as Arc<dyn Receiver>, 7);
    let sealed = Tracked {
        has_value: true,
        sealed: true,
        confirmed_ago: Some(ago),
        ..tracked("key", "far:k")
    };
    refresher.start();
    source.answers(Err(SourceError::TimedOut));
    refresher.apply(vec![scheduled(&source)], vec![sealed]);
    (refresher, source, record)
}

#[tokio::test(start_paused = true)]
async fn a_restart_counts_on_from_the_last_good_answer() {
    for (ago, withheld_after) in [(0, 3600), (1800, 1800), (3599, 1), (3600, 0), (86_400, 0)] {
        let start = Instant::now();
        let (refresher, source, record) = sealed_since(Duration::from_secs(ago));
        while record.events().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(start.elapsed() < Duration::from_secs(4000), "{ago}");
        }
        let expected = Duration::from_secs(withheld_after);
        assert!(start.elapsed() >= expected, "{ago}");
        assert!(start.elapsed() < expected + Duration::from_secs(1), "{ago}");
        assert_eq!(record.events(), ["key Stale"], "{ago}");
        // Once it answers, the limit is whole again.
        source.answers(Ok(1));
        pass(120).await;
        assert_eq!(only(&refresher).freshness, Freshness::Fresh);
        let left = only(&refresher).stale_in.unwrap();
        assert!(left > Duration::from_secs(3500), "{left:?}");
        refresher.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_sealed_value_is_good_is_written_down_now_and_then_for_all_at_once() {
    let (source, record) = (Fake::new("far"), Arc::new(Record::default()));
    let refresher = Refresher::seeded(Arc::clone(&record) as Arc<dyn Receiver>, 7);
    let sealed = |name: &str| Tracked {
        sealed: true,
        ..tracked(name, &format!("far:{name}"))
    };
    refresher.start();
    let all = vec![sealed("a"), sealed("b"), tracked("memory", "far:m")];
    refresher.apply(vec![scheduled(&source)], all);
    pass(3600).await;
    let confirms: Vec<_> = record
        .events()
        .into_iter()
        .filter(|event| event.contains("confirms"))
        .collect();
    // An eighth of an hour and the time until the next answer.
    assert!((6..=8).contains(&confirms.len()), "{confirms:?}");
    for confirmed in &confirms {
        assert!(
            confirmed.contains("a ") && confirmed.contains("b "),
            "{confirmed}"
        );
        assert!(!confirmed.contains("memory"), "{confirmed}");
    }
    // Not while it doesn't answer.
    source.answers(Err(SourceError::TimedOut));
    let before = record.events().len();
    pass(1800).await;
    assert_eq!(record.events().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_was_refused_is_on_record_once_however_often_it_comes_back() {
    let (_refresher, source, record) = one().await;
    for why in [ChallengeError::Tenant, ChallengeError::Authority] {
        source.answers(Err(SourceError::Challenge(why)));
        pass(600).await;
    }
    // A source that answered well in between, and does it again, does something new.
    source.answers(Ok(1));
    pass(120).await;
    source.answers(Err(SourceError::Challenge(ChallengeError::Authority)));
    pass(600).await;
    let events = record.events();
    let challenged = events.iter().filter(|event| event.contains("challenged"));
    assert!(
        challenged.eq([
            "key challenged: tenant",
            "key challenged: authority",
            "key challenged: authority",
        ]
        .iter())
    );
}
