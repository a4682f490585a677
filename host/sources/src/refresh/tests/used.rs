//! Keys that stay in their source: one that fails where they are used is left alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_where_its_keys_are_used_is_left_alone_for_a_while() {
    let (refresher, fake, _) = one().await;
    let key = Reference::new(fake.name.clone(), "orders").unwrap();
    let down = SourceError::Unreachable(Unreachable::Connect);
    let denied = SourceError::Denied { firewall: false };
    let fails = |error: &SourceError| {
        refresher.used(&key, Err(error));
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
    refresher.used(&key, Ok(()));
    assert_eq!(fails(&down), None, "the count began anew");
    refresher.used(&key, Ok(()));
    let asks = SourceError::Throttled {
        retry_after: Some(Duration::from_secs(20)),
    };
    assert_eq!(fails(&asks), Some(Duration::from_secs(20)));
    let nobody = SourceName::parse("nobody").unwrap();
    let nobodys = Reference::new(nobody.clone(), "orders").unwrap();
    refresher.used(&nobodys, Err(&down));
    assert_eq!(refresher.pause(&nobody), None);
    assert_eq!(refresher.last_use(&nobodys), None);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_of_each_key_why_its_last_use_failed_until_one_does_not() {
    let (refresher, fake, _) = one().await;
    let key = |key: &str| Reference::new(fake.name.clone(), key).unwrap();
    let (one, other) = (key("one"), key("other"));
    let told = |key: &Reference| {
        let report = refresher.last_use(key);
        report.map(|report| (report.last_error.word(), report.failures))
    };
    assert_eq!(told(&one), None);
    refresher.used(&one, Err(&SourceError::OtherKey));
    refresher.used(&one, Err(&SourceError::Forged));
    refresher.used(&other, Ok(()));
    assert_eq!(told(&one), Some(("forged", 2)));
    assert_eq!(told(&other), None);
    refresher.used(&one, Ok(()));
    assert_eq!(told(&one), None);
}
