//! `cors`: which pages of other origins may call, and read the answer.

use std::sync::Arc;

/// Headers that a page may always send (Fetch, "CORS-safelisted request-header").
const ALWAYS: [&str; 4] = ["accept", "accept-language", "content-language", "origin"];
/// What the answer to a preflight request depends on.
const ASKED: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// A `cors` element with its values.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) origins: Vec<Arc<str>>,
    /// Empty: GET and POST.
    pub(crate) methods: Vec<Arc<str>>,
    pub(crate) headers: Vec<Arc<str>>,
    pub(crate) exposed: Vec<Arc<str>>,
    pub(crate) credentials: bool,
    /// Seconds.
    pub(crate) max_age: i64,
}

/// What a browser asks before it sends a request of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preflight<'a> {
    pub(crate) origin: &'a str,
    pub(crate) method: &'a str,
    /// Names of headers, with commas.
    pub(crate) headers: &'a str,
}

/// Headers for an answer.
pub(crate) type Headers = Vec<(&'static str, String)>;

fn has_any(list: &[Arc<str>]) -> bool {
    list.iter().any(|item| &**item == "*")
}

impl Rules {
    /// Whether pages of all origins may.
    fn is_open(&self) -> bool {
        has_any(&self.origins)
    }

    pub(crate) fn allows(&self, origin: &str) -> bool {
        let origin = without_own_port(origin);
        self.is_open()
            || self.origins.iter().any(|allowed| {
                let allowed = allowed.strip_suffix('/').unwrap_or(allowed);
                without_own_port(allowed).eq_ignore_ascii_case(origin)
            })
    }

    fn allows_method(&self, method: &str) -> bool {
        match self.methods.is_empty() {
            true => matches!(method, "GET" | "POST"),
            false => {
                has_any(&self.methods) || self.methods.iter().any(|allowed| &**allowed == method)
            }
        }
    }

    fn allows_headers(&self, names: &str) -> bool {
        let mut names = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names.all(|name| {
            let is = |other: &str| other.eq_ignore_ascii_case(name);
            is_token(name)
                && (has_any(&self.headers)
                    || self.headers.iter().any(|allowed| is(allowed))
                    || ALWAYS.iter().any(|always| is(always)))
        })
    }

    /// Who may read the answer. All origins and credentials don't go together: every page
    /// would act for its visitor, so that browsers refuse it, and it is not offered.
    fn leave(&self, origin: &str) -> Headers {
        const ORIGIN: &str = "Access-Control-Allow-Origin";
        if self.is_open() {
            return vec![(ORIGIN, "*".to_owned())];
        }
        let mut headers = vec![(ORIGIN, origin.to_owned())];
        if self.credentials {
            headers.push(("Access-Control-Allow-Credentials", "true".to_owned()));
        }
        headers
    }

    /// The answer to a preflight request; `None` if the page may not.
    pub(crate) fn answer(&self, asked: Preflight<'_>) -> Option<Headers> {
        if !self.allows(asked.origin)
            || !self.allows_method(asked.method)
            || !self.allows_headers(asked.headers)
        {
            return None;
        }
        let mut headers = self.leave(asked.origin);
        let methods = match self.methods.is_empty() {
            true => "GET, POST".to_owned(),
            false if has_any(&self.methods) => asked.method.to_owned(),
            false => self.methods.join(", "),
        };
        headers.push(("Access-Control-Allow-Methods", methods));
        let names = match has_any(&self.headers) {
            true => asked.headers.to_owned(),
            false => self.headers.join(", "),
        };
        if !names.is_empty() {
            headers.push(("Access-Control-Allow-Headers", names));
        }
        if self.max_age > 0 {
            headers.push(("Access-Control-Max-Age", self.max_age.to_string()));
        }
        headers.push(("Vary", ASKED.to_owned()));
        Some(headers)
    }

    /// What the answer to a request of that origin gets, if it may be read there.
    pub(crate) fn on_answer(&self, origin: &str) -> Option<Headers> {
        if !self.allows(origin) {
            return None;
        }
        let mut headers = self.leave(origin);
        if !self.exposed.is_empty() {
            headers.push(("Access-Control-Expose-Headers", self.exposed.join(", ")));
        }
        Some(headers)
    }

    /// Whether an answer is another one for another origin, so that caches have to know.
    pub(crate) fn depends_on_origin(&self) -> bool {
        !self.is_open()
    }
}

/// Browsers leave out the scheme's own port.
fn without_own_port(origin: &str) -> &str {
    let port = match origin.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => ":443",
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => ":80",
        _ => return origin,
    };
    origin.strip_suffix(port).unwrap_or(origin)
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const APP: &str = "https://app.example.com";

    fn list(items: &[&str]) -> Vec<Arc<str>> {
        items.iter().map(|item| Arc::from(*item)).collect()
    }

    fn asks<'a>(method: &'a str, headers: &'a str) -> Preflight<'a> {
        Preflight {
            origin: APP,
            method,
            headers,
        }
    }

    fn value<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
        let found = headers.iter().find(|(there, _)| *there == name);
        found.map(|(_, value)| value.as_str())
    }

    fn rules() -> Rules {
        Rules {
            origins: list(&["https://other.example.com", "https://APP.example.com:443/"]),
            ..Rules::default()
        }
    }

    #[test]
    fn an_origin_is_matched_whole_and_without_its_own_port() {
        assert!(rules().allows(APP));
        for other in [
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "https://app.example.com:8443",
            "null",
            "",
        ] {
            assert!(!rules().allows(other), "{other}");
        }
    }

    #[test]
    fn without_methods_get_and_post_are_allowed() {
        let answer = rules().answer(asks("POST", "")).unwrap();
        assert_eq!(
            value(&answer, "Access-Control-Allow-Methods"),
            Some("GET, POST")
        );
        assert!(rules().answer(asks("DELETE", "")).is_none());
    }

    #[test]
    fn a_star_answers_what_was_asked() {
        let rules = Rules {
            methods: list(&["*"]),
            headers: list(&["*"]),
            max_age: 300,
            ..rules()
        };
        let answer = rules.answer(asks("DELETE", "x-a, x-b")).unwrap();
        assert_eq!(
            value(&answer, "Access-Control-Allow-Methods"),
            Some("DELETE")
        );
        assert_eq!(
            value(&answer, "Access-Control-Allow-Headers"),
            Some("x-a, x-b")
        );
        assert_eq!(value(&answer, "Access-Control-Max-Age"), Some("300"));
        assert!(rules.answer(asks("DELETE", "x-a, not a name")).is_none());
    }

    #[test]
    fn headers_have_to_be_listed_but_those_that_pages_always_may_send() {
        let rules = Rules {
            headers: list(&["X-A"]),
            ..rules()
        };
        assert!(rules.answer(asks("GET", "x-a,accept")).is_some());
        assert!(rules.answer(asks("GET", "x-a,x-b")).is_none());
    }

    #[test]
    fn all_origins_never_get_credentials_and_one_does() {
        let open = Rules {
            origins: list(&["*"]),
            credentials: true,
            ..Rules::default()
        };
        let answer = open.on_answer(APP).unwrap();
        assert_eq!(value(&answer, "Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(value(&answer, "Access-Control-Allow-Credentials"), None);
        assert!(!open.depends_on_origin());
        let listed = Rules {
            credentials: true,
            exposed: list(&["x-total", "etag"]),
            ..rules()
        };
        let answer = listed.on_answer(APP).unwrap();
        assert_eq!(value(&answer, "Access-Control-Allow-Origin"), Some(APP));
        assert_eq!(
            value(&answer, "Access-Control-Allow-Credentials"),
            Some("true")
        );
        assert_eq!(
            value(&answer, "Access-Control-Expose-Headers"),
            Some("x-total, etag")
        );
        assert!(listed.depends_on_origin());
    }
}
