//! Who calls, and as whom the gateway calls.

use super::shape::{
    Content, Element, Group, Kind, MANY, Once, Policy, Sections, child, element, optional, policy,
    required, secret_text, text,
};

pub(super) static AUTHENTICATION_BASIC: Policy = policy(
    Sections::I,
    element(
        "authentication-basic",
        &[
            required("username", Kind::Filled).expression().secret(),
            required("password", Kind::Text).expression().secret(),
        ],
        Content::Nothing,
    )
    .notes(&["sets Authorization, over the caller's own"])
    .differs(&["a secret password is attached where a grant allows it, and its username is a fixed text; user and password that are both secret are one secret of kind basic"]),
);

pub(super) static AUTHENTICATION_CERTIFICATE: Policy = policy(
    Sections::I,
    element(
        "authentication-certificate",
        &[
            optional("thumbprint", Kind::Filled).expression(),
            optional("certificate-id", Kind::Filled).expression(),
            optional("body", Kind::Filled).expression(),
            optional("password", Kind::Text).expression().secret(),
        ],
        Content::Nothing,
    )
    .groups(&[
        Group::One(&["thumbprint", "certificate-id", "body"]),
        Group::With("body", "password"),
    ])
    .notes(&["a certificate of a key vault has a certificate-id; its thumbprint changes"])
    .differs(&[
        "certificate-id names a secret of kind certificate; a certificate by its thumbprint or its body is not supported",
    ]),
);

pub(super) static AUTHENTICATION_MANAGED_IDENTITY: Policy = policy(
    Sections::I,
    element(
        "authentication-managed-identity",
        &[
            required("resource", Kind::Filled).expression(),
            optional("client-id", Kind::Filled).expression(),
            optional("output-token-variable-name", Kind::Variable),
            optional("ignore-error", Kind::Bool)
                .or("false")
                .expression(),
        ],
        Content::Nothing,
    )
    .notes(&["with output-token-variable-name, Authorization is not set"])
    .differs(&[
        "the token is attached to the request where a grant allows it, and no expression can read it: output-token-variable-name is not supported",
        "client-id and ignore-error change nothing: the grant says with what the token is got, and without one the request is not sent",
    ]),
);

const OPENID_CONFIG: Element = element(
    "openid-config",
    &[required("url", Kind::Url).expression()],
    Content::Nothing,
);
const SIGNING_KEY: Element = element(
    "key",
    &[
        optional("id", Kind::Filled),
        optional("certificate-id", Kind::Filled),
        optional("n", Kind::Base64),
        optional("e", Kind::Base64),
    ],
    secret_text(Kind::Base64),
)
.groups(&[
    Group::With("n", "e"),
    Group::AtMostOne(&["certificate-id", "n"]),
]);
const DECRYPTION_KEY: Element = element(
    "key",
    &[optional("certificate-id", Kind::Filled)],
    secret_text(Kind::Base64),
);
const ISSUER_SIGNING_KEYS: Element = element(
    "issuer-signing-keys",
    &[],
    Content::Children(&[child(&SIGNING_KEY, 1, MANY)]),
);
const DECRYPTION_KEYS: Element = element(
    "decryption-keys",
    &[],
    Content::Children(&[child(&DECRYPTION_KEY, 1, MANY)]),
);
const AUDIENCE: Element = element("audience", &[], text(Kind::Filled));
const AUDIENCES: Element = element(
    "audiences",
    &[],
    Content::Children(&[child(&AUDIENCE, 1, MANY)]),
);
const ISSUER: Element = element("issuer", &[], text(Kind::Filled));
const ISSUERS: Element = element(
    "issuers",
    &[],
    Content::Children(&[child(&ISSUER, 1, MANY)]),
);
const CLAIM_VALUE: Element = element("value", &[], text(Kind::Text));
const CLAIM: Element = element(
    "claim",
    &[
        required("name", Kind::Filled).expression(),
        optional("match", Kind::Word(&["all", "any"]))
            .or("all")
            .expression(),
        optional("separator", Kind::Text).expression(),
    ],
    Content::Children(&[child(&CLAIM_VALUE, 0, MANY)]),
);
const REQUIRED_CLAIMS: Element = element(
    "required-claims",
    &[],
    Content::Children(&[child(&CLAIM, 1, MANY)]),
);

pub(super) static VALIDATE_JWT: Policy = policy(
    Sections::I,
    element(
        "validate-jwt",
        &[
            optional("header-name", Kind::Header),
            optional("query-parameter-name", Kind::Filled),
            optional("token-value", Kind::Filled).expression(),
            optional("failed-validation-httpcode", Kind::Int(200, 599))
                .or("401")
                .expression(),
            optional("failed-validation-error-message", Kind::Text).expression(),
            optional("require-expiration-time", Kind::Bool)
                .or("true")
                .expression(),
            optional("require-scheme", Kind::Filled).expression(),
            optional("require-signed-tokens", Kind::Bool)
                .or("true")
                .expression(),
            optional("clock-skew", Kind::Seconds(0, 86_400))
                .or("0")
                .expression(),
            optional("output-token-variable-name", Kind::Variable),
        ],
        Content::Children(&[
            child(&OPENID_CONFIG, 0, MANY),
            child(&ISSUER_SIGNING_KEYS, 0, 1),
            child(&DECRYPTION_KEYS, 0, 1),
            child(&AUDIENCES, 0, 1),
            child(&ISSUERS, 0, 1),
            child(&REQUIRED_CLAIMS, 0, 1),
        ]),
    )
    .groups(&[Group::One(&[
        "header-name",
        "query-parameter-name",
        "token-value",
    ])])
    .notes(&[
        "require-scheme is looked at for the header Authorization alone",
        "of a claim's values all have to be there, unless it says match=\"any\"",
    ])
    .differs(&[
        "the url of <openid-config> is that of an [issuers.NAME] of the gateway's configuration",
        "a <key> is a secret named value; public keys and keys that stand in the document are not supported",
        "<decryption-keys> are not supported",
        "require-signed-tokens can only be true",
        "what the operator expects of the issuer or of the key counts as well: clock-skew and require-expiration-time make it stricter and not laxer",
        "<issuers> and <audiences> are the only ones, also beside those of an <openid-config>",
        "the id of a <key> changes nothing: one key after the other is tried",
        "a header or a query parameter with several values holds no token: nobody knows which one the backend reads",
        "a token that can't be checked now is an error of the gateway (500) and no refusal",
    ]),
);

const CHECKED_VALUE: Element = element("value", &[], text(Kind::HeaderValue));

pub(super) static CHECK_HEADER: Policy = policy(
    Sections::I,
    element(
        "check-header",
        &[
            required("name", Kind::Header).expression(),
            required("failed-check-httpcode", Kind::Int(200, 599)).expression(),
            required("failed-check-error-message", Kind::Text).expression(),
            required("ignore-case", Kind::Bool).expression(),
        ],
        Content::Children(&[child(&CHECKED_VALUE, 0, MANY)]),
    )
    .notes(&["without a <value> the header only has to be there"])
    .differs(&["of a header with several values each has to be allowed"]),
);

const ADDRESS: Element = element("address", &[], text(Kind::Address));
const ADDRESS_RANGE: Element = element(
    "address-range",
    &[
        required("from", Kind::Address).expression(),
        required("to", Kind::Address).expression(),
    ],
    Content::Nothing,
);

pub(super) static IP_FILTER: Policy = policy(
    Sections::I,
    element(
        "ip-filter",
        &[required("action", Kind::Word(&["allow", "forbid"])).expression()],
        Content::Children(&[child(&ADDRESS, 0, MANY), child(&ADDRESS_RANGE, 0, MANY)]),
    )
    .differs(&[
        "an IPv4 address that is written as an IPv6 one is the IPv4 address",
        "a range from a higher address to a lower one, or from one family to the other, is an error",
    ]),
);

const ORIGIN: Element = element("origin", &[], text(Kind::Origin));
const METHOD: Element = element("method", &[], text(Kind::Filled));
const HEADER: Element = element("header", &[], text(Kind::Filled));
const ALLOWED_ORIGINS: Element = element(
    "allowed-origins",
    &[],
    Content::Children(&[child(&ORIGIN, 1, MANY)]),
);
const ALLOWED_METHODS: Element = element(
    "allowed-methods",
    &[
        optional("preflight-result-max-age", Kind::Seconds(0, 86_400))
            .or("0")
            .expression(),
    ],
    Content::Children(&[child(&METHOD, 1, MANY)]),
);
const ALLOWED_HEADERS: Element = element(
    "allowed-headers",
    &[],
    Content::Children(&[child(&HEADER, 1, MANY)]),
);
const EXPOSE_HEADERS: Element = element(
    "expose-headers",
    &[],
    Content::Children(&[child(&HEADER, 1, MANY)]),
);

pub(super) static CORS: Policy = {
    let mut policy = policy(
        Sections::I,
        element(
            "cors",
            &[
                optional("allow-credentials", Kind::Bool)
                    .or("false")
                    .expression(),
                optional("terminate-unmatched-request", Kind::Bool)
                    .or("true")
                    .expression(),
            ],
            Content::Children(&[
                child(&ALLOWED_ORIGINS, 1, 1),
                child(&ALLOWED_METHODS, 0, 1),
                child(&ALLOWED_HEADERS, 0, 1),
                child(&EXPOSE_HEADERS, 0, 1),
            ]),
        )
        .notes(&[
            "without <allowed-methods> GET and POST are allowed",
            "nothing else runs for a preflight request",
        ])
        .differs(&[
            "a preflight request is answered before the section runs, by the <cors> that stand directly in it, and where the API has an operation for OPTIONS as well",
            "all origins (*) never get credentials: every page could act for its visitor",
            "a preflight request for a method or a header that is not allowed gets an empty 200, as one of an origin that is not",
            "the headers are written at the end, over those of the backend, and onto answers to failures too",
        ]),
    );
    policy.once = Once::Section;
    policy
};
