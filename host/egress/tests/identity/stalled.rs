//! A backend that takes a connection and says nothing for long, before it asks for the
//! certificate: what was withdrawn meanwhile is not shown any more (P7).

use std::sync::Arc;

use keyward_egress::EgressError;
use keyward_names::RouteName;
use keyward_vault::TokenFailure;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::common::{get, outgoing, route_name};
use crate::demanding::{Asks, Demanding};
use crate::world::{Clients, World};

/// Stands before a server. Takes connections, and passes nothing on before it may.
struct Stall {
    port: u16,
    taken: Arc<Notify>,
    may: watch::Sender<bool>,
}

impl Stall {
    async fn before(server: &Demanding) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stall = Self {
            port: listener.local_addr().unwrap().port(),
            taken: Arc::default(),
            may: watch::Sender::new(false),
        };
        let (there, taken) = (server.address(), Arc::clone(&stall.taken));
        let may = stall.may.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                taken.notify_one();
                let mut may = may.clone();
                tokio::spawn(async move {
                    may.wait_for(|may| *may).await.unwrap();
                    let mut far = TcpStream::connect(there).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        stall
    }
}

/// What is withdrawn while the backend is silent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Withdrawn {
    Nothing,
    Grants,
    Secret,
}

impl Withdrawn {
    fn from(self, world: &World) {
        match self {
            Self::Nothing => {}
            Self::Grants => world.revoke_all(),
            Self::Secret => world.disable("x"),
        }
    }
}

/// The certificates that the server saw, once its connections have ended.
async fn shown_to(server: &Demanding) -> Vec<String> {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.connections() == 0 || server.over() < server.connections() {
        assert!(std::time::Instant::now() < limit, "a connection never ends");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.ended()
}

/// Sends a request over a connection that the backend leaves waiting meanwhile.
async fn present(
    versions: &[&'static SupportedProtocolVersion],
    withdrawn: Withdrawn,
) -> (Result<u16, EgressError>, Vec<String>) {
    let clients = Clients::new();
    let world = World::new(&[("x", &clients.certificate("x", &PKCS_ECDSA_P256_SHA256))]);
    let server = Demanding::start(&clients, versions, Asks::Always).await;
    server.close_each();
    let stall = Stall::before(&server).await;
    let egress = world.egress(server.route_at(route_name(), stall.port));
    let meanwhile = async {
        stall.taken.notified().await;
        withdrawn.from(&world);
        stall.may.send_replace(true);
    };
    let (sent, ()) = tokio::join!(world.send(&egress, "x", get("/who")), meanwhile);
    (sent, shown_to(&server).await)
}

#[tokio::test]
async fn a_certificate_that_was_withdrawn_while_the_backend_was_silent_is_not_shown() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        for withdrawn in [Withdrawn::Grants, Withdrawn::Secret] {
            let (sent, shown) = present(versions, withdrawn).await;
            assert_eq!(sent, Err(EgressError::Denied), "{withdrawn:?}");
            assert_eq!(shown, Vec::<String>::new(), "{withdrawn:?}");
        }
    }
}

#[tokio::test]
async fn control_where_nothing_is_withdrawn_it_is_shown_once_the_backend_asks() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let (sent, shown) = present(versions, Withdrawn::Nothing).await;
        assert_eq!(sent, Ok(200));
        assert_eq!(shown, ["x"]);
    }
}

#[tokio::test]
async fn a_session_is_not_resumed_for_what_was_withdrawn_while_the_backend_was_silent() {
    for withdrawn in [Withdrawn::Nothing, Withdrawn::Grants, Withdrawn::Secret] {
        let clients = Clients::new();
        let world = World::new(&[("x", &clients.certificate("x", &PKCS_ECDSA_P256_SHA256))]);
        let server = Demanding::start(&clients, &[&TLS13], Asks::Always).await;
        server.close_each();
        let stall = Stall::before(&server).await;
        let egress = world.egress(server.route_at(route_name(), stall.port));
        stall.may.send_replace(true);
        assert_eq!(world.send(&egress, "x", get("/who")).await, Ok(200));
        stall.taken.notified().await;
        stall.may.send_replace(false);
        let meanwhile = async {
            stall.taken.notified().await;
            withdrawn.from(&world);
            stall.may.send_replace(true);
        };
        let (sent, ()) = tokio::join!(world.send(&egress, "x", get("/who")), meanwhile);
        let seen = server.seen();
        match withdrawn {
            // The control.
            Withdrawn::Nothing => assert!(sent == Ok(200) && seen[1].resumed),
            _ => assert!(sent == Err(EgressError::Denied) && seen.len() == 1),
        }
    }
}

/// Obtains a token from an endpoint that leaves the connection waiting meanwhile.
async fn obtain(withdrawn: Withdrawn) -> (EgressError, Vec<String>) {
    let clients = Clients::new();
    let world = World::new(&[("x", &clients.certificate("x", &PKCS_ECDSA_P256_SHA256))]);
    let server = Demanding::start(&clients, &[&TLS13], Asks::Always).await;
    server.close_each();
    let stall = Stall::before(&server).await;
    let identity = RouteName::parse("identity").unwrap();
    let routes = [server.route(), server.route_at(identity, stall.port)];
    let egress = world.egress_to(routes);
    let mut ledger = world.ledger();
    let notes = world.token("x", &mut ledger);
    let sending = egress.send(outgoing(get("/who"), notes), &mut ledger);
    let meanwhile = async {
        stall.taken.notified().await;
        withdrawn.from(&world);
        stall.may.send_replace(true);
    };
    let (sent, ()) = tokio::join!(sending, meanwhile);
    (sent.err().unwrap(), shown_to(&server).await)
}

#[tokio::test]
async fn nor_is_it_shown_to_a_token_endpoint_that_was_silent() {
    for withdrawn in [Withdrawn::Grants, Withdrawn::Secret] {
        let (error, shown) = obtain(withdrawn).await;
        let refused = EgressError::Token(TokenFailure::Refused);
        assert_eq!(error, refused, "{withdrawn:?}");
        assert_eq!(shown, Vec::<String>::new(), "{withdrawn:?}");
    }
    // The control: it is shown, to an endpoint whose answer is no token.
    let (error, shown) = obtain(Withdrawn::Nothing).await;
    assert_eq!(error, EgressError::Token(TokenFailure::Unusable));
    assert_eq!(shown, ["x"]);
}
