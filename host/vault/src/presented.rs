//! The key that a client presented, taken out of its request before any policy
//! sees it.

use http::Uri;
use http::request::Parts;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::grants::KeyPlace;
use crate::headers::take_alike;
use crate::identity::PolicyIdentity;
use crate::secret::{Exposed, Secret};
use crate::vault::Vault;

/// What a client presented at the places that grants name. Nobody can look inside;
/// a permit to identify can be asked whose it is.
pub struct Presented(Vec<(KeyPlace, Found)>);

enum Found {
    /// Exactly one.
    Key(Secret),
    /// More than one: which was meant can't be known, so none is.
    Several,
}

crate::secret::assert_not_implemented!(Presented: std::fmt::Debug, Clone, serde::Serialize);

impl Presented {
    /// Nothing presented.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The key at a place, if there is exactly one.
    pub(crate) fn key(&self, place: &KeyPlace) -> Option<Exposed> {
        self.0.iter().find_map(|(found_at, found)| match found {
            Found::Key(key) if found_at == place => Some(key.expose()),
            _ => None,
        })
    }

    fn add(&mut self, place: &KeyPlace, key: &[u8]) {
        match self.0.iter_mut().find(|(found_at, _)| found_at == place) {
            Some((_, found)) => *found = Found::Several,
            None => {
                let key = Found::Key(Secret::copy_of(key));
                self.0.push((place.clone(), key));
            }
        }
    }
}

impl Vault {
    /// Takes the keys of clients out of a request: every header and query
    /// parameter that a grant of these policies names for identifying clients, in
    /// every spelling that a backend may take for the same name.
    ///
    /// To be called before the first policy runs. A parameter's name is compared
    /// after percent-decoding and without regard to case. A `+` in a parameter's
    /// value stands for itself, because keys hold no spaces.
    pub fn take_client_keys(&self, policies: &[&PolicyIdentity], head: &mut Parts) -> Presented {
        let live = self.live();
        let mut presented = Presented::none();
        for policy in policies {
            for place in live.key_places(&policy.name) {
                take(place, head, &mut presented);
            }
        }
        presented
    }
}

fn take(place: &KeyPlace, head: &mut Parts, presented: &mut Presented) {
    match place {
        KeyPlace::Header(name) => take_alike(&mut head.headers, name, |value| {
            presented.add(place, value.as_bytes());
        }),
        KeyPlace::Query(name) => {
            let Some(query) = head.uri.query() else {
                return;
            };
            if !query.split('&').any(|part| is_named(part, name)) {
                return;
            }
            let mut kept = String::with_capacity(query.len());
            for part in query.split('&') {
                if is_named(part, name) {
                    let value = part.split_once('=').map_or("", |(_, value)| value);
                    let mut key = Zeroizing::new(Vec::with_capacity(value.len()));
                    key.extend(percent_decode_str(value));
                    presented.add(place, &key);
                } else {
                    if !kept.is_empty() {
                        kept.push('&');
                    }
                    kept.push_str(part);
                }
            }
            head.uri = with_query(&head.uri, &kept);
        }
    }
}

/// Whether a parameter of a query has this name, in whatever spelling.
pub(crate) fn is_named(part: &str, name: &str) -> bool {
    let raw = part.split_once('=').map_or(part, |(raw, _)| raw);
    // As forms write names: `+` for a space, then percent-encoding.
    let decoded = percent_decode_str(raw).map(|byte| if byte == b'+' { b' ' } else { byte });
    let matches = decoded.map(|byte| byte.to_ascii_lowercase());
    matches.eq(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// The same URI with another query, which is a part of its own.
fn with_query(uri: &Uri, query: &str) -> Uri {
    let path = uri.path();
    let text = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    let mut parts = uri.clone().into_parts();
    // A query without some of its parameters is a query. If it were not, the
    // request would lose its path rather than keep the key.
    let fallback = || PathAndQuery::from_static("/");
    parts.path_and_query = Some(PathAndQuery::try_from(text).unwrap_or_else(|_| fallback()));
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("/"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use http::Request;

    fn taken(place: &KeyPlace, uri: &str, headers: &[(&str, &str)]) -> (Parts, Option<String>) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        let mut presented = Presented::none();
        take(place, &mut head, &mut presented);
        let key = presented
            .key(place)
            .map(|key| String::from_utf8(key.to_vec()).unwrap());
        (head, key)
    }

    #[test]
    fn a_parameter_is_taken_in_every_spelling_of_its_name() {
        let place = KeyPlace::Query("subscription-key".to_owned());
        for (uri, rest) in [
            ("/p?subscription-key=K%2b+1", "/p"),
            ("/p?a=1&subscription-key=K%2B+1&b=2", "/p?a=1&b=2"),
            ("/p?Subscription-KEY=K%2B+1", "/p"),
            ("/p?%73ubscription%2Dkey=K%2B+1&", "/p"),
            (
                "https://h.example:8443/p/?x&subscription-key=K%2B+1",
                "https://h.example:8443/p/?x",
            ),
        ] {
            let (head, key) = taken(&place, uri, &[]);
            assert_eq!(key.as_deref(), Some("K++1"), "{uri}");
            assert_eq!(head.uri.to_string(), rest);
        }
    }

    #[test]
    fn a_request_without_the_parameter_is_left_alone() {
        let place = KeyPlace::Query("subscription-key".to_owned());
        for uri in [
            "/p",
            "/p?",
            "/p?subscription-keys=1&&=x",
            "/subscription-key=1",
        ] {
            let (head, key) = taken(&place, uri, &[]);
            assert_eq!((head.uri.to_string().as_str(), key), (uri, None));
        }
    }

    #[test]
    fn a_header_is_taken_in_every_spelling_of_its_name() {
        let place = KeyPlace::Header(http::HeaderName::from_static("x-api-key"));
        let (head, key) = taken(&place, "/", &[("X-Api-Key", "k1"), ("other", "x")]);
        assert_eq!((head.headers.len(), key.as_deref()), (1, Some("k1")));
        let (head, key) = taken(&place, "/", &[("x_api_key", "k1")]);
        assert_eq!((head.headers.len(), key.as_deref()), (0, Some("k1")));
    }

    #[test]
    fn two_keys_at_one_place_are_both_taken_and_neither_counts() {
        let place = KeyPlace::Header(http::HeaderName::from_static("x-api-key"));
        let (head, key) = taken(&place, "/", &[("x-api-key", "k1"), ("x_api_key", "k2")]);
        assert_eq!((head.headers.len(), key), (0, None));
        let place = KeyPlace::Query("key".to_owned());
        let (head, key) = taken(&place, "/?key=1&a=b&key=1", &[]);
        assert_eq!((head.uri.to_string().as_str(), key), ("/?a=b", None));
    }
}
