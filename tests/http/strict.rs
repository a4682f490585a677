//! What an unambiguous HTTP/1.1 request to an origin server is (RFC 9112, RFC 9110,
//! RFC 3986), and each way in which one is not.

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// A request's head, read as a lenient backend reads it, with everything that
/// another backend might read otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) oddities: Vec<&'static str>,
}

impl Head {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut oddities = Vec::new();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let ended = text.replace("\r\n", "");
        if ended.contains('\n') {
            oddities.push("a line ends without CR");
        }
        if ended.contains('\r') {
            oddities.push("a CR alone");
        }
        let mut lines = text
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line));
        let line = lines.next().unwrap_or_default();
        let (method, target) = request_line(line, &mut oddities);
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            if line.starts_with([' ', '\t']) {
                oddities.push("a folded line");
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                oddities.push("a field without a colon");
                continue;
            };
            if name.is_empty() || !name.bytes().all(is_token) {
                oddities.push("a field name that is no token");
            }
            if name.contains('_') {
                oddities.push("a field name with an underscore");
            }
            if value
                .chars()
                .any(|char| char.is_ascii_control() && char != '\t')
            {
                oddities.push("a control character in a value");
            }
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut head = Head {
            method,
            target,
            fields,
            framing: Framing::None,
            oddities,
        };
        head.hosts();
        head.hop_by_hop();
        head.framing = head.frame(line.ends_with("HTTP/1.0"));
        head
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    fn hosts(&mut self) {
        let hosts: Vec<&str> = self.all("host").collect();
        let oddity = match hosts.as_slice() {
            [] => Some("no Host"),
            [""] => Some("an empty Host"),
            [host] if !host.bytes().all(is_host) => Some("a Host that is none"),
            [_] => None,
            _ => Some("several Hosts"),
        };
        self.oddities.extend(oddity);
    }

    fn hop_by_hop(&mut self) {
        let named: Vec<String> = self
            .all("connection")
            .flat_map(|value| value.split(','))
            .map(|option| option.trim().to_ascii_lowercase())
            .filter(|option| !["", "close", "keep-alive"].contains(&option.as_str()))
            .collect();
        let passed = named.iter().any(|name| self.all(name).next().is_some());
        let known = [
            "te",
            "upgrade",
            "keep-alive",
            "proxy-connection",
            "proxy-authorization",
            "trailer",
        ];
        if passed || known.iter().any(|name| self.all(name).next().is_some()) {
            self.oddities.push("a hop-by-hop field");
        }
    }

    fn frame(&mut self, old: bool) -> Framing {
        let codings: Vec<String> = self
            .all("transfer-encoding")
            .map(str::to_ascii_lowercase)
            .collect();
        let lengths: Vec<String> = self.all("content-length").map(str::to_owned).collect();
        let mut oddities = Vec::new();
        if lengths.len() > 1 {
            oddities.push("several Content-Lengths");
        }
        if lengths
            .iter()
            .any(|length| length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()))
        {
            oddities.push("a Content-Length that is no number");
        }
        if !codings.is_empty() && !lengths.is_empty() {
            oddities.push("Transfer-Encoding and Content-Length");
        }
        if codings.len() > 1 || codings.iter().any(|coding| coding != "chunked") {
            oddities.push("a Transfer-Encoding other than `chunked`");
        }
        if !codings.is_empty() && old {
            oddities.push("Transfer-Encoding in HTTP/1.0");
        }
        self.oddities.extend(oddities);
        if codings.iter().any(|coding| coding.contains("chunked")) {
            return Framing::Chunked;
        }
        match lengths
            .first()
            .map(|length| length.trim_matches(|c: char| !c.is_ascii_digit()).parse())
        {
            Some(Ok(length)) => Framing::Length(length),
            _ => Framing::None,
        }
    }
}

fn request_line(line: &str, oddities: &mut Vec<&'static str>) -> (String, String) {
    let mut words = line.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let version = words.next();
    if words.next().is_some() || line.contains('\t') {
        oddities.push("more than three words in the request line");
    }
    if method.is_empty() || !method.bytes().all(is_token) {
        oddities.push("a method that is no token");
    }
    if !matches!(version, Some("HTTP/1.1" | "HTTP/1.0")) {
        oddities.push("a version other than 1.0 or 1.1");
    }
    if line.chars().any(|char| char.is_ascii_control()) {
        oddities.push("a control character in the request line");
    }
    if method == "CONNECT" {
        oddities.push("CONNECT");
    }
    oddities.extend(odd_target(method, target));
    (method.to_owned(), target.to_owned())
}

fn odd_target(method: &str, target: &str) -> Option<&'static str> {
    if target == "*" && method == "OPTIONS" {
        return None;
    }
    if !target.starts_with('/') {
        return Some("a target that is no path");
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    if target.contains('#') {
        return Some("a fragment");
    }
    if !target.bytes().all(legal) {
        return Some("a character that no target may have");
    }
    let broken = target.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes();
        digits.len() < 2 || !digits[..2].iter().all(u8::is_ascii_hexdigit)
    });
    if broken {
        return Some("a broken percent-encoding");
    }
    let path = target
        .split('?')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if path.contains("%00") || path.contains("%0a") || path.contains("%0d") {
        return Some("an encoded control character in the path");
    }
    if ["%2f", "%5c"].iter().any(|slash| path.contains(slash)) {
        return Some("an encoded slash");
    }
    if ["%25"].iter().any(|percent| path.contains(percent)) {
        return Some("an encoded percent sign");
    }
    let decoded = path.replace("%2e", ".");
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    if decoded.split('/').any(dots) {
        return Some("a dot segment");
    }
    if path.contains("//") {
        return Some("an empty segment");
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte)
}

#[test]
fn what_is_plain_has_no_oddity() {
    for head in [
        "GET /a/b;c?d=%2F//e HTTP/1.1\r\nHost: a.test:80\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(Head::read(head.as_bytes()).oddities, [""; 0], "{head}");
    }
}
