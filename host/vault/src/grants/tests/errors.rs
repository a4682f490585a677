//! What the grants file says when it is wrong: each error as a person sees it.

use super::check_error as check;

#[test]
fn text_that_is_not_toml_shows_every_place() {
    check(
        r#"
[[grant]
id = "x"
foo
"#,
        r#"
error: unclosed array table, expected `]`
 --> grants.toml:1:9
  |
1 | [[grant]
  |         ^ not TOML

error: key with no value, expected `=`
 --> grants.toml:3:4
  |
3 | foo
  |    ^ not TOML
"#,
    );
}

#[test]
fn an_unknown_key_suggests_the_near_one() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1"] }]
heade = "x"
"#,
        r#"
error: unknown key "heade" in a grant; did you mean "header"?
 --> grants.toml:8:1
  |
8 | heade = "x"
  | ^^^^^ not a key here
  |
  = help: valid keys: id, policy, secret, alias, use, component, not-after, header, …
"#,
    );
}

#[test]
fn an_unknown_key_of_the_file_is_shown() {
    check(
        r#"
[[grants]]
"#,
        r#"
error: unknown key "grants" in a grants file; did you mean "grant"?
 --> grants.toml:1:3
  |
1 | [[grants]]
  |   ^^^^^^ not a key here
  |
  = help: valid keys: grant
"#,
    );
}

#[test]
fn a_single_table_is_not_a_grant() {
    check(
        r#"
[grant]
id = "x"
"#,
        r#"
error: "grant" must be an array of tables, not a table
 --> grants.toml:1:1
  |
1 | [grant]
  | ^^^^^^^ one table
  |
  = help: start each grant with [[grant]]
"#,
    );
}

#[test]
fn a_number_is_not_a_grant() {
    check(
        r#"
grant = [1]
"#,
        r#"
error: a grant must be a table, not an integer
 --> grants.toml:1:10
  |
1 | grant = [1]
  |          ^ not a table
  |
  = help: start each grant with [[grant]]
"#,
    );
}

#[test]
fn every_key_that_a_grant_lacks_is_named() {
    check(
        r#"
[[grant]]
"#,
        r#"
error: a grant needs "id"
 --> grants.toml:1:1
  |
1 | [[grant]]
  | ^^^^^^^^^ no "id" here
  |
  = help: for example: id = "billing-attach"

error: a grant needs "policy"
 --> grants.toml:1:1
  |
1 | [[grant]]
  | ^^^^^^^^^ no "policy" here
  |
  = help: for example: policy = "attach-api-key"

error: a grant needs "secret"
 --> grants.toml:1:1
  |
1 | [[grant]]
  | ^^^^^^^^^ no "secret" here
  |
  = help: for example: secret = "billing-key"

error: a grant needs "use"
 --> grants.toml:1:1
  |
1 | [[grant]]
  | ^^^^^^^^^ no "use" here
  |
  = help: for example: use = "attach"
"#,
    );
}

#[test]
fn a_value_of_another_type_is_shown() {
    check(
        r#"
[[grant]]
id = 7
policy = "p"
secret = "s"
use = "mac-sign"
"#,
        r#"
error: "id" must be a text in quotes, not an integer
 --> grants.toml:2:6
  |
2 | id = 7
  |      ^ not a text
"#,
    );
}

#[test]
fn a_text_that_is_no_name_is_shown() {
    check(
        r#"
[[grant]]
id = "G 1"
policy = "p"
secret = "s"
use = "mac-sign"
"#,
        r#"
error: not a valid grant id: character 1 is not one of a-z, 0-9, '.', '_' and '-'
 --> grants.toml:2:6
  |
2 | id = "G 1"
  |      ^^^^^ not a name
  |
  = help: names have 1 to 64 characters a-z 0-9 . _ - and start with a letter or digit
"#,
    );
}

#[test]
fn an_unknown_use_suggests_the_near_one() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "atach"
"#,
        r#"
error: unknown use "atach"; did you mean "attach"?
 --> grants.toml:5:7
  |
5 | use = "atach"
  |       ^^^^^^^ not a use
  |
  = help: uses: attach, sign-request, mac-sign, mac-verify, identify, …
"#,
    );
}

#[test]
fn a_key_of_another_use_is_shown() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "s"
use = "mac-sign"
header = "x-api-key"
"#,
        r#"
error: "header" has no meaning for the use "mac-sign"
 --> grants.toml:6:1
  |
6 | header = "x-api-key"
  | ^^^^^^ remove this
  |
  = help: "header" goes with: attach, …
"#,
    );
}

#[test]
fn an_attach_without_a_header_is_incomplete() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
to = [{ route = "billing", paths = ["/v1"] }]
"#,
        r#"
error: a grant of "attach" needs "header"
 --> grants.toml:1:1
  |
1 | [[grant]]
  | ^^^^^^^^^ no "header" here
  |
  = help: for example: header = "x-api-key"
"#,
    );
}

#[test]
fn a_header_of_the_host_can_not_carry_a_secret() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "Host"
to = [{ route = "billing", paths = ["/v1"] }]
"#,
        r#"
error: the header "host" is the host's own
 --> grants.toml:6:10
  |
6 | header = "Host"
  |          ^^^^^^ can't carry a secret
  |
  = help: name a header that the backend reads its credential from, such as "authorization" or "x-api-key"
"#,
    );
}

#[test]
fn nor_can_one_that_some_servers_read_as_the_hosts() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "proxy_authorization"
to = [{ route = "billing", paths = ["/v1"] }]
"#,
        r#"
error: the header "proxy_authorization" is the host's own
 --> grants.toml:6:10
  |
6 | header = "proxy_authorization"
  |          ^^^^^^^^^^^^^^^^^^^^^ can't carry a secret
  |
  = help: name a header that the backend reads its credential from, such as "authorization" or "x-api-key"
"#,
    );
}

#[test]
fn a_text_that_is_no_header_is_shown() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x api"
to = [{ route = "billing", paths = ["/v1"] }]
"#,
        r#"
error: not a header name
 --> grants.toml:6:10
  |
6 | header = "x api"
  |          ^^^^^^^ not valid
  |
  = help: for example: "authorization", "x-api-key"
"#,
    );
}

#[test]
fn a_template_has_no_second_slot() {
    check(
        r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1"] }]
template = "{secret} {secret}"
"#,
        r#"
error: the template has more than one {secret}
 --> grants.toml:8:12
  |
8 | template = "{secret} {secret}"
  |            ^^^^^^^^^^^^^^^^^^^ one slot only
  |
  = help: a template is fixed text around one {secret}: "Bearer {secret}"
"#,
    );
}
