//! Guesses: what kind a secret is by how it is called and used, and whether a text
//! that nobody called a secret is one. Each comes with its reason.

/// A kind, as `--kind` takes it, and why.
pub(super) struct Guess {
    pub(super) kind: &'static str,
    pub(super) why: String,
    /// What to know before it is imported.
    pub(super) note: Option<&'static str>,
}

/// Words in names, the telling ones first.
const WORDS: [(&[&str], &str, Option<&str>); 8] = [
    (
        &["servicebus", "service-bus", "eventhub", "event-hub"],
        "service-bus",
        Some("the value is the connection string of the namespace or of an entity"),
    ),
    (
        &["storage", "blobconn", "accountkey", "account-key"],
        "storage-account",
        Some("the value is the account's connection string"),
    ),
    (
        &[
            "connectionstring",
            "connection-string",
            "connstr",
            "postgres",
            "database",
        ],
        "database",
        Some("the value is a URL such as postgresql://user:password@host/name"),
    ),
    (
        &["certificate", "pfx", "-cert", "cert-"],
        "certificate",
        Some("the value is PEM: the chain and its key"),
    ),
    (
        &["client-secret", "clientsecret", "client_secret", "oauth"],
        "oauth-client",
        Some("the value is {\"client_id\": \"…\", \"client_secret\": \"…\"}"),
    ),
    (&["hmac", "signing", "webhook"], "hmac-key", None),
    (
        &["basic", "credentials"],
        "basic",
        Some("the value is user:password, without base64"),
    ),
    (&["aws"], "aws-key", None),
];

/// What a secret is, as far as its name says so.
pub(super) fn kind(name: &str) -> Guess {
    let lower = name.to_ascii_lowercase();
    for (words, kind, note) in WORDS {
        if let Some(word) = words.iter().find(|word| lower.contains(**word)) {
            return Guess {
                kind,
                why: format!("its name has \"{word}\" in it"),
                note,
            };
        }
    }
    Guess {
        kind: "api-key",
        why: "nothing says otherwise".to_owned(),
        note: None,
    }
}

/// Why a text that is not marked as a secret probably is one.
pub(super) fn secret(name: &str, text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    const PARTS: [&str; 10] = [
        "accountkey=",
        "sharedaccesskey=",
        "sharedaccesssignature=",
        "password=",
        "pwd=",
        "client_secret=",
        "apikey=",
        "sig=",
        "bearer ",
        "basic ",
    ];
    if lower.contains("-----begin") && lower.contains("private key") {
        return Some("it is a private key");
    }
    if PARTS.iter().any(|part| lower.contains(part)) {
        return Some("it looks like a connection string or a credential");
    }
    if let Some((_, rest)) = lower.split_once("://")
        && let Some((authority, _)) = rest.split_once('@')
        && authority.contains(':')
        && !authority.contains('/')
    {
        return Some("it is a URL with a password in it");
    }
    if text.starts_with("eyJ") && text.matches('.').count() == 2 {
        return Some("it is a JSON Web Token");
    }
    // One long word of many different characters, as keys are.
    let word = text.len() >= 20 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let key = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
    if word && text.bytes().all(key) {
        let classes = [
            text.bytes().any(|byte| byte.is_ascii_digit()),
            text.bytes().any(|byte| byte.is_ascii_lowercase()),
            text.bytes().any(|byte| byte.is_ascii_uppercase()),
        ];
        let mixed = classes.iter().filter(|class| **class).count();
        let uuid = text.len() == 36 && text.matches('-').count() == 4;
        if mixed == 3 || (mixed == 2 && text.len() >= 32 && !uuid && !text.contains('-')) {
            return Some("it looks like a key");
        }
    }
    let telling = [
        "password",
        "passwd",
        "secret",
        "apikey",
        "api-key",
        "api_key",
        "token",
        "credential",
        "private",
    ];
    let name = name.to_ascii_lowercase();
    let named = telling.iter().any(|word| name.contains(word));
    // `token-endpoint`, `secret-name` and such are about secrets.
    let about = [
        "url", "uri", "endpoint", "host", "name", "issuer", "header", "enabled", "ttl", "lifetime",
    ];
    let about = about.iter().any(|word| name.contains(word)) || lower.contains("://");
    (named && !about && text.len() >= 6).then_some("its name says that it is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_guessed_by_names() {
        for (name, expected) in [
            ("Stripe-Key", "api-key"),
            ("StorageConnectionString", "storage-account"),
            ("orders-db-connection-string", "database"),
            ("partner-client-secret", "oauth-client"),
            ("webhook-signing-key", "hmac-key"),
            ("backend-basic", "basic"),
            ("tls-cert", "certificate"),
        ] {
            assert_eq!(kind(name).kind, expected, "{name}");
        }
    }

    #[test]
    fn texts_that_are_secrets_are_told_from_others() {
        for (name, text) in [
            (
                "storage",
                "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9v",
            ),
            (
                "bus",
                "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=b",
            ),
            ("a", "postgresql://user:hunter22@db/x"),
            ("a", "Bearer abcdef"),
            ("a", "eyJhbGciOiJub25lIn0.e30.x"),
            ("a", "-----BEGIN RSA PRIVATE KEY-----"),
            ("a", "q8Zp2LkV7xW3mT9bR4nY"),
            ("a", "0123456789abcdef0123456789abcdef"),
            ("admin-password", "hunter22"),
        ] {
            assert!(secret(name, text).is_some(), "{name}");
        }
        for (name, text) in [
            ("backend-url", "https://billing.example.com/v1"),
            ("token-endpoint", "https://login.example.com/oauth2/token"),
            ("tenant", "72f988bf-86f1-41af-91ab-2d7cd011db47"),
            ("secret-name", "stripe-key"),
            ("region", "west-europe"),
            ("Weight", "10"),
            ("banner", "Closed on Sunday, see our site for more"),
        ] {
            assert_eq!(secret(name, text), None, "{name}");
        }
    }
}
