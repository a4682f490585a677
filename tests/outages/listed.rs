//! What `keyward secret list` says of a secret that comes from a source, in each of its
//! states; and that the page for operators knows each of them.

use std::path::Path;

use keyward::sources::SourceError;
use keyward::sources::refresh::Freshness;
use keyward::vault::Cache;

use crate::world::{Does, GOOD, World};

/// The columns that have something in them, but for name, kind and source, which always
/// have; then version, state, the source's version, and the error.
async fn listed(world: &World) -> (Vec<String>, [String; 4]) {
    let mut cells = world.listed().await;
    // While the source is being asked there is no next time.
    for _ in 0..100 {
        if !cells["NEXT TRY"].is_empty() {
            break;
        }
        cells = world.listed().await;
    }
    assert_eq!(cells["NAME"], "billing-key");
    assert_eq!(cells["KIND"], "api-key");
    assert_eq!(cells["SOURCE"], "far:k");
    let times = ["LAST SUCCESS", "NEXT TRY"];
    let times = times.iter().filter(|column| !cells[**column].is_empty());
    let rest = ["VERSION", "STATE", "ITS VERSION", "LAST ERROR"];
    (
        times.map(|column| (*column).to_owned()).collect(),
        rest.map(|column| cells[column].clone()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_source_version_success_next_try_error_and_state_of_each() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/gateway/SOURCES.md");
    let page = std::fs::read_to_string(page).unwrap();
    let both = ["LAST SUCCESS", "NEXT TRY"];

    let world = World::start(Does::Gives(GOOD), Cache::Memory).await;
    let (times, cells) = listed(&world).await;
    assert_eq!(times, both);
    assert_eq!(cells, ["1", "enabled", "7", ""]);

    let throttled = || Does::Fails(SourceError::Throttled { retry_after: None });
    for (does, freshness, state, error) in [
        (throttled(), Freshness::Stale, "enabled, stale", "throttled"),
        (throttled(), Freshness::Unavailable, "stale", "throttled"),
        (
            Does::Fails(SourceError::Disabled),
            Freshness::Disabled,
            "disabled-in-source",
            "",
        ),
        (Does::GivesExpired(GOOD), Freshness::Fresh, "expired", ""),
    ] {
        world.does(does);
        world.until_it_is(freshness).await;
        let (times, cells) = listed(&world).await;
        assert_eq!(times, both, "{state}");
        assert_eq!(cells, ["1", state, "7", error]);
        assert!(page.contains(&format!("`{state}`")), "{state}");
    }
    world.stop().await;

    let world = World::start(Does::Hangs, Cache::Memory).await;
    let (times, cells) = listed(&world).await;
    assert_eq!(times, ["NEXT TRY"]);
    assert_eq!(cells, ["none", "not-fetched", "", "timed-out"]);
    assert!(page.contains("`not-fetched`"));
    world.stop().await;
}
