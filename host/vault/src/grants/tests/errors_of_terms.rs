//! What the grants file says when it is wrong about a use: each error as a person sees it.

use super::check_error as check;

#[test]
fn a_template_has_a_slot() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1"] }]
template = "Bearer"
"#,
        r#"
error: the template has no {secret}
 --> grants.toml:8:12
  |
8 | template = "Bearer"
  |            ^^^^^^^^ no slot
  |
  = help: a template is fixed text around one {secret}: "Bearer {secret}"; of a secret of kind basic also around one {user} and one {password}
"#,
    );
}

#[test]
fn a_template_fills_in_nothing_that_is_not_declared() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1"] }]
template = "{x} {secret}"
"#,
        r#"
error: the template has a hole {x} that is not declared
 --> grants.toml:8:12
  |
8 | template = "{x} {secret}"
  |            ^^^^^^^^^^^^^^ nothing fills it
  |
  = help: declare it: holes = { x = "token" }
"#,
    );
}

#[test]
fn an_attach_without_destinations_is_incomplete() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
"#,
        r#"
error: a grant of "attach" needs "to"
 --> grants.toml:1:1
  |
1 | [[grant]]
  | ^^^^^^^^^ no "to" here
  |
  = help: for example: to = [{ route = "billing", methods = ["GET"], paths = ["/v1/charges"] }]
"#,
    );
}

#[test]
fn an_empty_list_of_destinations_is_shown() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = []
"#,
        r#"
error: "to" names no destination
 --> grants.toml:7:6
  |
7 | to = []
  |      ^^ empty
  |
  = help: for example: to = [{ route = "billing", methods = ["GET"], paths = ["/v1/charges"] }]
"#,
    );
}

#[test]
fn an_attach_without_paths_is_an_error() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing" }]
"#,
        r#"
error: a destination of "attach" needs "paths"
 --> grants.toml:7:7
  |
7 | to = [{ route = "billing" }]
  |       ^^^^^^^^^^^^^^^^^^^^^ no "paths" here
  |
  = help: for example: paths = ["/v1/charges", "/v1/refunds/{id}"]
"#,
    );
}

#[test]
fn an_empty_list_of_paths_is_shown() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = [] }]
"#,
        r#"
error: "paths" names no path
 --> grants.toml:7:36
  |
7 | to = [{ route = "billing", paths = [] }]
  |                                    ^^ empty
  |
  = help: for example: paths = ["/v1/charges", "/v1/refunds/{id}"]
"#,
    );
}

#[test]
fn each_bad_path_is_shown() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/*", "v1"] }]
"#,
        r#"
error: there are no wildcards; "{name}" stands for one whole segment
 --> grants.toml:7:37
  |
7 | to = [{ route = "billing", paths = ["/v1/*", "v1"] }]
  |                                     ^^^^^^^ not valid

error: a path starts with "/"
 --> grants.toml:7:46
  |
7 | to = [{ route = "billing", paths = ["/v1/*", "v1"] }]
  |                                              ^^^^ not valid
"#,
    );
}

#[test]
fn each_bad_method_is_shown() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", methods = ["get", "CONNECT"], paths = ["/v1"] }]
"#,
        r#"
error: not a method: "get"
 --> grants.toml:7:39
  |
7 | to = [{ route = "billing", methods = ["get", "CONNECT"], paths = ["/v1"] }]
  |                                       ^^^^^ not valid
  |
  = help: methods are upper case: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS

error: CONNECT never carries a secret
 --> grants.toml:7:46
  |
7 | to = [{ route = "billing", methods = ["get", "CONNECT"], paths = ["/v1"] }]
  |                                              ^^^^^^^^^ not allowed
  |
  = help: remove it; it is always refused
"#,
    );
}

#[test]
fn an_unknown_key_of_a_destination_is_shown() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", path = ["/v1"] }]
"#,
        r#"
error: a destination of "attach" needs "paths"
 --> grants.toml:7:7
  |
7 | to = [{ route = "billing", path = ["/v1"] }]
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no "paths" here
  |
  = help: for example: paths = ["/v1/charges", "/v1/refunds/{id}"]

error: unknown key "path" in a destination; did you mean "paths"?
 --> grants.toml:7:28
  |
7 | to = [{ route = "billing", path = ["/v1"] }]
  |                            ^^^^ not a key here
  |
  = help: valid keys: route, methods, paths
"#,
    );
}

#[test]
fn a_date_without_a_time_and_offset_is_not_an_end() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1"] }]
not-after = "2027-01-01"
"#,
        r#"
error: "not-after" must be a date and time with its offset
 --> grants.toml:8:13
  |
8 | not-after = "2027-01-01"
  |             ^^^^^^^^^^^^ not such a time
  |
  = help: for example: not-after = "2027-01-01T00:00:00Z"
"#,
    );
}

#[test]
fn a_component_is_pinned_by_its_whole_digest() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1"] }]
component = "sha256:12"
"#,
        r#"
error: not a valid component digest: it has the form "sha256:" and 64 digits of 0-9 and a-f
 --> grants.toml:8:13
  |
8 | component = "sha256:12"
  |             ^^^^^^^^^^^ not valid
"#,
    );
}

#[test]
fn two_grants_with_one_id_are_shown_together() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "mac-sign"

[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "mac-verify"
"#,
        r#"
error: two grants have the id "g"
 --> grants.toml:8:6
  |
2 | id = "g"
  |      --- the first one
...
8 | id = "g"
  |      ^^^ the second one
  |
  = help: the audit trail tells grants apart by their ids
"#,
    );
}

#[test]
fn two_grants_under_one_alias_are_shown_together() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "mac-sign"

[[grant]]
id = "h"
policy = "p"
secret = "s"
use = "mac-sign"
"#,
        r#"
error: two grants give the policy "p" the use "mac-sign" under the alias "s"
  --> grants.toml:10:10
   |
 4 | secret = "s"
   |          --- the first one
...
10 | secret = "s"
   |          ^^^ the second one
   |
   = help: remove one of them, or give it another alias
"#,
    );
}

#[test]
fn an_identify_without_a_place_is_incomplete() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "identify"
"#,
        r#"
error: a grant of "identify" needs "header"
 --> grants.toml:1:1
  |
1 | [[grant]]
  | ^^^^^^^^^ no "header" here
  |
  = help: for example: header = "x-api-key", or query = "subscription-key"
"#,
    );
}

#[test]
fn an_identify_with_two_places_is_shown() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "identify"
header = "x-api-key"
query = "key"
"#,
        r#"
error: a client's key is in a header or in the query, not in both
 --> grants.toml:7:1
  |
6 | header = "x-api-key"
  | ------ or this
7 | query = "key"
  | ^^^^^ remove this
  |
  = help: make a second grant, with another alias, for the other
"#,
    );
}

#[test]
fn a_text_that_is_no_query_parameter_is_shown() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "identify"
query = "a b"
"#,
        r#"
error: not a query parameter's name
 --> grants.toml:6:9
  |
6 | query = "a b"
  |         ^^^^^ not valid
  |
  = help: a name has 1 to 64 characters A-Z a-z 0-9 - . _ ~
"#,
    );
}

#[test]
fn a_signature_that_covers_too_little_is_refused() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1"] }]
covers = ["@method"]
"#,
        r#"
error: the signature covers too little of the request
 --> grants.toml:7:10
  |
7 | covers = ["@method"]
  |          ^^^^^^^^^^^ could be put on another request
  |
  = help: cover "@method", "content-digest", and "@target-uri" or all of "@authority", "@path", "@query"
"#,
    );
}

#[test]
fn each_part_that_can_not_be_covered_is_shown() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1"] }]
covers = ["@methd", "@path", "@path"]
"#,
        r#"
error: unknown part of a request "@methd"; did you mean "@method"?
 --> grants.toml:7:11
  |
7 | covers = ["@methd", "@path", "@path"]
  |           ^^^^^^^^ can't be covered
  |
  = help: parts of a request: @method, @target-uri, @authority, @scheme, @path, @query, content-digest

error: "@path" is covered twice
 --> grants.toml:7:30
  |
7 | covers = ["@methd", "@path", "@path"]
  |                              ^^^^^^^ remove this
  |
  = help: parts of a request: @method, @target-uri, @authority, @scheme, @path, @query, content-digest
"#,
    );
}

#[test]
fn a_label_and_a_key_id_need_their_form() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1"] }]
label = "Sig"
key-id = "\""
"#,
        r#"
error: not a valid "label"
 --> grants.toml:7:9
  |
7 | label = "Sig"
  |         ^^^^^ not valid
  |
  = help: a label has 1 to 64 characters a-z 0-9 _ - . * and starts with a letter or *

error: not a valid "key-id"
 --> grants.toml:8:10
  |
8 | key-id = "\""
  |          ^^^^ not valid
  |
  = help: a key id has 1 to 256 characters of visible ASCII, without " and \
"#,
    );
}

#[test]
fn a_number_out_of_bounds_is_shown() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1"] }]
max-body-bytes = 0
lifetime-seconds = "5"
"#,
        r#"
error: "max-body-bytes" must be a whole number from 1 to 67108864
 --> grants.toml:7:18
  |
7 | max-body-bytes = 0
  |                  ^ not such a number

error: "lifetime-seconds" must be a whole number from 1 to 3600
 --> grants.toml:8:20
  |
8 | lifetime-seconds = "5"
  |                    ^^^ not such a number
"#,
    );
}
