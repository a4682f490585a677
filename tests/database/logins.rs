//! Logging in: over TLS to the right host, with a proof and never the password, in the
//! version that is in use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keyward::egress::{QueryError, Roots, Stage};
use keyward::vault::QueryValue;
use keyward_tests::{Canary, Log, PostgresServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{End, World, grant, here, login, route, statement, with};
use crate::{PASSWORD, server};

const ONE: &str = "SELECT name FROM customers WHERE id = 1";

fn acme() -> QueryValue {
    QueryValue::Text("acme".to_owned())
}

/// The rights of the database's own administrator, for what happens beside Keyward.
fn administrator(server: &PostgresServer, statements: &str) -> World {
    let login = login("postgres", PASSWORD, server.port());
    World::of(server, &login, &grant("writes = true", statements))
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_named_by_its_code_only() {
    let server = server!();
    let wrong = Canary::new();
    let login = login("app", wrong.text(), server.port());
    let world = World::of(&server, &login, &grant("", &statement("one", ONE)));
    let error = world.error("one", Vec::new()).await;
    assert!(matches!(error, QueryError::Login(Some(_))));
    assert!(error.to_string().contains("28P01"), "{error}");
    assert_eq!(world.outcomes(), ["allowed", "failed"]);
    assert_eq!(wrong.find_in(error.to_string().as_bytes()), None);

    let right = World::new(&server, &grant("", &statement("one", ONE)));
    assert_eq!(right.value("one", Vec::new()).await, acme(), "control");
}

#[tokio::test]
async fn what_asks_for_the_password_itself_is_not_given_it() {
    let server = server!();
    let login = login("clear", PASSWORD, server.port());
    let world = World::of(&server, &login, &grant("", &statement("one", ONE)));
    assert_eq!(world.error("one", Vec::new()).await, QueryError::WeakLogin);
}

#[tokio::test]
async fn without_tls_nothing_is_said_unless_the_login_says_so_for_this_machine() {
    let server = server!();
    let url = format!("postgres://localhost:{}", server.port());
    let statements = grant("", &statement("one", ONE));
    let plain = login("plain", PASSWORD, server.port());

    // The server takes this user without TLS only, and is spoken to with it.
    let world = World::of(&server, &plain, &statements);
    assert!(matches!(
        world.error("one", Vec::new()).await,
        QueryError::Login(_)
    ));
    let disabled = format!("{plain}?sslmode=disable");
    let world = World::of(&server, &disabled, &statements);
    assert_eq!(world.value("one", Vec::new()).await, acme(), "control");

    // A certificate that nobody vouches for.
    let app = login("app", PASSWORD, server.port());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let roots = Roots::Pem(other.cert.pem().into_bytes());
    let world = World::on(route(&url).unwrap().with_roots(roots), &app, &statements);
    let unverified = QueryError::Unreachable(Stage::Tls);
    assert_eq!(world.error("one", Vec::new()).await, unverified);

    // One for another host.
    let numeric = format!("postgres://127.0.0.1:{}", server.port());
    let roots = Roots::Pem(server.certificate().to_vec());
    let by_address = app.replace("localhost", "127.0.0.1");
    let other = route(&numeric)
        .unwrap()
        .with_roots(roots)
        .with_networks([here()]);
    let world = World::on(other, &by_address, &statements);
    assert_eq!(world.error("one", Vec::new()).await, unverified);
}

/// A server that answers the request for TLS with this, and keeps what it is sent.
pub(crate) async fn says(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 8];
        stream.read_exact(&mut heard).await.unwrap();
        stream.write_all(answer).await.unwrap();
        let _ = stream.read_to_end(&mut heard).await;
        heard
    });
    (address, heard)
}

#[tokio::test]
async fn a_server_without_tls_hears_the_request_for_it_and_no_more() {
    for answer in [&b"N"[..], b"E", b"SNN"] {
        let (address, heard) = says(answer).await;
        let route = route(&format!("postgres://localhost:{}", address.port())).unwrap();
        let login = login("app", PASSWORD, address.port());
        let roots = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let route = route.with_roots(Roots::Pem(roots.cert.pem().into_bytes()));
        let world = World::on(route, &login, &grant("", &statement("one", ONE)));
        let error = world.error("one", Vec::new()).await;
        assert!(
            matches!(
                error,
                QueryError::NoTls | QueryError::Unreachable(Stage::Tls)
            ),
            "{error}"
        );
        let heard = heard.await.unwrap();
        let text = String::from_utf8_lossy(&heard);
        assert!(
            !text.contains("app\0") && !text.contains(PASSWORD),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_login_goes_to_the_host_and_port_that_it_was_made_for() {
    let server = server!();
    let statements = grant("", &statement("one", ONE));
    for wrong in [
        login("app", PASSWORD, server.port() ^ 1),
        login("app", PASSWORD, server.port()).replace("localhost", "localhost.example"),
        login("app", PASSWORD, server.port()).replace("localhost", "127.0.0.1"),
    ] {
        let world = World::of(&server, &wrong, &statements);
        assert_eq!(world.error("one", Vec::new()).await, QueryError::OtherHost);
        assert_eq!(world.outcomes(), ["allowed", "other-authority"]);
    }
    let right = login("app", PASSWORD, server.port()).replace("localhost", "LOCALHOST");
    let world = World::of(&server, &right, &statements);
    assert_eq!(world.value("one", Vec::new()).await, acme(), "control");
}

#[tokio::test]
async fn a_new_version_has_connections_of_its_own_and_the_old_ones_close() {
    let server = server!();
    let next = Canary::new();
    let change = format!("ALTER ROLE app PASSWORD '{}'", next.text());
    let beside = administrator(
        &server,
        &[
            statement("change", &change),
            statement(
                "connections",
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'",
            ),
        ]
        .concat(),
    );
    let world = World::new(&server, &grant("", &statement("one", ONE)));
    assert_eq!(world.value("one", Vec::new()).await, acme());
    beside.rows("change", Vec::new()).await;
    // Logged in already.
    assert_eq!(world.value("one", Vec::new()).await, acme());
    world.rotate(&login("app", next.text(), server.port()));
    assert_eq!(world.value("one", Vec::new()).await, acme());
    let logins = || {
        server
            .log()
            .matches("connection authorized: user=app")
            .count()
    };
    assert_eq!(logins(), 2, "one for each version");
    crate::world::until("the old version's connection closes", async || {
        beside.value("connections", Vec::new()).await == QueryValue::Integer(1)
    })
    .await;

    // A version that is wrong doesn't get the connections of the one before.
    world.rotate(&login("app", PASSWORD, server.port()));
    assert!(matches!(
        world.error("one", Vec::new()).await,
        QueryError::Login(_)
    ));
}

/// Gives the secret its next value, as a source would.
struct Source {
    world: std::sync::Weak<World>,
    next: String,
    asked: AtomicUsize,
}

impl keyward::egress::Refresh for Source {
    fn refresh<'a>(
        &'a self,
        secret: &'a keyward::names::SecretName,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            assert_eq!(secret.as_str(), "login");
            self.asked.fetch_add(1, Ordering::Relaxed);
            if let Some(world) = self.world.upgrade() {
                world.rotate(&self.next);
            }
        })
    }
}

#[tokio::test]
async fn after_a_refused_login_there_is_one_more_try_with_the_newest_version() {
    let server = server!();
    for (next, works) in [(PASSWORD, true), ("still-not-the-password", false)] {
        let wrong = login("app", "not-the-password", server.port());
        let grants = grant("", &statement("one", ONE));
        let world = Arc::new(World::of(&server, &wrong, &grants));
        let source = Arc::new(Source {
            world: Arc::downgrade(&world),
            next: login("app", next, server.port()),
            asked: AtomicUsize::new(0),
        });
        let refresh: Arc<dyn keyward::egress::Refresh> = source.clone();
        world.egress.refresh_with(refresh);
        let before = server
            .log()
            .matches("password authentication failed")
            .count();
        let end = world.ask("one", Vec::new()).await;
        assert_eq!(matches!(end, End::Rows(_)), works);
        assert_eq!(source.asked.load(Ordering::Relaxed), 1);
        let after = server
            .log()
            .matches("password authentication failed")
            .count();
        assert_eq!(after - before, if works { 1 } else { 2 });
        let outcomes = world.outcomes();
        let uses = outcomes.iter().filter(|outcome| *outcome == "allowed");
        assert_eq!(uses.count(), 2, "both versions are on record: {outcomes:?}");
    }
}

#[tokio::test]
async fn the_password_is_in_no_log_no_error_no_file_and_not_on_the_wire() {
    let server = server!();
    let log = Log::default();
    let guard = log.capture();
    let canary = Canary::new();
    let change = format!("ALTER ROLE app PASSWORD '{}'", canary.text());
    administrator(&server, &statement("change", &change))
        .rows("change", Vec::new())
        .await;

    // The wire, without TLS to be able to read it: as `plain`, whom the server takes so.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = listener.local_addr().unwrap().port();
    let behind = server.port();
    let wire = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        let (mut near_read, mut near_write) = near.split();
        let (mut far_read, mut far_write) = far.split();
        let back = tokio::io::copy(&mut far_read, &mut near_write);
        let forth = async {
            loop {
                let count = near_read.read(&mut buffer).await.unwrap_or(0);
                if count == 0 {
                    let _ = far_write.shutdown().await;
                    return;
                }
                heard.extend_from_slice(&buffer[..count]);
                far_write.write_all(&buffer[..count]).await.unwrap();
            }
        };
        let _ = tokio::join!(back, forth);
        heard
    });
    let plain = format!("{}?sslmode=disable", login("plain", PASSWORD, middle));
    let there = route(&format!("postgres://localhost:{middle}")).unwrap();
    let world = World::on(there, &plain, &grant("", &statement("one", ONE)));
    assert_eq!(world.value("one", Vec::new()).await, acme());
    drop(world);
    let heard = wire.await.unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(
        heard.contains("SCRAM-SHA-256") && heard.contains("SELECT name"),
        "control"
    );
    assert!(!heard.contains(PASSWORD));

    let grants = grant(
        "",
        &with("one", "SELECT name FROM customers WHERE id = $1", &["int8"]),
    );
    let login = login("app", canary.text(), server.port());
    let world = World::of(&server, &login, &grants);
    let value = world.value("one", vec![QueryValue::Integer(1)]).await;
    assert_eq!(value, acme());
    tracing::error!("{}", "control-of-the-log");
    assert!(log.contains("control-of-the-log"), "control");
    assert_eq!(canary.find_in(&log.bytes()), None, "the log");
    assert_eq!(canary.find_in(&world.files()), None, "files");
    drop(guard);
    // The database knows it from the statement that changed it, which it logs.
    let said = server.log();
    let lines = said.lines().filter(|line| !line.contains("ALTER ROLE"));
    let others: String = lines.collect();
    assert_eq!(
        canary.find_in(others.as_bytes()),
        None,
        "the database's log"
    );
    assert!(canary.find_in(said.as_bytes()).is_some(), "control");
}
