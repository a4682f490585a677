//! Attacks on the way out, by whoever writes a request, answers it, or answers for
//! a name: each with a control that sees what the defence prevents. Where the
//! defence is that something was never built, the control has a client that does it
//! (`careless`).
//!
//! | | Attack | Shown by |
//! |---|---|---|
//! | B1 | a host of the attacker's | `destination::a_request_reaches_only_the_host_of_its_route` |
//! | B2 | `Host`, `:authority`, absolute form, SNI | `destination::host_and_server_name_are_the_routes` |
//! | B3 | URLs that two readers take for two hosts | `urls::a_url_that_two_readers_read_differently_makes_no_route` |
//! | B4 | names that become addresses or other names | `urls::a_name_that_another_mapping_would_change_makes_no_route` |
//! | B5 | addresses in other spellings | `urls::…`, `destination::a_name_leads_to_no_special_address`, the tables in `address.rs` |
//! | B6 | answers of a resolver that change | `destination::a_name_that_changes_its_address_never_leads_inside` |
//! | B7 | metadata services | `destination::a_platforms_own_address_takes_a_word_of_the_operator` |
//! | B8 | redirects, `Refresh` | `destination::no_redirect_is_followed` |
//! | B9 | proxies, netrc, challenges | `destination::nothing_in_the_environment_is_a_way_out`; challenges are among B8's |
//! | B10 | `Alt-Svc`, coalescing, 421 | `connections::two_names_on_one_address_share_no_connection`; the headers are among B8's |
//! | B11 | a connection with another identity | `connections::what_carries_a_credential_rides_alone`; no policy has a certificate of its own yet |
//! | B12 | resumption across identities | `connections::no_session_is_resumed_across_pools` |
//! | B13 | early data | `connections::nothing_is_sent_before_the_handshake_has_ended` |
//! | B14 | token endpoints | not here: no use fetches tokens yet |
//! | B15 | discovery and key sets | not here: nothing is discovered |
//! | B16 | CONNECT, TRACE, upgrades | `requests::no_credential_goes_where_protocols_switch` |
//! | B17 | headers that collide with the credential's | `requests::exactly_one_header_carries_the_key` |
//! | B18 | line breaks in values | `requests::a_value_with_a_line_break_is_no_credential` |
//! | B19 | ambiguous framing | `answers::an_ambiguous_answer_is_refused_and_its_connection_closed` |
//! | B20 | interim answers, trailers, several answers | `answers::…` |
//! | B21 | sending twice | `connections::a_credential_is_sent_once` |
//! | B22 | other paths of the granted host | `requests::a_path_that_no_grant_names_gets_no_key` |
//! | B23 | paths that escape their template | `requests::no_spelling_of_a_path_escapes_its_template` |
//! | B24 | headers that override method and path | `requests::nothing_overrides_what_was_checked` |
//! | B25 | a body other than the one that was signed | `requests::the_body_that_arrives_is_the_one_that_was_signed` |
//! | B26 | sources of secrets | not here: `tests/azure/` has the challenges, `tests/cli/references.rs` the references |

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod answers;
mod careless;
#[path = "../common/mod.rs"]
mod common;
mod connections;
mod destination;
mod requests;
mod urls;
mod wire;
