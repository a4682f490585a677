//! Policies that are known and refused, each with what to use instead. Their
//! attributes are listed so that what a document asks for can be told; they
//! are not checked.

use super::shape::{Attribute, Kind, Policy, Scopes, Sections, optional, refused, required};

const RUST: &str = "a policy written in Rust (<wasm-policy name=\"…\"/>)";
const JWT: &str = "<validate-jwt> with an <openid-config>";
const BY_KEY: &str = "<rate-limit-by-key>";
const LOGS: &str = "<trace>, and the gateway's own logs and metrics";
const VALUES: &str = "<cache-lookup-value> and <cache-store-value>";
const SEND: &str = "<send-request>";

const fn need(name: &'static str) -> Attribute {
    required(name, Kind::Text)
}

const fn may(name: &'static str) -> Attribute {
    optional(name, Kind::Text).expression()
}

const AI_LIMIT: &[Attribute] = &[
    need("counter-key"),
    need("estimate-prompt-tokens"),
    may("tokens-per-minute"),
    may("token-quota"),
    may("token-quota-period"),
    may("retry-after-header-name"),
    may("retry-after-variable-name"),
    may("remaining-quota-tokens-header-name"),
    may("remaining-quota-tokens-variable-name"),
    may("remaining-tokens-header-name"),
    may("remaining-tokens-variable-name"),
    may("tokens-consumed-header-name"),
    may("tokens-consumed-variable-name"),
];
const AI_METRIC: &[Attribute] = &[may("namespace")];
const AI_LOOKUP: &[Attribute] = &[
    need("score-threshold"),
    need("embeddings-backend-id"),
    may("embeddings-backend-auth"),
    may("ignore-system-messages"),
    may("max-message-count"),
];
const AI_STORE: &[Attribute] = &[need("duration")];

pub(super) static PROXY: Policy = refused(
    "proxy",
    Sections::I,
    "a route whose backend is reached without a proxy",
    &[need("url"), may("username"), may("password")],
);

pub(super) static REFUSED: &[Policy] = &[
    refused(
        "json-to-xml",
        Sections::IOE,
        RUST,
        &[
            need("apply"),
            may("consider-accept-header"),
            may("parse-date"),
            may("namespace-separator"),
            may("namespace-prefix"),
            may("attribute-block-name"),
        ],
    ),
    refused(
        "xml-to-json",
        Sections::IOE,
        RUST,
        &[
            need("kind"),
            need("apply"),
            may("consider-accept-header"),
            may("always-array-child-elements"),
        ],
    ),
    refused("xsl-transform", Sections::IO, RUST, &[]),
    refused(
        "redirect-content-urls",
        Sections::IO,
        "<find-and-replace> in outbound",
        &[],
    ),
    refused(
        "log-to-eventhub",
        Sections::ALL,
        LOGS,
        &[need("logger-id"), may("partition-id"), may("partition-key")],
    ),
    refused(
        "send-service-bus-message",
        Sections::ALL,
        "<send-one-way-request> to the queue's HTTP address",
        &[
            may("queue-name"),
            may("topic-name"),
            may("namespace"),
            may("client-id"),
        ],
    ),
    refused(
        "invoke-request",
        Sections::ALL,
        SEND,
        &[
            may("method"),
            may("url"),
            may("backend-id"),
            may("response-variable-name"),
        ],
    ),
    refused(
        "publish-to-dapr",
        Sections::IOE,
        "<send-one-way-request> to Dapr's HTTP address",
        &[
            may("pubsub-name"),
            need("topic"),
            may("ignore-error"),
            may("response-variable-name"),
            may("timeout"),
            may("template"),
            may("content-type"),
        ],
    ),
    refused(
        "invoke-dapr-binding",
        Sections::IOE,
        "<send-request> to Dapr's HTTP address",
        &[
            need("name"),
            may("operation"),
            may("ignore-error"),
            may("response-variable-name"),
            may("timeout"),
            may("template"),
            may("content-type"),
        ],
    ),
    refused(
        "get-authorization-context",
        Sections::I,
        "<authentication-managed-identity>, or a secret of kind oauth-client granted for the use \"token\"",
        &[
            need("provider-id"),
            need("authorization-id"),
            need("context-variable-name"),
            may("identity-type"),
            may("identity"),
            may("ignore-error"),
        ],
    ),
    refused(
        "validate-azure-ad-token",
        Sections::I,
        JWT,
        &[
            need("tenant-id"),
            may("header-name"),
            may("query-parameter-name"),
            may("token-value"),
            may("failed-validation-httpcode"),
            may("failed-validation-error-message"),
            may("output-token-variable-name"),
        ],
    ),
    refused(
        "validate-client-certificate",
        Sections::I,
        RUST,
        &[
            may("validate-revocation"),
            may("validate-trust"),
            may("validate-not-before"),
            may("validate-not-after"),
            may("ignore-error"),
        ],
    ),
    refused("cross-domain", Sections::I, "<cors>", &[]).only_in(Scopes::GLOBAL),
    refused(
        "jsonp",
        Sections::O,
        "<cors>",
        &[need("callback-parameter-name")],
    ),
    refused(
        "quota",
        Sections::I,
        BY_KEY,
        &[may("calls"), may("bandwidth"), need("renewal-period")],
    )
    .only_in(Scopes::PRODUCT),
    refused(
        "quota-by-key",
        Sections::I,
        BY_KEY,
        &[
            may("calls"),
            may("bandwidth"),
            need("renewal-period"),
            need("counter-key"),
            may("increment-condition"),
            may("increment-count"),
            may("first-period-start"),
        ],
    ),
    refused(
        "cache-lookup",
        Sections::I,
        VALUES,
        &[
            need("vary-by-developer"),
            need("vary-by-developer-groups"),
            may("caching-type"),
            may("downstream-caching-type"),
            may("must-revalidate"),
            may("allow-private-response-caching"),
        ],
    ),
    refused(
        "cache-store",
        Sections::O,
        VALUES,
        &[need("duration"), may("cache-response")],
    ),
    refused(
        "cache-value",
        Sections::ALL,
        VALUES,
        &[
            need("key"),
            need("variable-name"),
            may("expires-after"),
            may("refresh-after"),
            may("default-value"),
            may("caching-type"),
        ],
    ),
    refused(
        "emit-metric",
        Sections::ALL,
        LOGS,
        &[need("name"), may("namespace"), may("value")],
    ),
    refused(
        "validate-content",
        Sections::IOE,
        RUST,
        &[
            need("unspecified-content-type-action"),
            need("max-size"),
            need("size-exceeded-action"),
            may("errors-variable-name"),
        ],
    ),
    refused(
        "validate-parameters",
        Sections::I,
        RUST,
        &[
            need("specified-parameter-action"),
            need("unspecified-parameter-action"),
            may("errors-variable-name"),
        ],
    ),
    refused(
        "validate-headers",
        Sections::OE,
        RUST,
        &[
            need("specified-header-action"),
            need("unspecified-header-action"),
            may("errors-variable-name"),
        ],
    ),
    refused(
        "validate-status-code",
        Sections::OE,
        "<choose> with context.Response.StatusCode",
        &[
            need("unspecified-status-code-action"),
            may("errors-variable-name"),
            may("error-variable-name"),
        ],
    ),
    refused(
        "validate-odata-request",
        Sections::I,
        RUST,
        &[
            may("error-variable-name"),
            may("default-odata-version"),
            may("min-odata-version"),
            may("max-odata-version"),
            may("max-size"),
        ],
    ),
    refused(
        "validate-graphql-request",
        Sections::I,
        RUST,
        &[
            may("error-variable-name"),
            may("max-size"),
            may("max-depth"),
        ],
    ),
    refused("llm-token-limit", Sections::I, BY_KEY, AI_LIMIT),
    refused("azure-openai-token-limit", Sections::I, BY_KEY, AI_LIMIT),
    refused("llm-emit-token-metric", Sections::I, LOGS, AI_METRIC),
    refused(
        "azure-openai-emit-token-metric",
        Sections::I,
        LOGS,
        AI_METRIC,
    ),
    refused("llm-semantic-cache-lookup", Sections::I, VALUES, AI_LOOKUP),
    refused(
        "azure-openai-semantic-cache-lookup",
        Sections::I,
        VALUES,
        AI_LOOKUP,
    ),
    refused("llm-semantic-cache-store", Sections::O, VALUES, AI_STORE),
    refused(
        "azure-openai-semantic-cache-store",
        Sections::O,
        VALUES,
        AI_STORE,
    ),
    refused(
        "llm-content-safety",
        Sections::I,
        SEND,
        &[need("backend-id"), may("shield-prompt")],
    ),
    refused("http-data-source", Sections::NONE, SEND, &[]),
    refused(
        "sql-data-source",
        Sections::NONE,
        "a policy with the use \"query\"",
        &[],
    ),
    refused("cosmosdb-data-source", Sections::NONE, SEND, &[]),
    refused(
        "publish-event",
        Sections::NONE,
        "<send-one-way-request>",
        &[],
    ),
    refused(
        "proxy",
        Sections::I,
        "a route whose backend is reached without a proxy",
        &[need("url"), may("username"), may("password")],
    ),
];
