//! Problem details for HTTP APIs (RFC 9457).

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
        let mut json = String::from(r#"{"type":"about:blank","title":"#);
        push_json_string(&mut json, &self.title);
        json.push_str(r#","status":"#);
        json.push_str(&self.status.to_string());
        if let Some(detail) = &self.detail {
            json.push_str(r#","detail":"#);
            push_json_string(&mut json, detail);
        }
        json.push_str(r#","exchange":"#);
        push_json_string(&mut json, exchange);
        json.push('}');
        json
    }
}

/// Appends a text as a JSON string (RFC 8259, section 7).
fn push_json_string(json: &mut String, text: &str) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{0}'..='\u{1f}' => {
                json.push_str("\\u00");
                let code = character as usize;
                json.extend([HEX[code >> 4], HEX[code & 15]]);
            }
            _ => json.push(character),
        }
    }
    json.push('"');
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
