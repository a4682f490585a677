//! Calls: to the backend, and to others on the way.

use super::auth::{
    AUTHENTICATION_BASIC, AUTHENTICATION_CERTIFICATE, AUTHENTICATION_MANAGED_IDENTITY,
};
use super::shape::{
    Content, Element, Group, Kind, MANY, Policy, Sections, child, element, nested, optional,
    policy, required, text,
};
use super::transform::{SET_BODY, SET_HEADER};

const SET_URL: Element = element("set-url", &[], text(Kind::Url));
const SET_METHOD: Element = element("set-method", &[], text(Kind::Method));

const CALL: &[super::shape::Child] = &[
    child(&SET_URL, 0, 1),
    child(&SET_METHOD, 0, 1),
    nested(&SET_HEADER, MANY),
    nested(&SET_BODY, 1),
    nested(&AUTHENTICATION_CERTIFICATE, 1),
    nested(&AUTHENTICATION_BASIC, 1),
    nested(&AUTHENTICATION_MANAGED_IDENTITY, 1),
    nested(&super::refused::PROXY, 1),
];

pub(super) static FORWARD_REQUEST: Policy = policy(
    Sections::B,
    element(
        "forward-request",
        &[
            optional("timeout", Kind::Seconds(0, 3600))
                .or("300")
                .expression(),
            optional("timeout-ms", Kind::Int(0, 3_600_000)).expression(),
            optional("continue-timeout", Kind::Seconds(0, 3600)).expression(),
            optional("http-version", Kind::Word(&["1", "2", "2or1"])).or("1"),
            optional("follow-redirects", Kind::Bool)
                .or("false")
                .expression(),
            optional("buffer-request-body", Kind::Bool).or("false"),
            optional("buffer-response", Kind::Bool).or("true"),
            optional("fail-on-error-status-code", Kind::Bool).or("false"),
        ],
        Content::Nothing,
    )
    .groups(&[Group::AtMostOne(&["timeout", "timeout-ms"])])
    .notes(&[
        "the request goes to the backend here and nowhere else",
        "the timeout ends with the answer's headers",
    ])
    .differs(&[
        "the request goes to the pipeline's route, or where <set-backend-service> says",
        "follow-redirects can only be false: a redirect goes to the client, since what is attached for one address must not follow to another",
        "timeout 0 is as long as the route lets an answer take, which bounds it in any case",
        "http-version, continue-timeout and buffer-response change nothing: the gateway and the backend agree on a version, nobody waits for a 100, and an answer is passed on as it comes",
        "where it is the last of <backend> and the only one, without fail-on-error-status-code, the gateway sends the request when the document's call is over; otherwise (within retry, choose or wait, or with statements after it) a call of the document's policy, with its sandbox, lasts until the answer's headers, and concurrent-calls bounds how many requests wait so",
        "with fail-on-error-status-code the client gets the backend's status and not its body, unless <on-error> makes another answer",
    ]),
);

pub(super) static SET_BACKEND_SERVICE: Policy = policy(
    Sections::IB,
    element(
        "set-backend-service",
        &[
            optional("base-url", Kind::Url).expression(),
            optional("backend-id", Kind::Filled).expression(),
        ],
        Content::Nothing,
    )
    .groups(&[Group::One(&["base-url", "backend-id"])])
    .notes(&["a base-url does not win over a backend-id of a broader scope"])
    .differs(&[
        "a base-url lies at a route of the gateway's configuration that is open to the document; it has no query, no fragment, and no . or .. in its path",
        "a backend-id is the name of such a route",
        "where an expression says the address, it is held against the routes when it is made, and an error if none leads there",
    ]),
);

pub(super) static SEND_REQUEST: Policy = policy(
    Sections::ALL,
    element(
        "send-request",
        &[
            optional("mode", Kind::Word(&["new", "copy"])).or("new").expression(),
            required("response-variable-name", Kind::Variable),
            optional("timeout", Kind::Seconds(0, 3600)).or("60").expression(),
            optional("ignore-error", Kind::Bool).or("false").expression(),
        ],
        Content::Children(CALL),
    )
    .notes(&[
        "an answer of 400 or above is no error",
        "with ignore-error=\"true\" the variable is null after a failure: a condition has to ask for null first",
    ])
    .differs(&[
        "the address lies at a route of the gateway's configuration that is open to the document, as the pipeline's own has to be, too; one that an expression makes is held against the same when it is made",
        "a route that is not open, and a secret that no grant lets go there, are an error whatever ignore-error says",
        "timeout bounds the request and the whole answer, with the route's own limits and what is left of the time of a call of the document's policy (wall-milliseconds), which is the sum of the document's timeouts and waits unless the policy's limits set it; 0 leaves it to those two",
        "a header has one line in such a request: several values are joined",
        "the query is sent as parameters: one without = gets one",
        "an answer's body has 1 MiB at most, and less if the variables have no room for it",
        "a redirect is an answer, and is not followed",
    ]),
);

pub(super) static SEND_ONE_WAY_REQUEST: Policy = policy(
    Sections::ALL,
    element(
        "send-one-way-request",
        &[
            optional("mode", Kind::Word(&["new", "copy"]))
                .or("new")
                .expression(),
            optional("timeout", Kind::Seconds(0, 3600))
                .or("60")
                .expression(),
        ],
        Content::Children(CALL),
    )
    .notes(&["nothing is known of the answer afterwards"])
    .differs(&[
        "the address lies at a route of the gateway's configuration that is open to the document, as the pipeline's own has to be, too; one that an expression makes is held against the same when it is made",
        "the answer's head is waited for; that there is none is told to the log and changes nothing",
        "timeout bounds the request and the answer's head, with the route's own limits and what is left of the time of a call of the document's policy (wall-milliseconds), which is the sum of the document's timeouts and waits unless the policy's limits set it; 0 leaves it to those two",
        "a header has one line in such a request: several values are joined",
        "the query is sent as parameters: one without = gets one",
    ]),
);
