//! `keyward secret set|rotate`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use keyward::names::SecretName;
use keyward::vault::{KeyEncoding, Kind, MacAlgorithm};
use keyward_gateway::control::{OriginText, Request, SecretEntry, ValidityText};

use crate::Common;
use crate::access::Access;
use crate::exit::{Failure, Outcome};
use crate::input::Value;
use crate::place;
use crate::reason::Reason;
use crate::reference;
use crate::when;

const SET: &str = "\
The value is asked for without being shown, read from standard input if that is not a
terminal, or from a file. One line end at its end is not part of it.

Kinds, fixed for good when a secret is stored:
  api-key          a value that a backend wants to see: 8 to 4096 visible ASCII characters
  basic            user:password, for HTTP Basic
  hmac-key         a key that signs and verifies: at least 32 bytes after decoding
  client-keys      the keys of an API's consumers: lines of `subject = key`, at most two
                   keys for a subject, 16 characters or more; only keyed hashes are kept
  oauth-client     JSON {\"client_id\": …, \"client_secret\": …}
  certificate      PEM: the chain, the leaf first, and its unencrypted private key
  storage-account  a connection string of Azure storage
  database         a PostgreSQL connection URL with a password
  aws-key          the lines of an AWS credentials file
  data-key         32 bytes that seal a policy's own data
  service-bus      a connection string of Service Bus or Event Hubs
  connection-string
                   any other: Name=Value;… or Redis; kept, and read of it are its public parts

With --from, its values come from a source: [sources.NAME] of the configuration, and
what that calls the secret. The gateway fetches it now and again as the source's
`refresh` says; a changed value becomes the next version. `keyward source check SOURCE
KEY` says whether it can be fetched.

With --cache remote the key never leaves its source (a key of OpenBao's transit), which
is asked for each use. Of a certificate, --chain is what is shown of it: it is kept here,
and the next one comes with `keyward secret rotate NAME --from-file CHAIN.pem`.

A new secret can be used by nobody until a grant says so: see `keyward grants`.

Examples:
  keyward secret set billing-key --kind api-key
  pass show billing/key | keyward secret set billing-key --kind api-key
  keyward secret set webhook --kind hmac-key --encoding base64 --from-file webhook.b64
  keyward secret set signing --kind hmac-key --generate
  keyward secret set partner --kind api-key --not-after 2027-06-30
  keyward secret set clients --kind client-keys --from-file clients.txt
  keyward secret set stripe --kind api-key --from azure:stripe-key
  keyward secret set stripe --kind api-key --from mounted:stripe/key --cache sealed
  keyward secret set mtls --kind certificate --from bao:mtls --cache remote --chain c.pem";

const ROTATE: &str = "\
Stores a new value of the same kind. Requests under way use one value or the other,
never a mix. A key that verifies goes on accepting the value before it, until the
next rotation or for a time: see `keyward secret rotation`. Older values stay sealed
in the vault until they are retired, so that `keyward secret roll-back` can bring one
back. Grants stay as they are: they name the secret, not a version.

Examples:
  keyward secret rotate billing-key
  keyward secret rotate signing --generate
  keyward secret rotate signing --generate --length 64
  keyward secret rotate signing --generate --every 30d
  keyward secret rotate webhook --retire-previous-after 1h < new-key.txt
  keyward secret rotate billing-key --reason \"left the company: A.\" < new-key.txt";

/// Store a new secret.
#[derive(Args)]
#[command(after_help = SET)]
pub(crate) struct Set {
    /// What to call it: a-z, 0-9, "-", "_" and "."
    name: SecretName,

    /// What it is.
    #[arg(long, value_enum)]
    kind: KindWord,

    /// The hash of an hmac-key; sha256 unless given.
    #[arg(long, value_enum)]
    algorithm: Option<AlgorithmWord>,

    /// How the text of an hmac-key or a data-key becomes its bytes; raw unless given.
    #[arg(long, value_enum)]
    encoding: Option<EncodingWord>,

    #[command(flatten)]
    source: Source,

    /// Have its values come from a source of the configuration.
    #[arg(
        long,
        value_name = "SOURCE:KEY",
        conflicts_with_all = ["from_file", "generate", "not_before", "not_after"]
    )]
    from: Option<String>,

    /// Where its values are kept; as the source says unless given.
    #[arg(long, value_enum, requires = "from")]
    cache: Option<CacheWord>,

    /// The certificate of a key that stays in its source: PEM, the leaf first, without a
    /// private key.
    #[arg(long, value_name = "FILE", requires = "from")]
    chain: Option<PathBuf>,

    #[command(flatten)]
    reason: Reason,
}

/// Where values from a source are kept.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum CacheWord {
    /// In memory only: after a restart the source is asked first.
    Memory,
    /// In the vault file, too, sealed: there after a restart.
    Sealed,
    /// Nowhere: the key never leaves its source, which is asked for each use.
    Remote,
}

/// An origin as a gateway is told.
pub(super) fn origin(reference: &str, cache: Option<CacheWord>) -> OriginText {
    let word = |cache| match cache {
        CacheWord::Memory => "memory",
        CacheWord::Sealed => "sealed",
        CacheWord::Remote => "remote",
    };
    OriginText {
        reference: reference.to_owned(),
        cache: cache.map(|cache| word(cache).to_owned()),
    }
}

/// Replace a secret's value.
#[derive(Args)]
#[command(after_help = ROTATE)]
pub(crate) struct Rotate {
    /// Which secret.
    name: SecretName,

    #[command(flatten)]
    source: Source,

    /// How many bytes the value has that is made; otherwise as many as its codes.
    #[arg(long, value_name = "BYTES", requires = "generate")]
    length: Option<u64>,

    /// How long the value before is accepted where codes are verified, this time:
    /// `1h`, `7d`.
    #[arg(long, value_name = "TIME", value_parser = when::length)]
    retire_previous_after: Option<u64>,

    /// From now on have a new value made that often: `30d`.
    #[arg(long, value_name = "TIME", value_parser = when::length, requires = "generate")]
    every: Option<u64>,

    #[command(flatten)]
    reason: Reason,
}

/// Where a value comes from, and when it may be used.
#[derive(Args)]
struct Source {
    /// Read the value from a file.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    /// Have a random value made, which nobody ever sees: for hmac-key and data-key.
    #[arg(long, conflicts_with = "from_file")]
    generate: bool,

    /// From when on the value may be used: a date or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    not_before: Option<Timestamp>,

    /// Until when the value may be used: a date or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    not_after: Option<Timestamp>,
}

impl Source {
    fn validity(&self) -> ValidityText {
        ValidityText {
            not_before: self.not_before.map(|time| time.to_string()),
            not_after: self.not_after.map(|time| time.to_string()),
        }
    }

    fn values(&self, common: &Common, kind: &Kind) -> Result<Vec<Value>, Failure> {
        if self.generate {
            return Ok(Vec::new());
        }
        let from_file = self.from_file.as_deref();
        Ok(vec![Value::of_secret(common.output(), kind, from_file)?])
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum KindWord {
    ApiKey,
    Basic,
    HmacKey,
    ClientKeys,
    OauthClient,
    Certificate,
    StorageAccount,
    Database,
    AwsKey,
    DataKey,
    ServiceBus,
    ConnectionString,
}

#[derive(Clone, Copy, ValueEnum)]
enum AlgorithmWord {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy, ValueEnum)]
enum EncodingWord {
    Raw,
    Hex,
    Base64,
}

impl Set {
    fn kind(&self) -> Result<Kind, Failure> {
        if self.algorithm.is_some() && !matches!(self.kind, KindWord::HmacKey) {
            return Err(Failure::usage("--algorithm is for --kind hmac-key only"));
        }
        if self.encoding.is_some() && !matches!(self.kind, KindWord::HmacKey | KindWord::DataKey) {
            return Err(Failure::usage(
                "--encoding is for --kind hmac-key and --kind data-key only",
            ));
        }
        let encoding = match self.encoding {
            None | Some(EncodingWord::Raw) => KeyEncoding::Raw,
            Some(EncodingWord::Hex) => KeyEncoding::Hex,
            Some(EncodingWord::Base64) => KeyEncoding::Base64,
        };
        Ok(match self.kind {
            KindWord::ApiKey => Kind::ApiKey,
            KindWord::Basic => Kind::Basic,
            KindWord::ClientKeys => Kind::ClientKeys,
            KindWord::OauthClient => Kind::OauthClient,
            KindWord::Certificate => Kind::Certificate,
            KindWord::StorageAccount => Kind::StorageAccount,
            KindWord::Database => Kind::Database,
            KindWord::AwsKey => Kind::AwsKey,
            KindWord::DataKey => Kind::DataKey { encoding },
            KindWord::ServiceBus => Kind::ServiceBus,
            KindWord::ConnectionString => Kind::ConnectionString,
            KindWord::HmacKey => Kind::HmacKey {
                algorithm: match self.algorithm {
                    None | Some(AlgorithmWord::Sha256) => MacAlgorithm::Sha256,
                    Some(AlgorithmWord::Sha384) => MacAlgorithm::Sha384,
                    Some(AlgorithmWord::Sha512) => MacAlgorithm::Sha512,
                },
                encoding,
            },
        })
    }

    pub(super) fn run(self, common: &Common) -> Outcome {
        let kind = self.kind()?;
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        // Before the value is asked for: nobody should type one in vain.
        if super::find(&access, &self.name).is_ok() {
            return Err(
                Failure::new(format!("there is a secret {} already", self.name)).help(format!(
                    "to replace its value: keyward secret rotate {}",
                    self.name
                )),
            );
        }
        let from = self.from.as_deref();
        let from = from
            .map(|from| reference::resolve(from, &config))
            .transpose()?;
        let from = from.map(|from| origin(&from, self.cache));
        let values = match (&from, &self.chain) {
            (Some(_), Some(file)) => vec![Value::of_chain(file)?],
            (Some(_), None) => Vec::new(),
            (None, _) => self.source.values(common, &kind)?,
        };
        let request = Request::SecretSet {
            name: self.name,
            kind: kind.into(),
            validity: self.source.validity(),
            generate: self.source.generate,
            from,
            chain: self.chain.is_some(),
        };
        let entry: SecretEntry = access.ask_with(request, self.reason.get(), values)?;
        if entry.origin.is_some() {
            return super::refresh::first(common, &access, &entry);
        }
        super::done(common, &entry, |entry| {
            format!(
                "{} version {} stored; a grant says who may use it (keyward grants check)",
                entry.name, entry.version
            )
        })
    }
}

impl Rotate {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let known = super::find(&access, &self.name).map_err(|failure| {
            failure.help("secrets there are: keyward secret list; a new one: keyward secret set")
        })?;
        let kind = Kind::try_from(&known.kind).map_err(Failure::new)?;
        let is_chain = kind == Kind::Certificate && known.cache.as_deref() == Some("remote");
        let values = match &self.source.from_file {
            Some(file) if is_chain => vec![Value::of_chain(file)?],
            _ => self.source.values(common, &kind)?,
        };
        let request = Request::SecretRotate {
            name: self.name,
            validity: self.source.validity(),
            generate: self.source.generate,
            length: self.length,
            retire_previous_after: self.retire_previous_after,
            every: self.every,
        };
        let entry: SecretEntry = access.ask_with(request, self.reason.get(), values)?;
        super::done(common, &entry, |entry| {
            format!("{} version {} is in use", entry.name, entry.version)
        })
    }
}
