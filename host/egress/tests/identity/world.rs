//! Certificates of clients, and a vault that has them.

#![allow(unreachable_pub, reason = "a part of one test file")]

use std::sync::Arc;

use http::Request;
use keyward_egress::{Body, Egress, EgressError, Route};
use keyward_names::{Alias, ComponentDigest, ExchangeId, PolicyName, SecretName};
use keyward_vault::{
    Ask, Durability, Grants, Kind, Ledger, Notes, PolicyIdentity, Secret, Use, Vault, VaultFiles,
    uses,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use crate::common::{actor, outgoing};

/// An authority for clients.
pub struct Clients(CertifiedIssuer<'static, KeyPair>);

/// A client's certificate and its key.
pub struct Client {
    pub certificate: CertificateDer<'static>,
    pub key: KeyPair,
}

impl Client {
    fn pem(&self) -> String {
        let body = data_encoding::BASE64.encode(&self.certificate);
        format!(
            "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n{}",
            self.key.serialize_pem()
        )
    }
}

impl Clients {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate with that common name.
    pub fn certificate(&self, name: &str, algorithm: &'static SignatureAlgorithm) -> Client {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Client {
            certificate: certificate.der().clone(),
            key,
        }
    }
}

/// A vault with certificates, each granted to the policy `tester` under its name.
pub struct World {
    vault: Arc<Vault>,
    policy: PolicyIdentity,
    _folder: TempDir,
}

fn secret(client: &Client) -> Secret {
    Secret::read_from(client.pem().as_bytes(), Kind::Certificate.max_bytes()).unwrap()
}

impl World {
    pub fn new(clients: &[(&str, &Client)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = VaultFiles {
            vault: folder.path().join("vault.keyward"),
            key: folder.path().join("vault.key"),
            audit: folder.path().join("audit"),
        };
        Vault::create(&files).unwrap();
        let vault = Arc::new(Vault::open(&files, Durability::Buffered).unwrap());
        let mut grants = String::new();
        let mut asks = Vec::new();
        for (name, client) in clients {
            let value = secret(client);
            let of = SecretName::parse(name).unwrap();
            vault.add(&of, Kind::Certificate, value, &actor()).unwrap();
            grants.push_str(&format!(
                r#"
[[grant]]
id = "{name}"
policy = "tester"
secret = "{name}"
use = "present"
to = [{{ route = "backend", methods = ["GET"], paths = ["/who", "/x/{{n}}", "/y/{{n}}"] }}]

[[grant]]
id = "token-{name}"
policy = "tester"
secret = "{name}"
alias = "token-{name}"
use = "token"
endpoint = {{ route = "identity", path = "/who" }}
auth = "tls_client_auth"
client-id = "gateway"
to = [{{ route = "backend", methods = ["GET"], paths = ["/who"] }}]
"#
            ));
            let token = format!("token-{name}");
            for (alias, use_) in [(*name, Use::Present), (token.as_str(), Use::Token)] {
                let alias = Alias::parse(alias).unwrap();
                asks.push(Ask { alias, use_ });
            }
        }
        let grants = Grants::parse("grants.toml", &grants).unwrap();
        vault.set_grants(grants, &actor()).unwrap();
        Self {
            vault,
            policy: PolicyIdentity {
                name: PolicyName::parse("tester").unwrap(),
                component: ComponentDigest::from_bytes([7; 32]),
                asks,
            },
            _folder: folder,
        }
    }

    pub fn egress(&self, route: Route) -> Egress {
        Egress::new([route], Arc::clone(&self.vault)).unwrap()
    }

    pub fn ledger(&self) -> Ledger {
        self.vault.begin(ExchangeId::from_bytes([3; 16]))
    }

    pub fn note(&self, alias: &str, ledger: &mut Ledger) -> Notes {
        let mut notes = Notes::default();
        self.note_onto(&mut notes, alias, ledger);
        notes
    }

    pub fn note_onto(&self, notes: &mut Notes, alias: &str, ledger: &mut Ledger) {
        let permit = self
            .vault
            .permit::<uses::Present>(&self.policy, alias, ledger);
        notes.push(permit.unwrap().note());
    }

    /// A note of a token that is obtained with that certificate.
    pub fn token(&self, name: &str, ledger: &mut Ledger) -> Notes {
        let alias = format!("token-{name}");
        let permit = self
            .vault
            .permit::<uses::Token>(&self.policy, &alias, ledger);
        let mut notes = Notes::default();
        notes.push(permit.unwrap().note());
        notes
    }

    pub fn egress_to(&self, routes: impl IntoIterator<Item = Route>) -> Egress {
        Egress::new(routes, Arc::clone(&self.vault)).unwrap()
    }

    pub fn disable(&self, name: &str) {
        let name = SecretName::parse(name).unwrap();
        self.vault.disable(&name, &actor()).unwrap();
    }

    pub fn rotate(&self, name: &str, client: &Client) {
        let name = SecretName::parse(name).unwrap();
        let value = secret(client);
        self.vault.rotate(&name, value, &actor()).unwrap();
    }

    pub fn revoke_all(&self) {
        self.vault.set_grants(Grants::none(), &actor()).unwrap();
    }

    /// Sends a request on which that certificate is shown. The answer's status.
    pub async fn send(
        &self,
        egress: &Egress,
        alias: &str,
        request: Request<Body>,
    ) -> Result<u16, EgressError> {
        let mut ledger = self.ledger();
        let notes = self.note(alias, &mut ledger);
        let answer = egress.send(outgoing(request, notes), &mut ledger).await?;
        let status = answer.status().as_u16();
        crate::common::read(answer).await;
        Ok(status)
    }

    /// The same, without a certificate.
    pub async fn send_plain(
        &self,
        egress: &Egress,
        request: Request<Body>,
    ) -> Result<u16, EgressError> {
        let mut ledger = self.ledger();
        let sent = egress.send(outgoing(request, Notes::default()), &mut ledger);
        Ok(sent.await?.status().as_u16())
    }
}
