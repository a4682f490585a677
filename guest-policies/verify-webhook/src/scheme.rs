//! How senders sign: in which header the signature stands, and over which bytes.
//!
//! | Scheme | Header | Signed |
//! |---|---|---|
//! | `github` | `x-hub-signature-256: sha256=HEX` | the body |
//! | `shopify` | `x-shopify-hmac-sha256: BASE64` | the body |
//! | `stripe` | `stripe-signature: t=SECONDS,v1=HEX,…` | `SECONDS.BODY` |
//! | `slack` | `x-slack-signature: v0=HEX`, `x-slack-request-timestamp: SECONDS` | `v0:SECONDS:BODY` |
//! | `standard-webhooks` | `webhook-signature: v1,BASE64 …`, `webhook-id: ID`, `webhook-timestamp: SECONDS` | `ID.SECONDS.BODY` |
//! | `custom` | as set | the body, or `SECONDS.BODY` |

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use keyward_policy::{HeaderName, Message, Schema, Setting, settings};
use serde::Deserialize;

/// Signatures of one request that are looked at: a sender that rotates its key
/// sends two.
pub(crate) const MAX_SIGNATURES: usize = 4;

/// The longest time or identifier that is signed with a body, in bytes.
const MAX_PREFACE: usize = 512;

/// What the operator sets.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    scheme: Scheme,
    alias: String,
    tolerance: u32,
    refuse_replays: bool,
}

/// How the sender signs.
#[derive(Debug)]
pub enum Scheme {
    /// GitHub, and those who do it alike.
    Github,
    /// Stripe.
    Stripe,
    /// Slack.
    Slack,
    /// Shopify.
    Shopify,
    /// Standard Webhooks 1.0.0, with a shared key (`v1`).
    StandardWebhooks,
    /// Another sender's.
    Custom(Custom),
}

/// Another sender's way.
#[settings]
#[derive(Debug)]
pub struct Custom {
    /// The header with the signature.
    signature_header: HeaderName,
    /// What stands before the signature: "sha256=".
    #[setting(default = "")]
    prefix: String,
    /// How the signature is written.
    #[setting(default = "hex")]
    encoding: Encoding,
    /// The header with the sender's time, in seconds since 1970. It is signed, followed
    /// by a full stop, before the body.
    time_header: Option<HeaderName>,
}

/// How a signature is written.
#[settings]
#[derive(Clone, Copy, Debug)]
pub enum Encoding {
    /// Hexadecimal, in either case.
    Hex,
    /// Base64 (RFC 4648, section 4), padded.
    Base64,
}

#[settings]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Github,
    Stripe,
    Slack,
    Shopify,
    StandardWebhooks,
    Custom,
}

#[settings]
struct Written {
    /// How the sender signs.
    scheme: Name,
    /// The grant's alias for the key.
    #[setting(default = "webhook-key")]
    alias: String,
    /// By how many seconds the sender's time may differ; without it, by 300. For
    /// schemes with a time.
    #[setting(min = 1, max = 3600)]
    tolerance: Option<u32>,
    /// Whether a signature is accepted only once, on this node; without it, it is. For
    /// schemes with a time.
    refuse_replays: Option<bool>,
    /// The sender's way, for `scheme = "custom"`.
    custom: Option<Custom>,
}

impl Setting for Settings {
    const SCHEMA: Schema = Written::SCHEMA;
}

impl TryFrom<Written> for Settings {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let scheme = match (written.scheme, written.custom) {
            (Name::Custom, Some(custom)) => Scheme::Custom(custom),
            (Name::Custom, None) => {
                return Err("`scheme = \"custom\"` needs `custom = { signature-header = \"…\" }`");
            }
            (_, Some(_)) => return Err("`custom` is for `scheme = \"custom\"`"),
            (Name::Github, None) => Scheme::Github,
            (Name::Stripe, None) => Scheme::Stripe,
            (Name::Slack, None) => Scheme::Slack,
            (Name::Shopify, None) => Scheme::Shopify,
            (Name::StandardWebhooks, None) => Scheme::StandardWebhooks,
        };
        if !scheme.has_time() && (written.tolerance.is_some() || written.refuse_replays.is_some()) {
            return Err(
                "this sender signs no time, so `tolerance` and `refuse-replays` can't be kept",
            );
        }
        Ok(Self {
            scheme,
            alias: written.alias,
            tolerance: written.tolerance.unwrap_or(300),
            refuse_replays: written.refuse_replays.unwrap_or(true),
        })
    }
}

impl Scheme {
    fn has_time(&self) -> bool {
        match self {
            Self::Github | Self::Shopify => false,
            Self::Stripe | Self::Slack | Self::StandardWebhooks => true,
            Self::Custom(custom) => custom.time_header.is_some(),
        }
    }
}

/// What a request says about its signature.
pub struct Claim {
    /// The signatures, decoded.
    pub codes: Vec<Vec<u8>>,
    /// What is signed before the body.
    preface: String,
    /// The sender's time, where it is signed.
    seconds: Option<u64>,
}

impl Claim {
    /// The bytes that were signed.
    pub fn message(&self, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.preface.len() + body.len());
        message.extend_from_slice(self.preface.as_bytes());
        message.extend_from_slice(body);
        message
    }

    /// The sender's time in seconds since 1970; none if it signs none.
    pub fn seconds(&self) -> Option<u64> {
        self.seconds
    }
}

impl Settings {
    /// The grant's alias for the key.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// By how many seconds the sender's time may differ.
    pub fn tolerance(&self) -> u32 {
        self.tolerance
    }

    /// Whether a signature is accepted only once.
    pub fn refuses_replays(&self) -> bool {
        self.refuse_replays
    }

    /// What the request claims; none if something of it is missing or malformed.
    pub fn claim(&self, request: &Message<'_>) -> Option<Claim> {
        match &self.scheme {
            Scheme::Github => {
                let code = after(&one(request, "x-hub-signature-256")?, "sha256=")?;
                Some(of_body(Encoding::Hex.decode(&code)?))
            }
            Scheme::Shopify => {
                let code = one(request, "x-shopify-hmac-sha256")?;
                Some(of_body(Encoding::Base64.decode(&code)?))
            }
            Scheme::Slack => {
                let code = after(&one(request, "x-slack-signature")?, "v0=")?;
                let time = one(request, "x-slack-request-timestamp")?;
                timed(
                    format!("v0:{time}:"),
                    &time,
                    vec![Encoding::Hex.decode(&code)?],
                )
            }
            Scheme::Stripe => stripe(&one(request, "stripe-signature")?),
            Scheme::StandardWebhooks => {
                let id = one(request, "webhook-id")?;
                let time = one(request, "webhook-timestamp")?;
                let codes = one(request, "webhook-signature")?;
                let codes = codes
                    .split(' ')
                    .filter_map(|code| Encoding::Base64.decode(code.strip_prefix("v1,")?));
                timed(format!("{id}.{time}."), &time, codes.collect())
            }
            Scheme::Custom(custom) => {
                let code = after(&one(request, &custom.signature_header)?, &custom.prefix)?;
                let code = custom.encoding.decode(&code)?;
                match &custom.time_header {
                    None => Some(of_body(code)),
                    Some(header) => {
                        let time = one(request, header)?;
                        timed(format!("{time}."), &time, vec![code])
                    }
                }
            }
        }
    }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        let encoding = match self {
            Self::Hex => HEXLOWER_PERMISSIVE,
            Self::Base64 => BASE64,
        };
        encoding.decode(text.as_bytes()).ok()
    }
}

/// The one value of a header. Two say two things.
fn one(request: &Message<'_>, name: &str) -> Option<String> {
    let mut values = request.header_values(name);
    let value = values.next()?;
    match values.next() {
        None => String::from_utf8(value).ok(),
        Some(_) => None,
    }
}

fn after(text: &str, prefix: &str) -> Option<String> {
    text.strip_prefix(prefix).map(str::to_owned)
}

fn of_body(code: Vec<u8>) -> Claim {
    Claim {
        codes: vec![code],
        preface: String::new(),
        seconds: None,
    }
}

fn timed(preface: String, time: &str, codes: Vec<Vec<u8>>) -> Option<Claim> {
    // `parse` would take a sign.
    let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || preface.len() > MAX_PREFACE {
        return None;
    }
    Some(Claim {
        codes,
        preface,
        seconds: Some(time.parse().ok()?),
    })
}

/// `t=SECONDS,v1=HEX,v1=HEX,v0=…`.
fn stripe(header: &str) -> Option<Claim> {
    let mut time = None;
    let mut codes = Vec::new();
    for part in header.split(',') {
        let (key, value) = part.trim().split_once('=')?;
        match key {
            "t" if time.is_none() => time = Some(value),
            "t" => return None,
            "v1" => codes.push(Encoding::Hex.decode(value)?),
            _ => {}
        }
    }
    let time = time?;
    timed(format!("{time}."), time, codes)
}
