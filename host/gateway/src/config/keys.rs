//! Every key of `keyward.toml`, in one list: what `keyward config schema` and
//! `keyward config show` go by, and `CONFIGURATION.md` is written from. A test
//! compares it with what the parser accepts.

/// A key of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its section, as it is written: `[gateway]`, `[[route]]`.
    pub section: &'static str,
    /// The key.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// What counts where it is not set, as it would be written; none if it has to
    /// be set, or if nothing takes its place.
    pub default: Option<&'static str>,
    /// Whether it has to be set.
    pub required: bool,
    /// What it says, in one sentence.
    pub about: &'static str,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An IP address and a port.
    Address,
    /// A file or a folder, relative to the file's own folder.
    Path,
    /// One of these, or an array of them.
    Paths,
    /// An URL.
    Url,
    /// A name: 1 to 64 of `a-z 0-9 . _ -`.
    Name,
    /// The beginning of a path of a request.
    Prefix,
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number of days: `"400d"`.
    Days,
    /// A time: `"30s"`, `"5m"`, `"1h"`, `"1d"`.
    Duration,
    /// A whole number between these, both included.
    Count(u64, u64),
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`.
    Flag,
    /// An array of texts.
    Texts,
    /// A table that others read: a policy's settings.
    Table,
}

/// The most that a count can be.
const MOST: u64 = 1 << 32;

const fn key(
    section: &'static str,
    name: &'static str,
    shape: Shape,
    default: Option<&'static str>,
    about: &'static str,
) -> Key {
    Key {
        section,
        name,
        shape,
        default,
        required: false,
        about,
    }
}

const fn required(
    section: &'static str,
    name: &'static str,
    shape: Shape,
    about: &'static str,
) -> Key {
    Key {
        section,
        name,
        shape,
        default: None,
        required: true,
        about,
    }
}

/// All of them, section by section.
#[rustfmt::skip] // A list, one key on a line.
pub const KEYS: &[Key] = &[
    required("[gateway]", "listen", Shape::Address, "Where clients connect."),
    key("[gateway]", "document", Shape::Path, None, "The policy document of the global scope, to which those of pipelines refer with `<base/>`; unless set, one that forwards each request and does nothing else."),
    key("[gateway]", "fragments", Shape::Paths, None, "Policy fragments that documents include: files, or a folder of `.xml` files. A fragment is called by its `id`, else by its file's name without `.xml`."),
    key("[gateway]", "service-name", Shape::Text, None, "What documents are told that the service is called, `context.Deployment.ServiceName`."),
    key("[gateway]", "region", Shape::Text, None, "What documents are told of where it is, `context.Deployment.Region`."),
    key("[gateway]", "watch", Shape::Flag, Some("false"), "Reload when a file of the configuration changes."),
    key("[gateway]", "start-wait", Shape::Duration, Some("\"10s\""), "How long the gateway waits at its start, before it serves, for sources to be asked for each of their secrets once."),
    key("[gateway]", "trusted-proxies", Shape::Texts, Some("[]"), "Addresses and networks that may say for whom a request is."),
    key("[gateway]", "forwarded", Shape::Word(&["none", "x-forwarded", "forwarded"]), Some("\"none\""), "How backends are told for whom a request is."),
    key("[gateway]", "http-1-0", Shape::Flag, Some("false"), "HTTP/1.0 is served; otherwise it is answered with 426."),
    key("[gateway]", "underscores", Shape::Word(&["refuse", "drop", "keep"]), Some("\"refuse\""), "What becomes of a request with fields that have `_` in their names, which backends can't tell from `-`: it is refused, or goes on without them, or with them."),
    key("[gateway]", "overrides", Shape::Word(&["drop", "keep"]), Some("\"drop\""), "What becomes of fields with which some backends let a client change the method or the path (`X-HTTP-Method-Override`, `X-Original-URL`, `X-Rewrite-URL`): they are left out, or go on where no secret is attached."),
    key("[gateway.tls]", "client-ca-file", Shape::Path, None, "Who may vouch for the certificates of clients."),
    key("[gateway.tls]", "client-certificates", Shape::Word(&["none", "optional", "required"]), None, "Whether clients show certificates; `required` where `client-ca-file` is set, else `none`."),
    required("[[gateway.tls.certificate]]", "certificate-file", Shape::Path, "A certificate and its chain, PEM."),
    required("[[gateway.tls.certificate]]", "key-file", Shape::Path, "Its private key, PEM."),
    key("[[gateway.tls.certificate]]", "names", Shape::Texts, Some("[]"), "The names of servers that it is shown for; those in it unless set."),
    key("[[gateway.tls.certificate]]", "default", Shape::Flag, Some("false"), "It is shown to clients that name no known server."),
    required("[gateway.admin]", "listen", Shape::Address, "Where health and metrics are read, without TLS and without a login."),
    key("[gateway.limits]", "max-connections", Shape::Count(1, MOST), Some("4096"), "Connections at one time; more wait."),
    key("[gateway.limits]", "max-connections-per-client", Shape::Count(1, MOST), None, "Connections at one time of one address, or one /64 network of IPv6."),
    key("[gateway.limits]", "max-headers", Shape::Count(1, MOST), Some("128"), "Header fields of an HTTP/1 request."),
    key("[gateway.limits]", "max-head-bytes", Shape::Count(8192, 1_048_576), Some("65536"), "Bytes of a request's head."),
    key("[gateway.limits]", "max-body-bytes", Shape::Count(1, MOST), None, "Bytes of a request's body."),
    key("[gateway.limits]", "max-requests-per-connection", Shape::Count(1, MOST), None, "Requests of one connection; then it is closed in good order."),
    key("[gateway.limits]", "max-streams", Shape::Count(1, MOST), Some("128"), "Requests at one time on one HTTP/2 connection."),
    key("[gateway.limits]", "max-resets", Shape::Count(1, MOST), Some("20"), "Requests of one HTTP/2 connection that are reset before they are looked at; more end it."),
    key("[gateway.limits]", "min-body-rate", Shape::Count(1, MOST), Some("128"), "Bytes of a body for each second that is spent waiting for the client."),
    key("[gateway.limits]", "handshake-timeout-ms", Shape::Count(1, MOST), Some("10000"), "Time for a TLS handshake, in milliseconds."),
    key("[gateway.limits]", "head-timeout-ms", Shape::Count(1, MOST), Some("30000"), "Time for a request's head, from its first byte."),
    key("[gateway.limits]", "keep-alive-ms", Shape::Count(1, MOST), Some("60000"), "Time between two requests of an HTTP/1 connection."),
    key("[gateway.limits]", "body-idle-timeout-ms", Shape::Count(1, MOST), Some("30000"), "Time between two parts of a body. A call of gRPC may be silent for an hour, or for this if it is longer."),
    key("[gateway.limits]", "write-timeout-ms", Shape::Count(1, MOST), Some("30000"), "Time in which a client that is written to takes nothing. An HTTP/2 connection that others use, too, begins no new requests then, and is cut when theirs have ended, or after 20 times as long."),
    key("[gateway.limits]", "request-timeout-ms", Shape::Count(1, MOST), None, "Time from a request's head to the head of its answer."),
    key("[gateway.limits]", "tunnel-idle-timeout-ms", Shape::Count(1, MOST), Some("300000"), "Time in which an upgraded connection is silent in both directions."),
    key("[gateway.limits]", "drain-delay-ms", Shape::Count(1, MOST), None, "Time between a stop, from when on the gateway is not ready, and the close of its port."),
    key("[gateway.limits]", "drain-ms", Shape::Count(1, MOST), Some("30000"), "Time for running requests to end after that."),

    key("[vault]", "file", Shape::Path, Some("\"vault.keyward\""), "The sealed vault."),
    key("[vault]", "key-file", Shape::Path, Some("\"vault.key\""), "The file with the key that opens it."),
    key("[vault]", "credential", Shape::Text, None, "The credential of the service manager that opens it, instead of a file."),
    key("[vault]", "passphrase", Shape::Flag, Some("false"), "A passphrase opens it, instead of a file; asked for at start."),
    key("[vault]", "source-key", Shape::Text, None, "The key in a source that opens it, `SOURCE:KEY`, instead of a file: of Key Vault, or of OpenBao's transit."),
    key("[vault]", "expiry-warning", Shape::Days, Some("\"30d\""), "How long before a secret ends, such as a certificate, it is warned about."),

    key("[audit]", "directory", Shape::Path, Some("\"audit\""), "Where the audit trail is."),
    key("[audit]", "durability", Shape::Word(&["strict", "buffered"]), Some("\"strict\""), "Whether a record counts when it is on the disk, or when it is written."),
    key("[audit]", "retention", Shape::Days, None, "How long records are kept; for ever unless set."),

    key("[control]", "socket", Shape::Path, Some("\"control.sock\""), "The control socket."),
    key("[control]", "require-reason", Shape::Flag, Some("false"), "Changes need a reason."),
    key("[control.roles]", "operator", Shape::Texts, Some("[]"), "Who may set, rotate and disable secrets."),
    key("[control.roles]", "approver", Shape::Texts, Some("[]"), "Who may load and revoke grants, and reload the configuration."),
    key("[control.roles]", "auditor", Shape::Texts, Some("[]"), "Who may read the audit trail."),
    key("[control.roles]", "viewer", Shape::Texts, Some("[]"), "Who may see names and states."),

    key("[engine]", "cache", Shape::Path, Some("\"cache\""), "The folder in which compiled policies are kept."),
    key("[engine]", "reports", Shape::Flag, Some("false"), "The log says, at level debug, in which function a policy was stopped."),

    key("[log]", "level", Shape::Text, Some("\"info\""), "What is logged: a level, or levels by module."),
    key("[log]", "format", Shape::Word(&["text", "json"]), Some("\"text\""), "Lines for people, or JSON objects."),
    key("[log]", "access", Shape::Flag, Some("true"), "One line for each exchange."),
    key("[log]", "path", Shape::Flag, Some("false"), "The request's path stands in that line; never its query."),

    key("[telemetry]", "otlp", Shape::Url, None, "The collector that traces go to; none without it."),
    key("[telemetry]", "sample", Shape::Share, Some("1"), "Which share of the exchanges is traced."),
    key("[telemetry]", "trust-trace-context", Shape::Flag, Some("false"), "A client may begin a trace."),

    key("[grants]", "file", Shape::Path, None, "The file with the grants; nothing is granted without it."),

    key("[documents]", "references", Shape::Texts, Some("[]"), "What policy documents may ask for: secrets of sources, as `SOURCE:KEY`. Any other Key Vault reference in a document is an error."),

    required("[sources.NAME]", "kind", Shape::Word(&["files", "openbao", "key-vault", "environment"]), "Where the secrets are: in a folder, in OpenBao or Vault, in Azure Key Vault, in environment variables (for development)."),
    key("[sources.NAME]", "refresh", Shape::Duration, Some("\"60s\""), "Each secret is fetched again within this time."),
    key("[sources.NAME]", "stale-limit", Shape::Duration, Some("\"1h\""), "For how long after the last success a value is used while the source doesn't answer; then uses are refused."),
    key("[sources.NAME]", "timeout", Shape::Duration, Some("\"10s\""), "How long one fetch may take."),
    key("[sources.NAME]", "cache", Shape::Word(&["memory", "sealed"]), Some("\"memory\""), "Where values are kept unless a secret says so: in memory, or sealed in the vault file, too."),
    key("[sources.NAME]", "directory", Shape::Path, Some("\"secrets\""), "Of kind files: the folder; a secret's key is its file in it."),
    key("[sources.NAME]", "credentials", Shape::Flag, Some("false"), "Of kind files: the folder is the one with the credentials of the service manager."),
    key("[sources.NAME]", "keep-line-end", Shape::Flag, Some("false"), "Of kind files: the line end at a file's end is part of the secret."),
    key("[sources.NAME]", "readable-by-others", Shape::Flag, Some("false"), "Of kind files: files that every user can read are taken, as in Kubernetes with its default mode."),
    key("[sources.NAME]", "development", Shape::Flag, None, "Of kind environment: this is no machine where secrets matter; has to be true."),
    key("[sources.NAME]", "variables", Shape::Texts, None, "Of kind environment: the variables that may be read."),
    key("[sources.NAME]", "vault", Shape::Url, None, "Of kind key-vault: the vault, `https://NAME.vault.azure.net`."),
    key("[sources.NAME]", "tenant", Shape::Text, None, "Of kind key-vault: the id of the tenant that the vault trusts."),
    key("[sources.NAME]", "authority", Shape::Url, None, "Of kind key-vault: who issues tokens; known for Microsoft's clouds."),
    key("[sources.NAME]", "resource", Shape::Url, None, "Of kind key-vault: what tokens are for; known for Microsoft's clouds."),
    key("[sources.NAME]", "platform", Shape::Word(&["auto", "imds", "app-service", "workload"]), None, "Of kind key-vault: who hands out tokens; found out by the environment unless set."),
    key("[sources.NAME]", "client-id", Shape::Text, None, "Of kind key-vault: the identity, where the one of the machine itself is not meant."),
    key("[sources.NAME]", "object-id", Shape::Text, None, "Of kind key-vault: the same by its object id."),
    key("[sources.NAME]", "resource-id", Shape::Text, None, "Of kind key-vault: the same by its resource id."),
    key("[sources.NAME]", "identity-endpoint", Shape::Url, None, "Of kind key-vault: where IMDS answers, if not where it usually does."),
    key("[sources.NAME]", "token-file", Shape::Path, None, "Of kind key-vault: the federated token, if not the file that the platform names."),
    key("[sources.NAME]", "address", Shape::Url, None, "Of kind openbao: the server; its path too, if it is behind one."),
    key("[sources.NAME]", "mount", Shape::Text, None, "Of kind openbao: where the KV engine (version 2) is mounted; `secret` unless set."),
    key("[sources.NAME]", "transit", Shape::Text, None, "Of kind openbao: where the transit engine is mounted; `transit` unless set."),
    key("[sources.NAME]", "namespace", Shape::Text, None, "Of kind openbao: the namespace, if the server has such."),
    key("[sources.NAME]", "networks", Shape::Texts, None, "Of kinds openbao and key-vault: the networks that its addresses may be in; public ones unless set."),
    key("[sources.NAME]", "ca-file", Shape::Path, None, "Of kinds openbao and key-vault: who may vouch for its certificate; otherwise whom the system trusts."),
    key("[sources.NAME.auth]", "method", Shape::Word(&["token-file", "approle", "kubernetes", "jwt"]), None, "Of kind openbao: how to log in."),
    key("[sources.NAME.auth]", "file", Shape::Path, None, "By token-file: the file with the token, which somebody else keeps fresh."),
    key("[sources.NAME.auth]", "mount", Shape::Text, None, "Where the method is mounted; at its own name unless set."),
    key("[sources.NAME.auth]", "role", Shape::Text, None, "By kubernetes and jwt: the role."),
    key("[sources.NAME.auth]", "role-id", Shape::Text, None, "By approle: the role's id, which is no secret."),
    key("[sources.NAME.auth]", "secret-id-file", Shape::Path, None, "By approle: the file with the secret id, or with the token that it is wrapped in."),
    key("[sources.NAME.auth]", "wrapped", Shape::Flag, None, "By approle: the file holds a wrapping token, good for one login."),
    key("[sources.NAME.auth]", "token-file", Shape::Path, None, "By kubernetes and jwt: the file with the token; of a pod's service account, Kubernetes' own place unless set."),

    required("[[route]]", "name", Shape::Name, "What pipelines, policies and grants call it."),
    required("[[route]]", "url", Shape::Url, "The backend: scheme, host, port and the beginning of each path. Of a PostgreSQL database, `postgres://host:port`, for grants of `query`; no request is sent there."),
    key("[[route]]", "ca-file", Shape::Path, None, "Who may vouch for its certificate; otherwise whom the system trusts."),
    key("[[route]]", "networks", Shape::Texts, None, "The networks that its addresses may be in; public ones unless set."),
    key("[[route]]", "max-connections", Shape::Count(1, MOST), Some("1024"), "Connections to the backend at one time for requests with a credential, and as many for others; to a database, 10 for each login unless set."),
    key("[[route]]", "retries", Shape::Count(0, 10), Some("0"), "How often a request without a credential or a body, of a method that may be repeated, is sent again where the connection closed without an answer."),
    key("[[route]]", "http2", Shape::Word(&["negotiated", "prior-knowledge"]), Some("\"negotiated\""), "Whether HTTP/2 is spoken where TLS negotiates it, or to an `http://` backend without asking, as gRPC without TLS needs it."),
    key("[[route]]", "resolve-timeout-ms", Shape::Count(1, MOST), Some("5000"), "Time to find its addresses, in milliseconds."),
    key("[[route]]", "connect-timeout-ms", Shape::Count(1, MOST), Some("5000"), "Time for a connection."),
    key("[[route]]", "tls-timeout-ms", Shape::Count(1, MOST), Some("5000"), "Time for a TLS handshake."),
    key("[[route]]", "request-body-timeout-ms", Shape::Count(1, MOST), Some("60000"), "Time between two parts of a request's body."),
    key("[[route]]", "response-timeout-ms", Shape::Count(1, MOST), Some("60000"), "Time for the head of an answer."),
    key("[[route]]", "body-timeout-ms", Shape::Count(1, MOST), Some("60000"), "Time between two parts of an answer's body."),
    key("[[route]]", "idle-timeout-ms", Shape::Count(1, MOST), Some("60000"), "How long a connection is kept that nothing uses."),

    required("[issuers.NAME]", "issuer", Shape::Text, "Who issues the tokens, as `iss` in them says it."),
    required("[issuers.NAME]", "route", Shape::Name, "The route over which its keys are fetched."),
    key("[issuers.NAME]", "jwks", Shape::Text, None, "The path of its keys on that route, a JSON Web Key Set; without it, the discovery document says where they are."),
    key("[issuers.NAME]", "discovery", Shape::Text, Some("\"/.well-known/openid-configuration\""), "The path of its discovery document on that route; its `jwks_uri` has to lie on the route, too."),
    key("[issuers.NAME]", "algorithms", Shape::Texts, Some("[\"RS256\"]"), "The algorithms that count, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA."),
    key("[issuers.NAME]", "audiences", Shape::Texts, Some("[]"), "Of these, `aud` of a token must have one; without it, a token that has `aud` is refused."),
    key("[issuers.NAME]", "clock-skew", Shape::Duration, Some("\"30s\""), "By how much clocks may differ."),
    key("[issuers.NAME]", "refresh", Shape::Duration, Some("\"1h\""), "Its keys are fetched again when they are older."),
    key("[issuers.NAME]", "unknown-key-floor", Shape::Duration, Some("\"60s\""), "How often at most they are fetched because a token names a key that is not among them."),
    key("[issuers.NAME]", "max-age", Shape::Duration, Some("\"1d\""), "How old its keys may be, if they can't be fetched, and still count; then its tokens are refused."),
    required("[[policy]]", "name", Shape::Name, "What pipelines, documents and grants call it."),
    required("[[policy]]", "component", Shape::Path, "Its component."),
    key("[[policy]]", "settings", Shape::Table, Some("{}"), "What its `configure` is given."),
    key("[[policy]]", "routes", Shape::Texts, Some("[]"), "The routes that it may call itself."),
    key("[[policy]]", "issuers", Shape::Texts, Some("[]"), "The issuers whose tokens it may have checked."),
    key("[[policy]]", "profile", Shape::Word(&["lean", "standard", "large"]), None, "Its sandbox; the smallest that has room for what its component declares unless set."),
    key("[[policy]]", "concurrent-calls", Shape::Count(1, 10_000), None, "Its calls at one time; three quarters of those of its profile unless set. A call lasts while a policy waits for a backend itself."),
    key("[policy.limits]", "memory-bytes", Shape::Count(65536, 268435456), None, "Bytes of memory of an instance; at most, and unless set, what its profile has."),
    key("[policy.limits]", "table-elements", Shape::Count(0, 100000), None, "Table elements of an instance; at most, and unless set, what its profile has."),
    key("[policy.limits]", "cpu-milliseconds", Shape::Count(1, 10000), Some("50"), "Milliseconds of computing of a call."),
    key("[policy.limits]", "wall-milliseconds", Shape::Count(1, 600000), Some("2000"), "Milliseconds of a call in all, waiting included."),
    key("[policy.limits]", "host-calls", Shape::Count(1, 1000000), Some("1000"), "Calls into the host."),
    key("[policy.limits]", "secret-uses", Shape::Count(0, 1000), Some("32"), "Uses of secrets."),
    key("[policy.limits]", "handles", Shape::Count(1, 10000), Some("64"), "Handles at one time."),
    key("[policy.limits]", "egress-requests", Shape::Count(0, 1000), Some("8"), "Requests of its own."),
    key("[policy.limits]", "forwards", Shape::Count(0, 1000), Some("64"), "Times that it sends the exchange's request to the backend, where it may."),
    key("[policy.limits]", "body-bytes", Shape::Count(0, 67108864), Some("1048576"), "Bytes of a body that it reads or writes."),
    key("[policy.limits]", "log-lines", Shape::Count(0, 10000), Some("50"), "Log lines; more are dropped."),
    key("[policy.limits]", "log-line-bytes", Shape::Count(0, 65536), Some("1024"), "Bytes of a log line; the rest is cut off."),
    key("[policy.limits]", "random-bytes", Shape::Count(0, 1048576), Some("1024"), "Random bytes."),
    key("[policy.limits]", "variable-bytes", Shape::Count(0, 16777216), Some("65536"), "Bytes of an exchange's variables."),
    key("[policy.limits]", "variables", Shape::Count(0, 10000), Some("64"), "Variables of an exchange."),
    key("[policy.limits]", "cache-values", Shape::Count(0, 1000000), Some("10000"), "Values in its cache on this node; the one used the longest ago makes room."),
    key("[policy.limits]", "cache-bytes", Shape::Count(0, 1073741824), Some("4194304"), "Bytes of its cache, keys included."),
    key("[policy.limits]", "cache-value-bytes", Shape::Count(0, 16777216), Some("262144"), "Bytes of one value in its cache."),
    key("[policy.limits]", "headers", Shape::Count(1, 1000), Some("128"), "Headers on one side of an exchange."),
    key("[policy.limits]", "header-bytes", Shape::Count(1, 65536), Some("16384"), "Bytes of a header's value."),
    key("[policy.limits]", "call-bytes", Shape::Count(1024, 67108864), Some("1048576"), "Bytes that one call into the host hands over, either way."),

    required("[[pipeline]]", "path", Shape::Prefix, "Which requests: those whose path begins so, by whole segments. A path that only a backend which decodes it, cuts `;…` off or ignores case would read so is answered with 400."),
    required("[[pipeline]]", "route", Shape::Name, "Where they go."),
    key("[[pipeline]]", "inbound", Shape::Texts, Some("[]"), "The policies of the inbound phase, in order."),
    key("[[pipeline]]", "backend", Shape::Texts, Some("[]"), "The policies of the backend phase, in order."),
    key("[[pipeline]]", "outbound", Shape::Texts, Some("[]"), "The policies of the outbound phase, in order."),
    key("[[pipeline]]", "on-error", Shape::Texts, Some("[]"), "The policies of the on-error phase, in order."),
    key("[[pipeline]]", "max-body-bytes", Shape::Count(1, MOST), None, "Bytes of a request's body, in the place of the gateway's limit."),
    key("[[pipeline]]", "upgrades", Shape::Texts, Some("[]"), "The protocols that clients may upgrade to: `websocket`; who asks for another one is answered with 403."),
    key("[[pipeline]]", "methods", Shape::Texts, Some(r#"["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]"#), "The methods that it takes; others are answered with 405."),
    key("[[pipeline]]", "document", Shape::Paths, None, "Policy documents, instead of the lists: that of the API; or several, the broadest scope first: API and operation; product, API and operation; workspace, product, API and operation."),
    key("[[pipeline]]", "runs-as", Shape::Name, Some("\"document\""), "The policy under whose name its documents run, with that policy's routes and issuers; its component is the one called `document`. Pipelines whose documents differ need different ones."),
    key("[pipeline.api]", "id", Shape::Text, None, "What documents are told of the API: `context.Api.Id`."),
    key("[pipeline.api]", "name", Shape::Text, None, "`context.Api.Name`."),
    key("[pipeline.api]", "path", Shape::Text, None, "`context.Api.Path`."),
    key("[pipeline.api]", "version", Shape::Text, None, "`context.Api.Version`."),
    key("[pipeline.api]", "revision", Shape::Text, None, "`context.Api.Revision`."),
    key("[pipeline.api]", "subscription-required", Shape::Flag, None, "Whether callers of its documents need a subscription's key, a client key of the vault: `true` asks everybody for one before the first statement runs, `false` nobody. Unless set, documents ask where they need to know who calls: with `rate-limit` and `context.Subscription`."),
    key("[pipeline.operation]", "id", Shape::Text, None, "What documents are told of the operation: `context.Operation.Id`."),
    key("[pipeline.operation]", "name", Shape::Text, None, "`context.Operation.Name`."),
    key("[pipeline.operation]", "method", Shape::Text, None, "`context.Operation.Method`."),
    key("[pipeline.operation]", "template", Shape::Text, None, "`context.Operation.UrlTemplate`, such as `/orders/{id}`: with it come the request's `MatchedParameters`."),
    key("[pipeline.product]", "id", Shape::Text, None, "What documents are told of the product: `context.Product.Id`."),
    key("[pipeline.product]", "name", Shape::Text, None, "`context.Product.Name`."),
];

/// In a section's title: a name that the file gives.
pub(super) const NAMED: &str = "NAME";

/// The tables that a section's title leads through, and whether the last one is
/// an array of tables: `[control.roles]` is `control`, `roles` and no array.
pub fn section_of(title: &str) -> (Vec<&str>, bool) {
    let many = title.starts_with("[[");
    let inner = title.trim_matches(['[', ']']);
    (inner.split('.').collect(), many)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
