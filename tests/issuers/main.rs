//! Tokens that an OpenID provider of others' making (oidc-provider) issued, checked with
//! the keys that it publishes; and what happens when it replaces them.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod provider;

use std::time::Duration;

use keyward::egress::Route;
use keyward::engine::IssuedTokenFault;
use keyward::names::{IssuerName, RouteName};
use keyward::vault::{
    Durability, TokenAlgorithm, TokenFault, TokenRules, Vault, VaultFiles, VerifiedToken,
};
use keyward::{Issuer, KeysAt, Keyward};
use serde_json::Value;

use provider::Provider;

const MINUTE: Duration = Duration::from_secs(60);

struct World {
    keyward: Keyward,
    provider: Provider,
    _directory: tempfile::TempDir,
}

/// `None` where the user said that this machine can't have others' servers.
fn world(change: impl FnOnce(&mut Issuer)) -> Option<World> {
    let provider = Provider::start()?;
    let directory = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(directory.path());
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    let route = RouteName::parse("login").unwrap();
    let mut issuer = Issuer {
        name: IssuerName::parse("login").unwrap(),
        route: route.clone(),
        keys: KeysAt::Discovery("/.well-known/openid-configuration".parse().unwrap()),
        algorithms: vec![TokenAlgorithm::Rs256],
        rules: TokenRules {
            issuer: Some(provider.url.clone()),
            audiences: vec!["urn:orders".to_owned()],
            clock_skew_seconds: 5,
        },
        refresh: Duration::from_secs(3600),
        unknown_key_floor: Duration::ZERO,
        max_age: Duration::from_secs(86_400),
    };
    change(&mut issuer);
    let keyward = Keyward::builder(vault)
        .route(Route::new(route, &provider.url).unwrap())
        .issuers([issuer])
        .build()
        .unwrap();
    Some(World {
        keyward,
        provider,
        _directory: directory,
    })
}

impl World {
    async fn verify(&self, token: &str) -> Result<VerifiedToken, IssuedTokenFault> {
        let (outside, name) = (self.keyward.outside(), IssuerName::parse("login").unwrap());
        outside.verify_token(&name, token, outside.now()).await
    }
}

fn wrong(fault: TokenFault) -> Option<IssuedTokenFault> {
    Some(IssuedTokenFault::Token(fault))
}

#[tokio::test]
async fn a_token_that_the_provider_issued_is_right_by_the_keys_that_it_publishes() {
    let Some(mut world) = world(|_| {}) else {
        return;
    };
    for _ in 0..3 {
        let token = world.provider.token();
        let verified = world.verify(&token).await.unwrap();
        let claims: Value = serde_json::from_str(&verified.claims).unwrap();
        assert_eq!(claims["client_id"], "orders-app");
        assert_eq!(claims["scope"], "read");
        assert_eq!(verified.type_.as_deref(), Some("at+jwt"));
        let (start, end) = token.split_at(token.len() - 20);
        let other = if end.starts_with('A') { "B" } else { "A" };
        let forged = format!("{start}{other}{}", &end[1..]);
        assert_eq!(
            world.verify(&forged).await.err(),
            wrong(TokenFault::Signature)
        );
    }
    assert_eq!(world.provider.asked(), 1, "the keys are kept");
}

#[tokio::test]
async fn when_the_provider_replaces_its_key_the_keys_are_fetched_once_more() {
    let Some(mut world) = world(|_| {}) else {
        return;
    };
    let old = world.provider.token();
    world.verify(&old).await.unwrap();
    world.provider.rotate();
    let new = world.provider.token();
    for _ in 0..5 {
        world.verify(&new).await.unwrap();
    }
    assert_eq!(world.provider.asked(), 2);
    let refused = world.verify(&old).await.err();
    assert_eq!(refused, wrong(TokenFault::UnknownKey));
}

#[tokio::test]
async fn within_the_floor_the_keys_are_not_fetched_however_many_tokens_name_others() {
    let Some(mut world) = world(|issuer| issuer.unknown_key_floor = MINUTE) else {
        return;
    };
    let old = world.provider.token();
    world.verify(&old).await.unwrap();
    world.provider.rotate();
    let new = world.provider.token();
    for _ in 0..100 {
        let refused = world.verify(&new).await.err();
        assert_eq!(refused, wrong(TokenFault::UnknownKey));
    }
    assert_eq!(world.provider.asked(), 1);
    world.verify(&old).await.unwrap();
}

#[tokio::test]
async fn control_without_a_floor_each_token_that_names_another_key_is_a_fetch() {
    let Some(mut world) = world(|_| {}) else {
        return;
    };
    let old = world.provider.token();
    world.verify(&old).await.unwrap();
    world.provider.rotate();
    let new = world.provider.token();
    world.verify(&new).await.unwrap();
    for _ in 0..20 {
        assert!(world.verify(&old).await.is_err());
    }
    assert!(world.provider.asked() >= 20);
}

#[tokio::test]
async fn keys_that_are_too_old_are_not_believed_when_the_provider_is_gone() {
    let change = |issuer: &mut Issuer| {
        issuer.refresh = Duration::from_millis(1);
        issuer.max_age = Duration::from_millis(1);
    };
    let Some(mut world) = world(change) else {
        return;
    };
    let token = world.provider.token();
    world.provider.stop();
    let refused = world.verify(&token).await.err();
    assert_eq!(refused, Some(IssuedTokenFault::Unavailable));
}

#[tokio::test]
async fn control_keys_that_are_young_enough_are_believed_when_the_provider_is_gone() {
    let Some(mut world) = world(|issuer| issuer.unknown_key_floor = MINUTE) else {
        return;
    };
    let token = world.provider.token();
    world.verify(&token).await.unwrap();
    world.provider.stop();
    world.verify(&token).await.unwrap();
}

#[tokio::test]
async fn another_issuers_discovery_document_is_not_believed() {
    let change = |issuer: &mut Issuer| {
        issuer.rules.issuer = Some("https://login.example".to_owned());
    };
    let Some(mut world) = world(change) else {
        return;
    };
    let token = world.provider.token();
    let refused = world.verify(&token).await.err();
    assert_eq!(refused, Some(IssuedTokenFault::Unavailable));
    assert_eq!(world.provider.asked(), 0);
}

#[tokio::test]
async fn tokens_for_others_and_with_other_algorithms_are_refused() {
    let change = |issuer: &mut Issuer| issuer.rules.audiences = vec!["urn:billing".to_owned()];
    let Some(mut world) = self::world(change) else {
        return;
    };
    let token = world.provider.token();
    assert_eq!(
        world.verify(&token).await.err(),
        wrong(TokenFault::Audience)
    );
    let change = |issuer: &mut Issuer| issuer.algorithms = vec![TokenAlgorithm::Ps256];
    let Some(mut world) = self::world(change) else {
        return;
    };
    let token = world.provider.token();
    assert_eq!(
        world.verify(&token).await.err(),
        wrong(TokenFault::Algorithm)
    );
}
