//! Control of the flow: what runs, how often, and where it ends.

use super::shape::{
    Content, Element, Kind, MANY, Policy, Sections, child, element, nested, optional, policy,
    required,
};
use super::transform::{SET_BODY, SET_HEADER, SET_STATUS};

const TRUE_OR_FALSE: Kind = Kind::Bool;

const WHEN: Element = element(
    "when",
    &[required("condition", TRUE_OR_FALSE).expression()],
    Content::Statements,
);
const OTHERWISE: Element = element("otherwise", &[], Content::Statements);

pub(super) static BASE: Policy = policy(
    Sections::ALL,
    element("base", &[], Content::Nothing).notes(&[
        "at the global scope it stands for nothing",
        "a section without it inherits from no broader scope at all",
    ]),
);

pub(super) static CHOOSE: Policy = policy(
    Sections::ALL,
    element(
        "choose",
        &[],
        Content::Ordered(&[child(&WHEN, 1, MANY), child(&OTHERWISE, 0, 1)]),
    )
    .notes(&["the first <when> whose condition is true runs, and no other"]),
);

pub(super) static RETRY: Policy = policy(
    Sections::ALL,
    element(
        "retry",
        &[
            required("condition", TRUE_OR_FALSE).expression(),
            required("count", Kind::Int(1, 50)).expression(),
            optional("interval", Kind::Seconds(0, 3600)).expression(),
            optional("delta", Kind::Seconds(0, 3600)).expression(),
            optional("max-interval", Kind::Seconds(0, 3600)).expression(),
            optional("first-fast-retry", Kind::Bool).or("false").expression(),
        ],
        Content::Statements,
    )
    .groups(&[super::shape::Group::With("delta", "max-interval")])
    .notes(&[
        "count is the number of retries: with 3 the steps run four times at most",
        "the condition is looked at after each run",
        "interval alone waits as long each time; with delta longer each time; with max-interval exponentially",
        "a request's body is sent again only where <forward-request buffer-request-body=\"true\"> kept it",
        "a statement that fails ends it, and <on-error> runs",
    ])
    .differs(&["a wait that is longer than what is left of the call's own time is an error: that time (wall-milliseconds) is the sum of the document's timeouts and waits, 10 minutes at most, unless the policy's limits set it"]),
);

pub(super) static WAIT: Policy = policy(
    Sections::IBO,
    element(
        "wait",
        &[optional("for", Kind::Word(&["all", "any"]))
            .or("all")
            .expression()],
        Content::Only(&["send-request", "cache-lookup-value", "choose"]),
    )
    .differs(&[
        "its statements run one after the other and not side by side",
        "with \"any\" the first in order runs and no other",
    ]),
);

pub(super) static INCLUDE_FRAGMENT: Policy = policy(
    Sections::ALL,
    element(
        "include-fragment",
        &[required("fragment-id", Kind::Fragment)],
        Content::Nothing,
    )
    .notes(&["a fragment can't include another"]),
);

pub(super) static LIMIT_CONCURRENCY: Policy = policy(
    Sections::ALL,
    element(
        "limit-concurrency",
        &[
            required("key", Kind::Filled).expression(),
            required("max-count", Kind::Int(1, 1_000_000)),
        ],
        Content::Statements,
    )
    .notes(&["above the limit the answer is 429 at once; nothing waits in a queue"])
    .differs(&[
        "each node of the gateway counts by itself, and for this document alone",
        "a key of more than 128 bytes is an error",
    ]),
);

pub(super) static RETURN_RESPONSE: Policy = policy(
    Sections::ALL,
    element(
        "return-response",
        &[optional("response-variable-name", Kind::Variable)],
        Content::Children(&[
            nested(&SET_STATUS, 1),
            nested(&SET_HEADER, MANY),
            nested(&SET_BODY, 1),
        ]),
    )
    .notes(&[
        "without anything the answer is an empty 200",
        "backend and outbound do not run after it",
    ]),
);

pub(super) static MOCK_RESPONSE: Policy = policy(
    Sections::IOE,
    element(
        "mock-response",
        &[
            optional("status-code", Kind::Int(200, 599)).or("200"),
            optional("content-type", Kind::Filled),
            optional("index", Kind::Int(0, 1000)),
        ],
        Content::Nothing,
    )
    .notes(&["without an example in the API's description the body is empty"])
    .differs(&["there is no description of the API here: the body is always empty, and index chooses among nothing"]),
);
