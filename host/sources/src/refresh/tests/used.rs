//! Keys that stay in their source: one that fails where they are used is left alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_where_its_keys_are_used_is_left_alone_for_a_while() {
    let (refresher, fake, _) = one().await;
    let down = SourceError::Unreachable(Unreachable::Connect);
    let denied = SourceError::Denied { firewall: false };
    let fails = |error: &SourceError| {
        refresher.used(&fake.name, Err(error));
        refresher.pause(&fake.name)
    };
    // What concerns one key says nothing about the source, and neither do two failures.
    for error in [
        &denied, &denied, &denied, &down, &down, &denied, &down, &down,
    ] {
        assert_eq!(fails(error), None);
    }
    let pause = fails(&down).unwrap();
    assert!(!pause.is_zero());
    let state = refresher.sources()[0].breaker;
    assert!(matches!(state, BreakerState::Open { .. }), "{state:?}");
    pass(pause.as_secs() + 1).await;
    assert_eq!(refresher.pause(&fake.name), None);
    refresher.used(&fake.name, Ok(()));
    assert_eq!(fails(&down), None, "the count began anew");
    refresher.used(&fake.name, Ok(()));
    let asks = SourceError::Throttled {
        retry_after: Some(Duration::from_secs(20)),
    };
    assert_eq!(fails(&asks), Some(Duration::from_secs(20)));
    let nobody = SourceName::parse("nobody").unwrap();
    refresher.used(&nobody, Err(&down));
    assert_eq!(refresher.pause(&nobody), None);
}
