//! Problem details for HTTP APIs (RFC 9457).

use serde::Serialize;

/// An answer to a client that is refused: a status, a title, and what helps.
///
/// ```
/// use keyward_policy::Problem;
/// let problem = Problem::new(401, "Unauthorized")
///     .detail("Send your key in the header x-api-key.")
///     .header("www-authenticate", "ApiKey");
/// assert_eq!(problem.status(), 401);
/// ```
#[derive(Clone, Debug)]
pub struct Problem {
    status: u16,
    title: String,
    detail: Option<String>,
    headers: Vec<(String, String)>,
}

impl Problem {
    /// A problem with a status, 400 to 599, and a short title.
    #[must_use]
    pub fn new(status: u16, title: &str) -> Self {
        Self {
            status,
            title: title.to_owned(),
            detail: None,
            headers: Vec::new(),
        }
    }

    /// What would help this client.
    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.to_owned());
        self
    }

    /// A header beside `content-type`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The body. `exchange` is the identifier that the operator can look up.
    pub(crate) fn to_json(&self, exchange: &str) -> String {
        let body = Body {
            kind: "about:blank",
            title: &self.title,
            status: self.status,
            detail: self.detail.as_deref(),
            exchange,
        };
        // Texts and a number can always be written.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The members, in the order in which they are written.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    exchange: &'a str,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_it_writes_is_what_a_json_reader_reads() {
        let title = "a \"quoted\" \\ back\u{1}\n\u{1f}é";
        let json = Problem::new(403, title).detail("d").to_json("0af");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["title"], title);
        assert_eq!(read["status"], 403);
        assert_eq!(read["detail"], "d");
        assert_eq!(read["exchange"], "0af");
        assert_eq!(read["type"], "about:blank");
    }
}
