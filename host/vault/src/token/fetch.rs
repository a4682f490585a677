//! From a note without a token to one that has it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::SignedDuration;
use keyward_names::{ComponentDigest, ExchangeId, RouteName};

use super::form::{Form, OauthClient};
use super::{AccessToken, Lifetime, SubjectToken, TokenFailure, TokenKey, read_answer, terms_of};
use crate::attach::{Note, Notes, Target, is_plain_authority};
use crate::audit::{Outcome, UseEntry, Used};
use crate::certificate::KeyAlgorithm;
use crate::chosen::Chosen;
use crate::grants::{ClientAuth, Grant, OauthTerms, TokenFlow};
use crate::guard::{Extent, Matcher};
use crate::jws::{self, Assertion, JwsAlgorithm, KeyId, TokenToSign, signature_of};
use crate::ledger::{Afterwards, Durable, Ledger, Position};
use crate::live::{Live, LiveSecret, Material};
use crate::mac::OperationError;
use crate::permit::Denied;
use crate::remote::{RemoteAnswer, RemoteCall, RemoteTask};
use crate::secret::Secret;
use crate::tls::{RemoteHandshakes, TlsIdentity};
use crate::vault::Vault;

/// A token that a note needs and that isn't at hand.
#[must_use = "a note without its token is refused"]
pub struct TokenWanted {
    /// Which of the notes.
    index: usize,
    key: TokenKey,
    grant: Arc<Grant>,
    secret: Arc<LiveSecret>,
    component: ComponentDigest,
    exchange: ExchangeId,
    subject: Option<SubjectToken>,
}

/// A token that is to be fetched: permitted, and entered into the exchange's ledger.
#[must_use = "a fetch that is not carried out has been recorded all the same"]
pub struct TokenCall {
    position: Position,
    fetch: TokenFetch,
}

/// A token that may be fetched: the use is in the audit trail.
pub struct TokenFetch {
    wanted: TokenWanted,
    entry: UseEntry,
    afterwards: Afterwards,
    /// The signatures of the assertions that were sent, of which one may come back.
    assertions: Mutex<Vec<Secret>>,
}

crate::secret::assert_not_implemented!(TokenWanted: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(TokenCall: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(TokenFetch: std::fmt::Debug, Clone, serde::Serialize);

impl Notes {
    /// Whether a note needs a token.
    pub fn need_tokens(&self) -> bool {
        self.iter().any(|note| terms_of(&note.grant).is_some())
    }

    /// Gives each note that needs one a token that is at hand, and returns the first
    /// for which there is none; `None` when all is there. A note that no grant allows
    /// for `target` gets none: its check will say so. `leads_to` says where the route of
    /// a token endpoint leads, as [`RouteAddresses`](crate::RouteAddresses) has it: what
    /// was obtained elsewhere is not used.
    pub fn take_tokens(
        &mut self,
        vault: &Vault,
        ledger: &mut Ledger,
        target: &Target<'_>,
        leads_to: impl Fn(&RouteName) -> Option<Arc<str>>,
    ) -> Option<TokenWanted> {
        let live = vault.live();
        let now = live.parts.clock.now();
        for (index, note) in self.iter_mut().enumerate() {
            if note.token.is_some() || terms_of(&note.grant).is_none() {
                continue;
            }
            note.renew_if_gone(&live, ledger);
            let Ok(grant) = note.decide(vault, &live, ledger.exchange(), target) else {
                continue;
            };
            let grant = Arc::clone(grant);
            let subject = match &note.chosen {
                Chosen::OnBehalfOf(subject) => Some(subject.clone()),
                _ => None,
            };
            let endpoint = grant.terms.endpoint();
            let address = endpoint.and_then(|endpoint| leads_to(&endpoint.route));
            let key = TokenKey::of(&grant, &note.secret, subject.as_ref(), address);
            let kept = vault.tokens.get(&key, &grant, &note.secret, now);
            note.token = kept.filter(|token| token.is_of(&live, &grant));
            if note.token.is_none() {
                return Some(TokenWanted {
                    index,
                    key,
                    grant,
                    secret: Arc::clone(&note.secret),
                    component: note.component,
                    exchange: note.exchange,
                    subject,
                });
            }
        }
        None
    }

    /// Gives the note a token that was fetched for it.
    pub fn give(&mut self, index: usize, token: Arc<AccessToken>) {
        if let Some(note) = self.iter_mut().nth(index) {
            note.token = Some(token);
        }
    }
}

impl TokenWanted {
    /// For what it is: who wants the same can wait for the same fetch.
    pub fn key(&self) -> &TokenKey {
        &self.key
    }

    /// Which of the notes it is for, as [`Notes::give`] has it.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The route of the token endpoint.
    pub fn route(&self) -> Option<&RouteName> {
        terms_of(&self.grant).map(|terms| &terms.endpoint.route)
    }

    /// Enters into the ledger that the token is fetched. `address` is where its
    /// endpoint's route leads, as [`RouteAddresses`](crate::RouteAddresses) has it, and
    /// `authority` that route's host, and port where it isn't the scheme's own.
    ///
    /// Errors: [`Denied`]: the grant is gone or was not in force together with a route
    /// that leads there. That is on record.
    pub fn record(
        self,
        vault: &Vault,
        ledger: &mut Ledger,
        address: &str,
        authority: &str,
    ) -> Result<TokenCall, Denied> {
        let live = vault.live();
        let decision = self.decide(vault, &live, address, authority);
        let entry = UseEntry {
            grants: live.digest,
            used: Used {
                policy: self.grant.policy.clone(),
                component: self.component,
                use_: self.grant.use_(),
                alias: Some(self.grant.alias.clone()),
                grant: Some(self.grant.id.clone()),
                secret: Some((self.secret.info.id, self.secret.info.version)),
                route: self.route().cloned(),
                outcome: decision.err().unwrap_or(Outcome::Allowed),
                statement: None,
            },
        };
        let position = ledger.record(entry.clone());
        decision.map_err(Denied::from)?;
        Ok(TokenCall {
            position,
            fetch: TokenFetch {
                wanted: self,
                entry,
                afterwards: ledger.afterwards(),
                assertions: Mutex::default(),
            },
        })
    }

    /// Whether it may be fetched there now.
    fn decide(
        &self,
        vault: &Vault,
        live: &Live,
        address: &str,
        authority: &str,
    ) -> Result<(), Outcome> {
        let (grant, now) = live.still_granted(&self.grant, &self.component, &self.secret)?;
        // A version that was retired meanwhile goes nowhere.
        if !now.allows(self.secret.info.version, &live.parts.clock) {
            return Err(Outcome::Revoked);
        }
        if vault.is_suspended(grant) || grant.terms != self.grant.terms {
            return Err(Outcome::Revoked);
        }
        let route = self.route().ok_or(Outcome::OtherRoute)?;
        let is_wanted_there = self.key.address.as_deref().is_none_or(|at| at == address);
        let reaches = live.parts.reach.has(grant, route, address);
        match is_plain_authority(authority) && is_wanted_there && reaches {
            true => Ok(()),
            false => Err(Outcome::OtherAuthority),
        }
    }
}

impl TokenCall {
    /// What may be fetched, given the proof that it is in the audit trail.
    ///
    /// Errors: the proof is of another exchange, or older than this.
    pub fn release(self, durable: &Durable) -> Result<TokenFetch, Denied> {
        let exchange = self.fetch.wanted.exchange;
        match durable.covers(exchange, self.position) {
            true => Ok(self.fetch),
            false => Err(Denied::Unavailable),
        }
    }
}

/// A client's assertion that a key signed which stays in its source.
pub struct ClientAssertion(jws::Token);

crate::secret::assert_not_implemented!(ClientAssertion: std::fmt::Debug, Clone, serde::Serialize);

impl TokenFetch {
    /// What the source of the client's key is to sign before the request can be written,
    /// where the client proves by an assertion who it is (RFC 7523, 2.2) and its key is
    /// not here. `uri` is the endpoint's own, for which it is made. Each try has one of
    /// its own.
    ///
    /// Errors: [`Denied`]: the grant is gone by now, or the secret can't be used so.
    pub fn to_sign(
        &self,
        vault: &Vault,
        address: &str,
        authority: &str,
        uri: &str,
    ) -> Result<Option<RemoteCall>, Denied> {
        let wanted = &self.wanted;
        let live = vault.live();
        wanted.decide(vault, &live, address, authority)?;
        let terms = terms_of(&wanted.grant).ok_or(Denied::Denied)?;
        let (Some(Material::Remote(key)), ClientAuth::PrivateKeyJwt) =
            (wanted.secret.material(), terms.auth)
        else {
            return Ok(None);
        };
        let certificate = key.certificate.as_ref().ok_or(Denied::Unavailable)?;
        let assertion = assertion_of(terms, certificate.algorithm(), uri).ok_or(Denied::Denied)?;
        let now = live.parts.clock.now().as_second();
        let token = TokenToSign::of(&assertion, key, now).ok_or(Denied::Denied)?;
        Ok(Some(RemoteCall {
            reference: key.reference.clone(),
            task: RemoteTask::SignToken(Box::new(token)),
            entry: self.entry.clone(),
            afterwards: self.afterwards.clone(),
        }))
    }

    /// Takes what the source answered.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: it signed nothing, or its
    /// signature is not what was asked for.
    pub fn signed(
        &self,
        call: RemoteCall,
        answer: RemoteAnswer,
    ) -> Result<ClientAssertion, OperationError> {
        call.signed(answer).map(ClientAssertion)
    }

    /// The path of the token endpoint, below its route's own.
    pub fn path(&self) -> &str {
        terms_of(&self.wanted.grant).map_or("/", |terms| &terms.endpoint.path)
    }

    /// The request for the token: headers and body of a POST. To be sent at once, to
    /// the address and authority that are said here; the values in it are marked
    /// sensitive and wiped when they are dropped. The grants in force are asked again,
    /// since a fetch may be tried more than once. `uri` is the endpoint's own, for which
    /// an assertion is made; `signed` is that which a source signed, where there is one.
    ///
    /// Errors: [`Denied`]: the grant is gone by now, or the secret can't be used so.
    pub fn write(
        &self,
        vault: &Vault,
        address: &str,
        authority: &str,
        uri: &str,
        signed: Option<ClientAssertion>,
    ) -> Result<(HeaderMap, Bytes), Denied> {
        let wanted = &self.wanted;
        let live = vault.live();
        wanted.decide(vault, &live, address, authority)?;
        let terms = terms_of(&wanted.grant).ok_or(Denied::Denied)?;
        let now = live.parts.clock.now().as_second();
        let form = self.form(terms, uri, now, signed).ok_or(Denied::Denied)?;
        let route = wanted.route().ok_or(Denied::Denied)?;
        if terms.auth.sends_secret()
            && let Some(version) = &wanted.secret.current
        {
            let watch = vault.watch(route, authority);
            watch.sent(&wanted.secret, version, false, &self.entry);
        }
        if let Some(assertion) = &form.assertion {
            let until = live.parts.clock.now() + ASSERTION_LIVES;
            let watch = vault.watch(route, authority);
            watch.sent_proof(signature_of(assertion), until, &self.entry);
            self.assertions().push(signature_of(assertion));
        }
        Ok((form.headers, form.body))
    }

    /// The certificate that is shown in TLS, where that is how the client proves who it
    /// is (RFC 8705, 2).
    pub fn identity(&self) -> Option<TlsIdentity> {
        let terms = terms_of(&self.wanted.grant)?;
        match terms.auth {
            ClientAuth::TlsClientAuth => TlsIdentity::of(&self.wanted.secret),
            _ => None,
        }
    }

    /// What is signed in that with a key that stays in its source; `None` where there is
    /// no such key.
    pub fn handshakes(&self) -> Option<RemoteHandshakes> {
        RemoteHandshakes::new(&self.identity()?, &self.entry, &self.afterwards)
    }

    /// Whether it may still be fetched there, by the grants in force now: what is asked
    /// before its client's certificate is shown.
    pub fn is_allowed(&self, vault: &Vault, address: &str, authority: &str) -> bool {
        let decision = self.wanted.decide(vault, &vault.live(), address, authority);
        decision.is_ok()
    }

    fn assertions(&self) -> MutexGuard<'_, Vec<Secret>> {
        // Each change is one step.
        self.assertions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a text holds what was sent to the endpoint, which is never a token.
    fn is_echo(&self, text: &[u8]) -> bool {
        let of_client = match self.wanted.secret.material() {
            Some(Material::OauthClient(client)) => client.is_in(text),
            _ => false,
        };
        let assertions = self.assertions();
        let all = assertions.iter().map(|one| (0, one, Extent::Own));
        of_client || (!assertions.is_empty() && Matcher::new(all).passes(text).is_err())
    }

    fn form(
        &self,
        terms: &OauthTerms,
        uri: &str,
        now: i64,
        signed: Option<ClientAssertion>,
    ) -> Option<Filled> {
        let mut headers = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let subject = self.wanted.subject.as_ref().map(SubjectToken::as_str);
        let scope = terms.scopes.join(" ");
        let mut fields: Vec<(&str, &str)> = grant_type(terms.flow, subject.unwrap_or_default());
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        if let Some(audience) = &terms.audience {
            fields.push(("audience", audience));
        }
        let resources = terms.resources.iter();
        fields.extend(resources.map(|resource| ("resource", resource.as_str())));
        if let Some(id) = &terms.client_id {
            fields.push(("client_id", id));
        }
        let room = fields
            .iter()
            .map(|(name, value)| Form::room_of(name, value))
            .sum::<usize>();
        let proof = Proof::of(terms, self.wanted.secret.material()?, uri, now, signed)?;
        let mut form = Form::with_room(room + proof.room());
        for (name, value) in fields {
            form.add(name, value.as_bytes())?;
        }
        let mut sent = None;
        match proof {
            Proof::Basic(client) => {
                headers.insert(AUTHORIZATION, client.basic()?);
            }
            Proof::Post(client) => client.post(&mut form)?,
            Proof::Assertion(assertion) => {
                form.add("client_assertion_type", ASSERTION_TYPE.as_bytes())?;
                form.add("client_assertion", assertion.as_bytes())?;
                sent = Some(assertion);
            }
            Proof::Tls => {}
        }
        Some(Filled {
            headers,
            body: form.finish(),
            assertion: sent,
        })
    }

    /// The token that the endpoint answered with, kept for others who want the same.
    /// Nothing else of the answer is.
    ///
    /// Errors: [`TokenFailure`]: it is none that may be used.
    pub fn answered(
        &self,
        vault: &Vault,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Arc<AccessToken>, TokenFailure> {
        let wanted = &self.wanted;
        let terms = terms_of(&wanted.grant).ok_or(TokenFailure::Unusable)?;
        let is_echo = |text: &[u8]| self.is_echo(text);
        let (value, stated) = read_answer(status, headers, body, is_echo)?;
        let now = vault.live().parts.clock.now();
        let subject = self.wanted.subject.as_ref();
        let subject = subject.map_or(u64::MAX, |subject| subject.lasts(now.as_second()));
        let used = stated.unwrap_or(UNSAID_LIFETIME);
        let used = used.min(terms.max_lifetime_seconds).min(subject);
        if used == 0 {
            return Err(TokenFailure::Unusable);
        }
        let lifetime = Lifetime {
            used,
            lived: stated.unwrap_or(A_DAY).min(A_DAY),
        };
        let token = Arc::new(AccessToken::new(
            wanted.key.clone(),
            Arc::clone(&wanted.grant),
            value,
            lifetime,
            now,
        ));
        vault.tokens.put(&token);
        Ok(token)
    }

    /// Takes on record that no token was had. Queues the record and waits for nothing.
    pub fn failed(&self) {
        let mut entry = self.entry.clone();
        entry.used.outcome = Outcome::Failed;
        self.afterwards.record(entry);
    }
}

/// How long a token is used of which nothing is said, in seconds.
const UNSAID_LIFETIME: u64 = 60;
/// How long a token counts as good elsewhere of which nothing is said, and at most.
const A_DAY: u64 = 24 * 60 * 60;

/// What a client's assertion is called (RFC 7523, 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion is good, in seconds.
const ASSERTION_SECONDS: u64 = 60;
/// The same, with what a server's clock may differ by.
const ASSERTION_LIVES: SignedDuration = SignedDuration::from_secs(360);

/// A request for a token.
struct Filled {
    headers: HeaderMap,
    body: Bytes,
    /// The assertion that is in it.
    assertion: Option<jws::Token>,
}

/// How a client proves who it is.
enum Proof<'a> {
    Basic(&'a OauthClient),
    Post(&'a OauthClient),
    Assertion(jws::Token),
    Tls,
}

impl<'a> Proof<'a> {
    /// `None` if the secret is of a kind that can't do it.
    fn of(
        terms: &OauthTerms,
        material: &'a Material,
        uri: &str,
        now: i64,
        signed: Option<ClientAssertion>,
    ) -> Option<Self> {
        Some(match (terms.auth, material) {
            (ClientAuth::SecretBasic, Material::OauthClient(client)) => Self::Basic(client),
            (ClientAuth::SecretPost, Material::OauthClient(client)) => Self::Post(client),
            (ClientAuth::PrivateKeyJwt, Material::Certificate(key)) => {
                let assertion = assertion_of(terms, key.algorithm(), uri)?;
                Self::Assertion(jws::sign_assertion(key, &assertion, now)?)
            }
            (ClientAuth::PrivateKeyJwt, Material::Remote(_)) => Self::Assertion(signed?.0),
            (ClientAuth::TlsClientAuth, Material::Certificate(_) | Material::Remote(_)) => {
                Self::Tls
            }
            _ => return None,
        })
    }

    /// How many bytes it takes in a form at most.
    fn room(&self) -> usize {
        match self {
            Self::Basic(_) | Self::Tls => 0,
            Self::Post(client) => client.room(),
            Self::Assertion(assertion) => {
                Form::room_of("client_assertion_type", ASSERTION_TYPE)
                    + Form::room_of("client_assertion", assertion)
            }
        }
    }
}

/// What a client says of itself to its endpoint, signed by a key of that sort.
fn assertion_of<'a>(
    terms: &'a OauthTerms,
    key: KeyAlgorithm,
    uri: &'a str,
) -> Option<Assertion<'a>> {
    let id = terms.client_id.as_deref()?;
    Some(Assertion {
        algorithm: algorithm(key),
        key_id: &KeyId::CertificateThumbprint,
        issuer: id,
        subject: Some(id),
        audience: uri,
        lifetime_seconds: ASSERTION_SECONDS,
        own: &[],
    })
}

/// How an assertion is signed by a key of that sort.
const fn algorithm(key: KeyAlgorithm) -> JwsAlgorithm {
    match key {
        KeyAlgorithm::Rsa => JwsAlgorithm::Ps256,
        KeyAlgorithm::P256 => JwsAlgorithm::Es256,
        KeyAlgorithm::P384 => JwsAlgorithm::Es384,
        KeyAlgorithm::P521 => JwsAlgorithm::Es512,
        KeyAlgorithm::Ed25519 => JwsAlgorithm::EdDsa,
    }
}

/// What a token is asked for with.
fn grant_type(flow: TokenFlow, subject: &str) -> Vec<(&'static str, &str)> {
    const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    match flow {
        TokenFlow::ClientCredentials => vec![("grant_type", "client_credentials")],
        TokenFlow::JwtBearer => vec![("grant_type", JWT_BEARER), ("assertion", subject)],
        TokenFlow::OnBehalfOf => vec![
            ("grant_type", JWT_BEARER),
            ("assertion", subject),
            ("requested_token_use", "on_behalf_of"),
        ],
        TokenFlow::TokenExchange => vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", subject),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
        ],
    }
}

impl Note {
    /// Whether it has the token that it needs, if it needs one.
    pub(crate) fn has_token(&self, live: &Live, grant: &Grant) -> Result<(), Outcome> {
        if terms_of(grant).is_none() {
            return Ok(());
        }
        match &self.token {
            Some(token) if token.is_for(grant, &self.secret) && token.is_of(live, grant) => Ok(()),
            _ => Err(Outcome::Unavailable),
        }
    }
}
