//! Requests that are signed by keys which stay in their sources.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;

use common::{Backend, World, actor, get, outgoing, reply};
use keyward_egress::{EgressError, RemoteSigner};
use keyward_names::SecretName;
use keyward_vault::{Cache, Kind, Origin, RemoteAnswer, RemoteCall, RemoteTask, Unavailability};

/// What a signer does.
#[derive(Clone, Copy)]
enum Does {
    Signs,
    Fails,
    Waits,
    SignsShort,
}

struct Signer {
    does: Does,
    asked: Mutex<Vec<Vec<u8>>>,
}

impl Signer {
    fn that(does: Does) -> Arc<Self> {
        Arc::new(Self {
            does,
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl RemoteSigner for Signer {
    fn sign<'a>(
        &'a self,
        call: &'a RemoteCall,
    ) -> Pin<Box<dyn Future<Output = Option<RemoteAnswer>> + Send + 'a>> {
        let RemoteTask::MakeCode { message, .. } = &call.task else {
            panic!("another task");
        };
        self.asked.lock().unwrap().push(message.clone());
        Box::pin(async move {
            match self.does {
                Does::Signs => Some(RemoteAnswer::Code(vec![7; 32])),
                Does::SignsShort => Some(RemoteAnswer::Code(vec![7; 31])),
                Does::Fails => None,
                Does::Waits => std::future::pending().await,
            }
        })
    }
}

/// A vault whose policy signs with a key that stays in its source.
fn world() -> World {
    let world = World::new();
    let far = SecretName::parse("far-key").unwrap();
    let kind: Kind = "hmac-key".parse().unwrap();
    let origin = Origin {
        reference: "bao:orders".parse().unwrap(),
        cache: Cache::Remote,
    };
    world
        .vault
        .add_sourced(&far, kind, origin, &actor())
        .unwrap();
    world.grant_instead("signing-key", "far-key");
    world
}

#[tokio::test]
async fn the_signature_of_a_source_arrives() {
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = world();
    let signer = Signer::that(Does::Signs);
    let egress = world
        .egress(backend.route())
        .signing_through(signer.clone());
    // One that is made from it signs through the same.
    let egress = egress.with_routes(egress.routes().cloned()).unwrap();
    let mut ledger = world.ledger();
    let notes = world.sign(&mut ledger);
    let sent = egress.send(outgoing(get("/charges"), notes), &mut ledger);
    sent.await.unwrap();
    let seen = backend.seen().remove(0);
    let signature = seen.headers["signature"].to_str().unwrap();
    let code = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    assert!(signature.ends_with(&format!("=:{code}:")), "{signature}");
    let base = String::from_utf8(signer.asked.lock().unwrap()[0].clone()).unwrap();
    let input = seen.headers["signature-input"].to_str().unwrap();
    assert!(base.ends_with(input.split_once('=').unwrap().1), "{base}");
}

#[tokio::test]
async fn without_a_signature_nothing_is_sent() {
    for does in [Does::Fails, Does::Waits, Does::SignsShort] {
        let backend = Backend::plain(|_| reply("ok")).await;
        let world = world();
        let signer = Signer::that(does);
        let egress = world
            .egress(backend.route())
            .signing_through(signer.clone());
        let mut ledger = world.ledger();
        let notes = world.sign(&mut ledger);
        let sent = egress.send(outgoing(get("/charges"), notes), &mut ledger);
        let refused = sent.await.err();
        assert_eq!(refused, Some(EgressError::SecretUnavailable));
        assert_eq!((signer.asked(), backend.seen().len()), (1, 0));
    }
    // Nobody is there to ask.
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = world();
    let egress = world.egress(backend.route());
    let mut ledger = world.ledger();
    let notes = world.sign(&mut ledger);
    let sent = egress.send(outgoing(get("/charges"), notes), &mut ledger);
    assert_eq!(sent.await.err(), Some(EgressError::SecretUnavailable));
    assert_eq!(backend.seen().len(), 0);
}

#[tokio::test]
async fn a_secret_that_is_not_to_be_had_any_more_is_told_from_one_that_is_not_granted() {
    let backend = Backend::plain(|_| reply("ok")).await;
    let world = world();
    let signer = Signer::that(Does::Signs);
    let egress = world
        .egress(backend.route())
        .signing_through(signer.clone());
    let far = SecretName::parse("far-key").unwrap();
    let mut ledger = world.ledger();
    let (one, other) = (world.sign(&mut ledger), world.sign(&mut ledger));
    let stale = Unavailability::Stale;
    world.vault.mark_unavailable(&far, stale, &actor()).unwrap();
    let sent = egress.send(outgoing(get("/charges"), one), &mut ledger);
    assert_eq!(sent.await.err(), Some(EgressError::SecretUnavailable));
    world.vault.mark_available(&far, &actor()).unwrap();
    world.revoke_all();
    let sent = egress.send(outgoing(get("/charges"), other), &mut ledger);
    assert_eq!(sent.await.err(), Some(EgressError::Denied));
    assert_eq!((signer.asked(), backend.seen().len()), (0, 0));
}
