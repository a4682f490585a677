//! What changes a message: headers, query, body, method, status, address.

use super::shape::{
    Attribute, Content, Element, Kind, MANY, Policy, Sections, child, element, optional, policy,
    required, secret_text, text,
};

const EXISTS: Attribute = optional(
    "exists-action",
    Kind::Word(&["override", "skip", "append", "delete"]),
)
.or("override")
.expression();

const HEADER_VALUE: Element = element("value", &[], secret_text(Kind::HeaderValue));
const QUERY_VALUE: Element = element("value", &[], secret_text(Kind::Text));

pub(super) static SET_VARIABLE: Policy = policy(
    Sections::ALL,
    element(
        "set-variable",
        &[
            required("name", Kind::Variable),
            required("value", Kind::Text).expression().secret(),
        ],
        Content::Nothing,
    )
    .notes(&["a literal is always a string: \"true\" is no bool, @(true) is"])
    .differs(&[
        "a variable that is set to a secret holds a reference to it: it can be used alone where a secret may stand, and no expression can read it",
        "a part of the request or the response (its headers, a URL, a body) is no variable's value: take what you need of it as a text",
        "all variables of an exchange together are bounded by the policy's limit variable-bytes",
    ]),
);

pub(super) static SET_HEADER: Policy = policy(
    Sections::ALL,
    element(
        "set-header",
        &[required("name", Kind::Header).expression(), EXISTS],
        Content::Children(&[child(&HEADER_VALUE, 0, MANY)]),
    )
    .notes(&[
        "inbound and backend change the request, outbound and on-error the response",
        "several values become one line with commas; headers with dates or commas, and cookies, become several lines",
        "append on a header that is not there adds it",
    ])
    .differs(&[
        "a secret named value stands alone: one <value>, exists-action override or skip, and a fixed name; it is attached where a grant allows it, and never in an answer to the client",
        "a header that the gateway writes itself is an error: Host, Connection, Content-Length, Transfer-Encoding, Forwarded, Via, Proxy-… and the like",
        "append where a secret goes is an error: it has no values beside it",
        "a value that is null is none, and without any the header is removed",
        "a line end in a value is an error",
    ]),
);

pub(super) static SET_QUERY_PARAMETER: Policy = policy(
    Sections::IB,
    element(
        "set-query-parameter",
        &[required("name", Kind::Filled).expression(), EXISTS],
        Content::Children(&[child(&QUERY_VALUE, 0, MANY)]),
    )
    .notes(&["names are found without regard to case"])
    .differs(&[
        "a secret named value stands alone: one <value>, exists-action override or skip, and a fixed name; it is attached where a grant allows it, and never in an answer to the client",
        "append where a secret goes is an error: it has no values beside it",
        "a value that is null is none, and without any the parameter is removed",
    ]),
);

pub(super) static SET_BODY: Policy = policy(
    Sections::ALL,
    element(
        "set-body",
        &[
            optional("template", Kind::Word(&["liquid", "none"])).or("none"),
            optional("xsi-nil", Kind::Word(&["blank", "null"])).or("blank"),
            optional("parse-date", Kind::Bool),
        ],
        Content::Body,
    )
    .notes(&[
        "an error where the message has no body and is none to have one: of a GET or HEAD, of an answer of 204, 205 or 304",
        "what an expression reads without preserveContent is not sent on: set the body again",
        "in a Liquid template, {{x}} is Liquid's unless a named value has that name",
    ])
    .differs(&[
        "Liquid has no include and no tablerow, and its date has formats as .NET has them; a template that means nothing is an error when the document is read",
        "in a template a body is JSON, or a text: one of XML is an error",
        "dates of a body stay as they were written; xsi-nil and parse-date change nothing",
    ]),
);

pub(super) static SET_METHOD: Policy = policy(
    Sections::IE,
    element("set-method", &[], text(Kind::Method)).differs(&[
        "in <on-error> it changes nothing: the request is gone",
        "CONNECT and TRACE are errors, and so are lower-case letters",
    ]),
);

pub(super) static SET_STATUS: Policy = policy(
    Sections::ALL,
    element(
        "set-status",
        &[
            required("code", Kind::Int(200, 599)).expression(),
            optional("reason", Kind::HeaderValue).expression(),
        ],
        Content::Nothing,
    )
    .notes(&["before there is a response it makes one, which the backend's takes the place of"])
    .differs(&[
        "a status below 200 is an error",
        "the reason is what expressions read, and is not sent: HTTP/2 has none",
    ]),
);

pub(super) static REWRITE_URI: Policy = policy(
    Sections::I,
    element(
        "rewrite-uri",
        &[
            required("template", Kind::Path).expression(),
            optional("copy-unmatched-params", Kind::Bool)
                .or("true")
                .expression(),
        ],
        Content::Nothing,
    )
    .notes(&["query parameters that the operation's own template took are not copied"])
    .differs(&[
        "a parameter that the template sets is not copied either",
        "what an expression gives is an address, in which {name} is not filled in",
        "what stands for {name} changes nothing around it: all but letters, digits, - . _ ~ is percent-encoded, and a segment that would be . or .. is an error (400)",
    ]),
);

pub(super) static FIND_AND_REPLACE: Policy = policy(
    Sections::ALL,
    element(
        "find-and-replace",
        &[
            required("from", Kind::Filled).expression(),
            required("to", Kind::Text).expression(),
        ],
        Content::Nothing,
    )
    .differs(&["it looks at the bytes as they come: in a body that is compressed there is nothing to be found"]),
);
