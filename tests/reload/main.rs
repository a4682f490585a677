//! Reloading a gateway that serves: all of a configuration or nothing, and each
//! request wholly by one.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod documents;
mod load;
mod world;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use keyward::egress::full;
use keyward::vault::read_records;
use keyward_gateway::forward;

use world::{Seen, Which, World};

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_counts_from_the_next_request_on_and_is_on_record() {
    let world = World::start(false).await;
    assert_eq!(world.ask().await.whole(), Some(Which::A));
    world.write(Which::B);
    assert_eq!(world.ask().await.whole(), Some(Which::A), "not by itself");
    assert_eq!(world.reload().await, Ok(2));
    assert_eq!(world.ask().await.whole(), Some(Which::B));
    let metrics = world.gateway.metrics();
    assert!(
        metrics.contains("keyward_config_generation 2\n"),
        "{metrics}"
    );
    assert!(metrics.contains("keyward_config_reloads_total{result=\"ok\"} 1\n"));
    let folder = world.stop().await;
    let records = read_records(&folder.path().join("audit"));
    let records: Vec<_> = records.map(|record| record.unwrap()).collect();
    let reloaded = |record: &&serde_json::Value| record["act"] == "configuration-reloaded";
    let [act] = records.iter().filter(reloaded).collect::<Vec<_>>()[..] else {
        panic!("one reload on record")
    };
    assert_eq!(act["actor"], "test");
    assert_eq!(act["configuration"].as_str().unwrap().len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_a_fault_anywhere_changes_nothing() {
    let world = World::start(false).await;
    let good = world.text(Which::B);
    let gone = world.folder.path().join("gone.wasm");
    for (broken, says) in [
        (
            good.replace("watch = false", "wach = false"),
            "has no key `wach`",
        ),
        (good.replace("outbound", "inbuond"), "did you mean"),
        (
            good.replace("127.0.0.1:0", "127.0.0.1:1"),
            "`listen` in [gateway]",
        ),
        (
            format!("{good}\n[audit]\ndurability = \"buffered\"\n"),
            "`durability` in [audit]",
        ),
        (
            format!("{good}\n[control.roles]\noperator = [\"uid:1\"]\n"),
            "`operator` in [control.roles]",
        ),
        (good.replace("grants.toml", "no.toml"), "no.toml"),
        (
            good.replace(
                "name = \"attach-api-key\"\ncomponent = \"",
                &format!(
                    "name = \"attach-api-key\"\ncomponent = \"{}\" #",
                    gone.display()
                ),
            ),
            "gone.wasm",
        ),
        (good.replace("values = [\"B\"]", "values = 7"), "settings"),
    ] {
        world.write_text(&broken);
        let error = world.reload().await.unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
        assert_eq!(world.ask().await.whole(), Some(Which::A), "{says}");
    }
    let metrics = world.gateway.metrics();
    assert!(metrics.contains("keyward_config_last_reload_ok 0\n"));
    assert!(metrics.contains("keyward_config_generation 1\n"));
    world.write(Which::B);
    assert_eq!(world.reload().await, Ok(2));
    assert_eq!(world.ask().await.whole(), Some(Which::B));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_new_grants_do_not_grant_is_refused_and_grants_that_are_broken_are_not_loaded() {
    let world = World::start(false).await;
    let grants = world.folder.path().join("grants.toml");
    std::fs::write(&grants, "[[grant]]\nid = 7\n").unwrap();
    world.write(Which::B);
    assert!(world.reload().await.is_err());
    assert_eq!(world.ask().await.whole(), Some(Which::A));
    std::fs::write(&grants, "").unwrap();
    assert_eq!(world.reload().await, Ok(2));
    assert_ne!(world.ask().await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_seen_where_files_are_watched() {
    let world = World::start(true).await;
    let began = Instant::now();
    let mut which = Which::A;
    for _ in 0..3 {
        which = which.other();
        world.write_watched(which);
        while world.ask().await.whole() != Some(which) {
            assert!(began.elapsed() < Duration::from_secs(30), "not seen");
            tokio::task::yield_now().await;
        }
    }
    // What is written and is no configuration is not taken, and the next one is.
    world.write_text("[gateway");
    let failed = "keyward_config_reloads_total{result=\"failed\"}";
    while !world.gateway.metrics().contains(failed) {
        assert!(began.elapsed() < Duration::from_secs(30), "not seen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.ask().await.whole(), Some(which));
    world.write_watched(which.other());
    while world.ask().await.whole() != Some(which.other()) {
        assert!(began.elapsed() < Duration::from_secs(30), "not seen");
    }
}

/// What would happen to a request that takes its routes from one configuration
/// and its policies from another.
#[tokio::test(flavor = "multi_thread")]
async fn control_a_request_between_two_configurations_is_seen_to_be_mixed() {
    let world = World::start(false).await;
    let before = world.gateway.snapshot();
    world.write(Which::B);
    world.reload().await.unwrap();
    let after = world.gateway.snapshot();
    let ask = async |keyward, pipelines| {
        let request = Request::get("/v1/charges")
            .header("host", "gateway.example")
            .body(full(Bytes::new()))
            .unwrap();
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Seen::of(&forward(keyward, pipelines, client, request).await)
    };
    let mixed = ask(after.keyward(), before.pipelines()).await;
    assert_eq!(mixed.status, StatusCode::OK);
    assert_eq!(mixed.marks, ["A", "A", "B"]);
    assert_eq!(mixed.whole(), None);
    let whole = ask(before.keyward(), before.pipelines()).await;
    assert_eq!(whole.whole(), Some(Which::A));
}
