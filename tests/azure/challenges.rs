//! Hostile challenges: none obtains a token, and none is sent one.

use std::net::SocketAddr;
use std::sync::Arc;

use keyward::egress::Dialer;
use keyward::sources::managed_identity::Surroundings;
use keyward::sources::{ChallengeError, Source as _, SourceError};
use keyward_tests::key_vault::{
    Azure, Challenge, FEDERATED_TOKEN, Place, RESOURCE, Seen, TENANT, WORKLOAD_CLIENT,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::support::{machine, vault_with, version};

const AUTHORITY: &str = "https://login.microsoftonline.com";
const OTHER_TENANT: &str = "00000000-86f1-41af-91ab-2d7cd011db47";

pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) challenge: Challenge,
    pub(crate) refused: ChallengeError,
    /// A part of the request by which a client that follows it gives itself away.
    betrays: &'static str,
}

impl Row {
    /// The words that it says and an honest one does not, in small letters.
    pub(crate) fn hostile_words(&self) -> Vec<String> {
        let words = |text: &str| -> Vec<String> {
            let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-');
            parts.map(str::to_ascii_lowercase).collect()
        };
        let said = match &self.challenge {
            Challenge::Says(values) => values.join(" "),
            Challenge::Redirect(to) => to.clone(),
            Challenge::Honest | Challenge::Body(_) => String::new(),
        };
        let honest = format!("Bearer authorization {AUTHORITY}/{TENANT} resource {RESOURCE}");
        let honest = words(&honest);
        let mut hostile = words(&said);
        hostile.retain(|word| word.len() > 3 && !honest.contains(word));
        hostile
    }
}

fn says(authority: &str, resource: &str) -> Challenge {
    Challenge::Says(vec![format!(
        r#"Bearer authorization="{authority}", resource="{resource}""#
    )])
}

pub(crate) fn rows() -> Vec<Row> {
    let at = |authority: &str| says(&format!("{authority}/{TENANT}"), RESOURCE);
    let row = |what, challenge, refused, betrays| Row {
        what,
        challenge,
        refused,
        betrays,
    };
    let token = "/oauth2/v2.0/token";
    vec![
        row(
            "another authority",
            at("https://login.evil.example"),
            ChallengeError::Authority,
            token,
        ),
        row(
            "a look-alike of the authority: its name in front",
            at("https://login.microsoftonline.com.evil.example"),
            ChallengeError::Authority,
            token,
        ),
        row(
            "a look-alike of the authority: other letters",
            at("https://login.microsoftonIine.com"),
            ChallengeError::Authority,
            token,
        ),
        row(
            "another tenant",
            says(&format!("{AUTHORITY}/{OTHER_TENANT}"), RESOURCE),
            ChallengeError::Tenant,
            OTHER_TENANT,
        ),
        row(
            "another resource",
            says(
                &format!("{AUTHORITY}/{TENANT}"),
                "https://graph.microsoft.com",
            ),
            ChallengeError::Resource,
            "graph.microsoft.com",
        ),
        row(
            "plain HTTP",
            at("http://login.microsoftonline.com"),
            ChallengeError::Scheme,
            token,
        ),
        row(
            "another host behind userinfo",
            at("https://login.microsoftonline.com@login.evil.example"),
            ChallengeError::UserInfo,
            token,
        ),
        row(
            "another port",
            at("https://login.microsoftonline.com:8443"),
            ChallengeError::Port,
            token,
        ),
        row(
            "a redirect",
            Challenge::Redirect("https://shop.evil.example/secrets/a".to_owned()),
            ChallengeError::Redirect,
            "/secrets/a",
        ),
        row(
            "longer than is read",
            Challenge::Says(vec![format!(
                r#"Bearer authorization="{AUTHORITY}/{TENANT}", resource="{RESOURCE}", x="{}""#,
                "x".repeat(5000)
            )]),
            ChallengeError::TooLarge,
            token,
        ),
        row(
            "malformed: no comma",
            Challenge::Says(vec![format!(
                r#"Bearer authorization="{AUTHORITY}/{TENANT}" resource="{RESOURCE}""#
            )]),
            ChallengeError::Malformed,
            token,
        ),
        row(
            "malformed: the same parameter twice",
            Challenge::Says(vec![format!(
                r#"Bearer authorization="{AUTHORITY}/{TENANT}", resource="{RESOURCE}", authorization="https://login.evil.example/{TENANT}""#
            )]),
            ChallengeError::Malformed,
            token,
        ),
        row(
            "malformed: a quote that does not end",
            Challenge::Says(vec![format!(
                r#"Bearer resource="{RESOURCE}", authorization="{AUTHORITY}/{TENANT}"#
            )]),
            ChallengeError::Malformed,
            token,
        ),
    ]
}

/// A vault that became hostile, and whoever it names.
struct World {
    vault: Azure,
    evil: Azure,
    file: tempfile::NamedTempFile,
}

impl World {
    fn new(challenge: Challenge) -> Self {
        let vault = Azure::start();
        vault.change(|state| {
            state.set("a", "sk_live_0123");
            state.challenge = challenge;
        });
        let evil = Azure::for_names(&[
            "login.evil.example",
            "shop.evil.example",
            "login.microsoftonline.com",
            "login.microsoftonline.com.evil.example",
            "login.microsoftoniine.com",
        ]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), FEDERATED_TOKEN).unwrap();
        Self { vault, evil, file }
    }

    /// Where names lead: all of them, for nobody to be saved by a name that leads
    /// nowhere.
    fn dialer(&self) -> Dialer {
        let evil = self.evil.secure();
        self.vault
            .names()
            .with(".evil.example", evil)
            .with("login.microsoftoniine.com", evil)
            .dialer()
    }

    fn platforms(&self) -> [(&'static str, Surroundings); 3] {
        [
            ("imds", machine()),
            ("app service", self.vault.app_service()),
            ("workload", self.vault.workload(self.file.path())),
        ]
    }

    /// All that was asked for, but for the request that brought the challenge.
    fn beyond_the_challenge(&self) -> Vec<Seen> {
        let mut seen = self.vault.seen();
        seen.retain(|seen| seen.place != Place::Vault || seen.has_credential());
        seen.extend(self.evil.seen());
        seen
    }
}

#[tokio::test]
async fn a_hostile_challenge_obtains_no_token_and_is_sent_none() {
    for row in rows() {
        let world = World::new(row.challenge.clone());
        for (platform, surroundings) in world.platforms() {
            let settings = world.vault.settings();
            let vault = vault_with(&settings, &surroundings, &world.dialer());
            // Again and again: what was refused is not remembered as seen.
            for _ in 0..2 {
                let refused = version(&vault, "a").await.unwrap_err();
                let expected = SourceError::Challenge(row.refused);
                assert_eq!(refused, expected, "{}, {platform}", row.what);
            }
            vault.check(Some("a")).await;
            let wrapper = vault.key_wrapper().unwrap();
            assert!(wrapper.unwrap("key", &[1; 256]).await.is_err());
            let seen = world.beyond_the_challenge();
            assert!(seen.is_empty(), "{}, {platform}: {seen:?}", row.what);
        }
    }
}

#[tokio::test]
async fn control_the_same_vault_with_an_honest_challenge_is_sent_a_token() {
    for at in [Place::Imds, Place::AppService, Place::Authority] {
        let world = World::new(Challenge::Honest);
        let mut platforms = world.platforms().into_iter();
        let (_, surroundings) = match at {
            Place::Imds => platforms.next(),
            Place::AppService => platforms.nth(1),
            _ => platforms.nth(2),
        }
        .unwrap();
        let settings = world.vault.settings();
        let vault = vault_with(&settings, &surroundings, &world.dialer());
        assert!(version(&vault, "a").await.is_ok());
        let seen = world.beyond_the_challenge();
        assert!(seen.iter().any(|seen| seen.place == at));
        let token = |seen: &Seen| seen.place == Place::Vault && seen.has_credential();
        assert!(seen.iter().any(token));
    }
}

/// With the pin on what the challenge names, which is as good as off, the same code
/// logs in there.
#[tokio::test]
async fn control_with_another_authority_pinned_the_credential_goes_there() {
    let world = World::new(says(
        &format!("https://login.evil.example/{TENANT}"),
        RESOURCE,
    ));
    let mut settings = world.vault.settings();
    settings.authority = Some("https://login.evil.example".to_owned());
    let both = [world.vault.authority_pem(), world.evil.authority_pem()].concat();
    settings.roots = keyward::egress::Roots::Pem(both.into_bytes());
    let path = world.file.path().to_str().unwrap().to_owned();
    let surroundings = Surroundings::from_lookup(|name| match name {
        "AZURE_TENANT_ID" => Some(TENANT.to_owned()),
        "AZURE_CLIENT_ID" => Some(WORKLOAD_CLIENT.to_owned()),
        "AZURE_FEDERATED_TOKEN_FILE" => Some(path.clone()),
        _ => None,
    });
    let vault = vault_with(&settings, &surroundings, &world.dialer());
    let _ = version(&vault, "a").await;
    let seen = world.evil.seen_at(Place::Authority);
    assert!(seen[0].has_credential());
}

#[tokio::test]
async fn control_a_client_that_follows_challenges_gives_each_of_them_a_credential() {
    for row in rows() {
        let world = World::new(row.challenge.clone());
        Careless(&world).fetch().await;
        let betrayed = world.beyond_the_challenge().into_iter().any(|seen| {
            let shown = format!("{} {}", seen.target, String::from_utf8_lossy(&seen.body));
            seen.has_credential() && shown.contains(row.betrays)
        });
        assert!(betrayed, "{}", row.what);
    }
}

#[tokio::test]
async fn a_vault_that_turns_hostile_later_is_found_out_at_its_next_challenge() {
    let world = World::new(Challenge::Honest);
    let settings = world.vault.settings();
    let vault = vault_with(&settings, &machine(), &world.dialer());
    assert!(version(&vault, "a").await.is_ok());
    let evil = says(&format!("https://login.evil.example/{TENANT}"), RESOURCE);
    world.vault.change(|state| {
        state.revoke_tokens();
        state.challenge = evil;
    });
    let refused = SourceError::Challenge(ChallengeError::Authority);
    assert_eq!(version(&vault, "a").await, Err(refused.clone()));
    let before = world.beyond_the_challenge().len();
    // From then on it is asked without a token first.
    assert_eq!(version(&vault, "a").await, Err(refused));
    assert_eq!(world.beyond_the_challenge().len(), before);
    assert!(world.evil.seen().is_empty());
}

#[tokio::test]
async fn a_vault_that_lets_everybody_in_is_none() {
    let world = World::new(Challenge::Honest);
    let names = keyward_tests::key_vault::Names::default()
        .with(".vault.azure.net", world.vault.secure())
        .with_imds(world.vault.plain());
    let vault = vault_with(&world.vault.settings(), &machine(), &names.dialer());
    // A body as long as can be, before anything is known of who answers.
    world
        .vault
        .change(|state| state.challenge = Challenge::Body(1 << 20));
    let refused = SourceError::Challenge(ChallengeError::TooLarge);
    assert_eq!(version(&vault, "a").await, Err(refused));
    assert!(world.beyond_the_challenge().is_empty());
}

/// A client that takes what a challenge says for what is so, as its text happens to
/// read: it stands for what the source would be without its pins and its grammar.
struct Careless<'w>(&'w World);

impl Careless<'_> {
    async fn fetch(&self) {
        let vault = Url::parse("https://shop.vault.azure.net/secrets/a?api-version=7.4").unwrap();
        let head = self.ask(&vault, "GET", "", "").await;
        if let Some(location) = after(&head, "location: ", '\r') {
            let location = Url::parse(&location).unwrap();
            let token = "Authorization: Bearer eyJ0.eyJ1.c2ln\r\n";
            self.ask(&location, "GET", token, "").await;
            return;
        }
        let authority = after(&head, "authorization=\"", '"').unwrap();
        let resource = after(&head, "resource=\"", '"').unwrap();
        let login = Url::parse(&format!("{authority}/oauth2/v2.0/token")).unwrap();
        let form = format!(
            "client_id={WORKLOAD_CLIENT}&scope={resource}/.default&client_assertion={FEDERATED_TOKEN}"
        );
        self.ask(&login, "POST", "", &form).await;
    }

    fn lead(&self, url: &Url) -> SocketAddr {
        let World { vault, evil, .. } = self.0;
        match (url.scheme(), url.host_str(), url.port()) {
            // On the way of what is not encrypted.
            ("http", ..) => evil.plain(),
            (_, Some("shop.vault.azure.net" | "login.microsoftonline.com"), None) => vault.secure(),
            _ => evil.secure(),
        }
    }

    /// Sends a request and returns what came back.
    async fn ask(&self, url: &Url, method: &str, header: &str, body: &str) -> String {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let host = url.host_str().unwrap();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{header}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = TcpStream::connect(self.lead(url)).await.unwrap();
        if url.scheme() == "http" {
            return converse(stream, &request).await;
        }
        let mut roots = RootCertStore::empty();
        for pem in [self.0.vault.authority_pem(), self.0.evil.authority_pem()] {
            roots
                .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                .unwrap();
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = host.to_owned().try_into().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        converse(connector.connect(name, stream).await.unwrap(), &request).await
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn after(text: &str, mark: &str, end: char) -> Option<String> {
    let (_, rest) = text.split_once(mark)?;
    rest.split(end).next().map(str::to_owned)
}
