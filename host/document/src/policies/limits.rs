//! Rates, the cache of values, and what tells others what happened.

use super::shape::{
    Attribute, Content, Element, Kind, MANY, Once, Policy, Scopes, Sections, child, element,
    optional, policy, required, text,
};

const CALLS: Attribute = required("calls", Kind::Int(0, 1_000_000_000));
const PERIOD: Attribute = required("renewal-period", Kind::Seconds(1, 300));
const RETRY_HEADER: Attribute = optional("retry-after-header-name", Kind::Header).or("Retry-After");
const RETRY_VARIABLE: Attribute = optional("retry-after-variable-name", Kind::Variable);
const REMAINING_HEADER: Attribute = optional("remaining-calls-header-name", Kind::Header);
const REMAINING_VARIABLE: Attribute = optional("remaining-calls-variable-name", Kind::Variable);
const TOTAL_HEADER: Attribute = optional("total-calls-header-name", Kind::Header);

const OPERATION: Element = element(
    "operation",
    &[
        optional("name", Kind::Filled),
        optional("id", Kind::Filled),
        CALLS,
        PERIOD,
    ],
    Content::Nothing,
)
.groups(&[super::shape::Group::Some(&["name", "id"])]);
const API: Element = element(
    "api",
    &[
        optional("name", Kind::Filled),
        optional("id", Kind::Filled),
        CALLS,
        PERIOD,
    ],
    Content::Children(&[child(&OPERATION, 0, MANY)]),
)
.groups(&[super::shape::Group::Some(&["name", "id"])]);

pub(super) static RATE_LIMIT: Policy = {
    let mut policy = policy(
        Sections::I,
        element(
            "rate-limit",
            &[
                CALLS,
                PERIOD,
                RETRY_HEADER,
                RETRY_VARIABLE,
                REMAINING_HEADER,
                REMAINING_VARIABLE,
                TOTAL_HEADER,
            ],
            Content::Children(&[child(&API, 0, MANY)]),
        )
        .notes(&[
            "counts for each subscription; it does not apply to callers without one, where none is required",
            "a window that slides, 300 seconds at most",
        ])
        .differs(&[
            "a subscription is a subject of a secret of kind client-keys, which a grant lets the document ask for",
            "calls are counted on each node",
            "of the window before the present one counts what still lies within the period, as if it had come evenly; a call that is turned away does not count",
            "an <api> and an <operation> are the ones that the gateway's configuration names",
        ]),
    );
    policy.scopes = Scopes::NARROW;
    policy.once = Once::Document;
    policy
};

pub(super) static RATE_LIMIT_BY_KEY: Policy = policy(
    Sections::I,
    element(
        "rate-limit-by-key",
        &[
            CALLS.expression(),
            PERIOD.expression(),
            required("counter-key", Kind::Filled).expression(),
            optional("increment-condition", Kind::Bool).expression(),
            optional("increment-count", Kind::Int(0, 1_000_000_000))
                .or("1")
                .expression(),
            optional("increment-after-response", Kind::Bool),
            RETRY_HEADER,
            RETRY_VARIABLE,
            REMAINING_HEADER,
            REMAINING_VARIABLE,
            TOTAL_HEADER,
        ],
        Content::Nothing,
    )
    .notes(&[
        "one counter for a key, whatever the scope",
        "the condition is looked at on the way of the answer",
    ])
    .differs(&[
        "calls are counted on each node, in counters of the document's policy and of the period",
        "of the window before the present one counts what still lies within the period, as if it had come evenly; a call that is turned away does not count",
        "a counter-key has 112 bytes at most; a longer one is an error, and is not shortened: two callers could share a counter",
        "a condition or an increment-count that throws on the way of the answer counts one call",
        "with increment-condition or increment-after-response a call counts once its answer is known: those that run at the same time do not see each other, and one whose client goes away before that does not count",
    ]),
);

const CACHING: Attribute = optional(
    "caching-type",
    Kind::Word(&["internal", "external", "prefer-external"]),
)
.or("prefer-external");

const CACHE: &str = "the cache is the node's and the document's policy's own: caching-type changes nothing, and a restart empties it";
const CACHE_KEY: &str = "a key has 1,024 bytes at most";

pub(super) static CACHE_LOOKUP_VALUE: Policy = policy(
    Sections::ALL,
    element(
        "cache-lookup-value",
        &[
            required("key", Kind::Filled).expression(),
            required("variable-name", Kind::Variable),
            optional("default-value", Kind::Text).expression(),
            CACHING,
        ],
        Content::Nothing,
    )
    .notes(&["without a hit and a default, the variable is not set"])
    .differs(&[CACHE, CACHE_KEY]),
);

pub(super) static CACHE_STORE_VALUE: Policy = policy(
    Sections::ALL,
    element(
        "cache-store-value",
        &[
            required("key", Kind::Filled).expression(),
            required("value", Kind::Text).expression(),
            required("duration", Kind::Seconds(0, 31_536_000)).expression(),
            CACHING,
        ],
        Content::Nothing,
    )
    .notes(&["it is not sure that a value can be read at once"])
    .differs(&[
        CACHE,
        CACHE_KEY,
        "a value that the cache has no room for is told to the log; a duration of 0 forgets what is there",
    ]),
);

pub(super) static CACHE_REMOVE_VALUE: Policy = policy(
    Sections::ALL,
    element(
        "cache-remove-value",
        &[required("key", Kind::Filled).expression(), CACHING],
        Content::Nothing,
    )
    .differs(&[CACHE, CACHE_KEY]),
);

const MESSAGE: Element = element("message", &[], text(Kind::Text));
const METADATA: Element = element(
    "metadata",
    &[
        required("name", Kind::Filled).expression(),
        required("value", Kind::Text).expression(),
    ],
    Content::Nothing,
);

pub(super) static TRACE: Policy = policy(
    Sections::ALL,
    element(
        "trace",
        &[
            required("source", Kind::Filled).expression(),
            optional("severity", Kind::Word(&["verbose", "information", "error"])).or("verbose"),
        ],
        Content::Ordered(&[child(&MESSAGE, 1, 1), child(&METADATA, 0, MANY)]),
    )
    .differs(&["it is a line of the gateway's log: verbose is its level debug, and a line end in it is a space"]),
);
