//! `keyward secret`: what is stored; never what it is.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use keyward::names::SecretName;
use keyward::vault::{KeyEncoding, Kind, MacAlgorithm, SecretInfo};
use keyward_gateway::control::{Request, SecretEntry};
use serde_json::{Value as Json, json};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::table;
use crate::place;
use crate::value::Value;

const SET: &str = "\
The value is asked for without being shown, read from standard input if that is not a
terminal, or from a file. One line end at its end is not part of it.

Kinds, fixed for good when a secret is stored:
  api-key       a value that a backend wants to see: 8 to 4096 visible ASCII characters
  hmac-key      a key that signs and verifies: at least 32 bytes after decoding
  client-keys   the keys of an API's consumers: lines of `subject = key`, at most two
                keys for a subject, 16 characters or more; only keyed hashes are kept

A new secret can be used by nobody until a grant says so: see `keyward grants`.

Examples:
  keyward secret set billing-key --kind api-key
  pass show billing/key | keyward secret set billing-key --kind api-key
  keyward secret set webhook --kind hmac-key --encoding base64 --from-file webhook.b64
  keyward secret set clients --kind client-keys --from-file clients.txt";

const ROTATE: &str = "\
Stores a new value of the same kind. Requests under way use one value or the other,
never a mix. A key that verifies goes on accepting the value before it, until the
next rotation. Grants stay as they are: they name the secret, not a version.

Examples:
  keyward secret rotate billing-key
  keyward secret rotate billing-key --reason \"left the company: A.\" < new-key.txt";

const LIST: &str = "\
Names, kinds, versions and times. There is no command that shows a value.

Examples:
  keyward secret list
  keyward secret list -o json";

/// Store, replace and list secrets; never show them.
#[derive(Subcommand)]
pub(crate) enum Secret {
    Set(Set),
    Rotate(Rotate),
    /// List the secrets: names, kinds, versions and times.
    #[command(after_help = LIST)]
    List,
}

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

    /// How the text of an hmac-key becomes its bytes; raw unless given.
    #[arg(long, value_enum)]
    encoding: Option<EncodingWord>,

    /// Read the value from a file.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Replace a secret's value.
#[derive(Args)]
#[command(after_help = ROTATE)]
pub(crate) struct Rotate {
    /// Which secret.
    name: SecretName,

    /// Read the value from a file.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindWord {
    ApiKey,
    HmacKey,
    ClientKeys,
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

impl Secret {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Set(set) => set.run(common),
            Self::Rotate(rotate) => rotate.run(common),
            Self::List => list(common),
        }
    }
}

impl Set {
    fn kind(&self) -> Result<Kind, Failure> {
        if !matches!(self.kind, KindWord::HmacKey)
            && (self.algorithm.is_some() || self.encoding.is_some())
        {
            return Err(Failure::usage(
                "--algorithm and --encoding are for --kind hmac-key only",
            ));
        }
        Ok(match self.kind {
            KindWord::ApiKey => Kind::ApiKey,
            KindWord::ClientKeys => Kind::ClientKeys,
            KindWord::HmacKey => Kind::HmacKey {
                algorithm: match self.algorithm {
                    None | Some(AlgorithmWord::Sha256) => MacAlgorithm::Sha256,
                    Some(AlgorithmWord::Sha384) => MacAlgorithm::Sha384,
                    Some(AlgorithmWord::Sha512) => MacAlgorithm::Sha512,
                },
                encoding: match self.encoding {
                    None | Some(EncodingWord::Raw) => KeyEncoding::Raw,
                    Some(EncodingWord::Hex) => KeyEncoding::Hex,
                    Some(EncodingWord::Base64) => KeyEncoding::Base64,
                },
            },
        })
    }

    fn run(self, common: &Common) -> Outcome {
        let kind = self.kind()?;
        let config = place::load(common.config())?;
        let access = Access::open(&config)?;
        // Before the value is asked for: nobody should type one in vain.
        if access.list()?.iter().any(|info| info.name == self.name) {
            return Err(
                Failure::new(format!("there is a secret {} already", self.name)).help(format!(
                    "to replace its value: keyward secret rotate {}",
                    self.name
                )),
            );
        }
        let value = Value::take(common.output(), &kind, self.from_file.as_deref())?;
        let request = Request::SecretSet {
            name: self.name,
            kind: kind.into(),
        };
        let info = self::info(&access.ask_with(request, self.reason.as_deref(), vec![value])?)?;
        stored(
            common,
            &info,
            "stored; a grant says who may use it (keyward grants check)",
        );
        Ok(Exit::Success)
    }
}

impl Rotate {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config)?;
        let known = access.list()?;
        let Some(info) = known.iter().find(|info| info.name == self.name) else {
            return Err(Failure::new(format!("there is no secret {}", self.name))
                .help("secrets there are: keyward secret list; a new one: keyward secret set"));
        };
        let kind = info.kind;
        let value = Value::take(common.output(), &kind, self.from_file.as_deref())?;
        let request = Request::SecretRotate { name: self.name };
        let info = self::info(&access.ask_with(request, self.reason.as_deref(), vec![value])?)?;
        stored(common, &info, "is in use");
        Ok(Exit::Success)
    }
}

fn info(entry: &SecretEntry) -> Result<SecretInfo, Failure> {
    SecretInfo::try_from(entry).map_err(Failure::new)
}

fn stored(common: &Common, info: &SecretInfo, what: &str) {
    common.output().data(
        || format!("{} version {} {what}", info.name, info.version),
        || to_json(info),
    );
}

fn list(common: &Common) -> Outcome {
    let config = place::load(common.config())?;
    let secrets = Access::open(&config)?.list()?;
    common.output().data(
        || {
            if secrets.is_empty() {
                return "No secrets. Store one: keyward secret set NAME --kind api-key".to_owned();
            }
            let rows: Vec<_> = secrets
                .iter()
                .map(|info| {
                    [
                        info.name.to_string(),
                        kind_in_words(&info.kind),
                        info.version.to_string(),
                        info.created.strftime("%Y-%m-%d %H:%MZ").to_string(),
                        info.updated.strftime("%Y-%m-%d %H:%MZ").to_string(),
                    ]
                })
                .collect();
            table(["NAME", "KIND", "VERSION", "CREATED", "ROTATED"], &rows)
        },
        || secrets.iter().map(to_json).collect(),
    );
    Ok(Exit::Success)
}

fn kind_in_words(kind: &Kind) -> String {
    match kind {
        Kind::HmacKey { algorithm, .. } => format!("{} ({})", kind.as_str(), algorithm.as_str()),
        Kind::ApiKey | Kind::ClientKeys => kind.as_str().to_owned(),
    }
}

fn to_json(info: &SecretInfo) -> Json {
    let (algorithm, encoding) = match info.kind {
        Kind::HmacKey {
            algorithm,
            encoding,
        } => (Some(algorithm.as_str()), Some(encoding.as_str())),
        Kind::ApiKey | Kind::ClientKeys => (None, None),
    };
    json!({
        "name": info.name.as_str(),
        "id": info.id.to_string(),
        "kind": info.kind.as_str(),
        "algorithm": algorithm,
        "encoding": encoding,
        "version": info.version,
        "versions": info.versions,
        "created": info.created.to_string(),
        "updated": info.updated.to_string(),
    })
}
