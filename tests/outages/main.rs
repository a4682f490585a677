//! What becomes of secrets whose source is down, slow, throttling or lying: at the
//! start and later, for a moment and for good; and what `keyward doctor` says of it.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod clock;
mod listed;
mod lying;
mod restarts;
mod rows;
mod table;
mod world;

use std::time::Duration;

use http::StatusCode;
use keyward::sources::refresh::Freshness;
use keyward::sources::{SourceError, Unreachable};
use keyward::vault::Cache;

use rows::{Row, mistakes, outages};
use world::{Does, GOOD, World};

/// How many gateways run beside each other.
const BESIDE: usize = 6;

/// Plays rows, some of them beside each other, each with a gateway of its own.
async fn play(rows: Vec<Row>, one: impl AsyncFn(Row)) {
    for some in rows.chunks(BESIDE) {
        futures_util::future::join_all(some.iter().cloned().map(|row| one(row))).await;
    }
}

/// What a client gets and a backend sees while the key is in use.
fn used() -> (StatusCode, Option<String>) {
    (StatusCode::OK, Some(GOOD.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_used_through_every_outage_until_the_limit_and_then_refused() {
    play(outages(), outage).await;
}

async fn outage(row: Row) {
    let Row {
        does,
        word,
        finding,
        fix,
    } = row;
    let world = World::start(Does::Gives(GOOD), Cache::Memory).await;
    assert_eq!(world.ask().await, used());
    let gives = format!("{does:?}");
    world.does(does);
    world.until_it_is(Freshness::Stale).await;
    assert_eq!(world.ask().await, used(), "{gives}");
    let error = world.report().last_error.unwrap();
    assert_eq!(error.word(), word);
    let said = world.doctor().await;
    assert!(
        said.contains("billing-key is used as it was"),
        "{gives}: {said}"
    );
    assert!(said.contains(finding), "{gives}: {said}");
    assert!(said.contains(fix), "{gives}: {said}");
    table::is_as_the_page_has_it(word, &said);
    // Then it fails closed: no key reaches the backend.
    world.until_it_is(Freshness::Unavailable).await;
    world
        .until("uses are refused", async || {
            world.ask().await.0 != StatusCode::OK
        })
        .await;
    assert_eq!(world.ask().await.1, None, "{gives}");
    let said = world.doctor().await;
    assert!(
        said.contains("uses of billing-key are refused"),
        "{gives}: {said}"
    );
    let ready = world.page("/ready").await;
    assert!(
        ready.contains("1 refused, since the source does not answer"),
        "{ready}"
    );
    let metrics = world.page("/metrics").await;
    let counted = format!("keyward_source_fetches_total{{source=\"far\",outcome=\"{word}\"}}");
    assert!(metrics.contains(&counted), "{metrics}");
    // And it opens again at the first good answer.
    world.does(Does::Gives(GOOD));
    world.until_it_is(Freshness::Fresh).await;
    assert_eq!(world.ask().await, used(), "{gives}");
    assert!(world.doctor().await.contains("in order"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_an_outage_nothing_is_stale_and_changes_arrive() {
    const OTHER: &str = "key-of-the-backend-00000002";
    let world = World::start(Does::Gives(GOOD), Cache::Memory).await;
    tokio::time::sleep(world::schedule().stale_limit + Duration::from_secs(1)).await;
    assert_eq!(world.report().freshness, Freshness::Fresh);
    assert_eq!(world.ask().await, used());
    world.does(Does::Gives(OTHER));
    let changed = (StatusCode::OK, Some(OTHER.to_owned()));
    world
        .until("the change is in force", async || {
            world.ask().await == changed
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_its_source_disables_is_refused_at_once() {
    for does in [
        Does::GivesDisabled(GOOD),
        Does::Fails(SourceError::Disabled),
    ] {
        let world = World::start(Does::Gives(GOOD), Cache::Sealed).await;
        assert_eq!(world.ask().await, used());
        world.does(does);
        world.until_it_is(Freshness::Disabled).await;
        let (status, key) = world.ask().await;
        assert_ne!(status, StatusCode::OK);
        assert_eq!(key, None);
        let said = world.doctor().await;
        assert!(
            said.contains("it is disabled in its source, far:k"),
            "{said}"
        );
        world.does(Does::Gives(GOOD));
        world.until_it_is(Freshness::Fresh).await;
        assert_eq!(world.ask().await, used());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_whose_time_is_over_is_not_used() {
    let world = World::start(Does::Gives(GOOD), Cache::Memory).await;
    assert_eq!(world.ask().await, used());
    world.does(Does::GivesExpired(GOOD));
    world
        .until("it is over", async || world.ask().await.0 != StatusCode::OK)
        .await;
    assert_eq!(world.ask().await.1, None);
    let said = world.doctor_of("validity").await;
    let finding = "billing-key has expired: 2020-01-01T00:00:00Z";
    assert!(said.contains(finding), "{said}");
    // A value can't be set here: it is its source's.
    let fix = "set a new value in far:k, and then: keyward secret refresh billing-key";
    assert!(said.contains(fix), "{said}");
    world.does(Does::Gives(GOOD));
    world
        .until("it is used", async || world.ask().await == used())
        .await;
    assert_eq!(world.doctor_of("validity").await, "");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_slow_and_answers_keeps_nobody_waiting_and_nothing_stale() {
    const OTHER: &str = "key-of-the-backend-00000002";
    let slow = world::schedule().timeout * 2 / 5;
    let world = World::start(Does::GivesAfter(GOOD, slow), Cache::Memory).await;
    assert_eq!(world.ask().await, used());
    world.does(Does::GivesAfter(OTHER, slow));
    // While it takes its time the value that there is does: no request waits for it.
    let asked = world.times_asked();
    world
        .until("it is asked", async || world.times_asked() > asked)
        .await;
    assert_eq!(world.ask().await.0, StatusCode::OK);
    let changed = (StatusCode::OK, Some(OTHER.to_owned()));
    world
        .until("the change is in force", async || {
            world.ask().await == changed
        })
        .await;
    world.until_it_is(Freshness::Fresh).await;
    assert!(world.report().last_error.is_none());
    assert!(world.doctor().await.contains("in order"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_a_source_asks_for_is_kept_and_told() {
    let world = World::start(Does::Gives(GOOD), Cache::Memory).await;
    let retry_after = Some(Duration::from_secs(3600));
    world.does(Does::Fails(SourceError::Throttled { retry_after }));
    world.until_it_is(Freshness::Stale).await;
    let asked = world.times_asked();
    let said = world.doctor().await;
    assert!(said.contains("it is left alone for 35"), "{said}");
    world.until_it_is(Freshness::Unavailable).await;
    assert_eq!(world.times_asked(), asked);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_in_any_outage_says_which_and_serves_once_it_is_over() {
    let rows = [outages(), mistakes()].concat();
    let words: Vec<_> = rows.iter().map(|row| row.word).collect();
    table::has_no_other(&words);
    play(rows, started_in).await;
}

async fn started_in(row: Row) {
    let gives = format!("{:?}", row.does);
    let start = std::time::Instant::now();
    let world = World::start(row.does, Cache::Memory).await;
    // It waits for first values, and not for ever.
    assert!(start.elapsed() < world::PATIENCE, "{gives}");
    let (status, key) = world.ask().await;
    assert_ne!(status, StatusCode::OK, "{gives}");
    assert_eq!(key, None, "{gives}");
    assert_eq!(world.report().last_error.unwrap().word(), row.word);
    let ready = world.page("/ready").await;
    assert!(ready.contains("1 without a value yet"), "{gives}: {ready}");
    let said = world.doctor().await;
    for part in ["billing-key has no value yet", row.finding, row.fix] {
        assert!(said.contains(part), "{gives}: {said}");
    }
    table::is_as_the_page_has_it(row.word, &said);
    world.does(Does::Gives(GOOD));
    world.until_it_is(Freshness::Fresh).await;
    assert_eq!(world.ask().await, used(), "{gives}");
    assert!(world.doctor().await.contains("in order"), "{gives}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_in_an_outage_serves_what_is_sealed_and_no_longer_than_that() {
    // Down, hanging, throttling, lying.
    let words = ["unreachable", "timed-out", "throttled", "malformed"];
    let mut rows = outages();
    rows.retain(|row| words.contains(&row.word));
    assert_eq!(rows.len(), words.len());
    play(rows, async |row: Row| {
        let world = World::start(Does::Gives(GOOD), Cache::Sealed).await;
        assert_eq!(world.ask().await, used());
        let folder = world.stop().await;
        let world = World::start_in(folder, row.does, Cache::Sealed).await;
        assert_eq!(world.ask().await, used(), "{}", row.word);
        world.until_it_is(Freshness::Stale).await;
        let said = world.doctor().await;
        for part in ["billing-key is used as it was", row.finding, row.fix] {
            assert!(said.contains(part), "{}: {said}", row.word);
        }
        world.until_it_is(Freshness::Unavailable).await;
        world
            .until("uses are refused", async || {
                world.ask().await == (StatusCode::BAD_GATEWAY, None)
            })
            .await;
        world.does(Does::Gives(GOOD));
        world.until_it_is(Freshness::Fresh).await;
        assert_eq!(world.ask().await, used(), "{}", row.word);
        world.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_kept_in_memory_only_is_gone_with_the_gateway() {
    let world = World::start(Does::Gives(GOOD), Cache::Memory).await;
    assert_eq!(world.ask().await, used());
    let folder = world.stop().await;
    let down = Does::Fails(SourceError::Unreachable(Unreachable::Connect));
    let world = World::start_in(folder, down, Cache::Memory).await;
    let (status, key) = world.ask().await;
    assert_ne!(status, StatusCode::OK);
    assert_eq!(key, None);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_waits_for_first_values_and_not_for_ever() {
    let start = std::time::Instant::now();
    let world = World::start(Does::Hangs, Cache::Memory).await;
    let waited = start.elapsed();
    // A source's own time, of half a second, is over before the gateway's, of two.
    assert!(waited > Duration::from_millis(400), "{waited:?}");
    assert_eq!(world.report().last_error.unwrap().word(), "timed-out");
    world.stop().await;
}
