//! The TOML of a grant that would allow what is not allowed: for the operator to
//! read, to decide about, and to paste.

use std::fmt::Write as _;

use keyward::names::{Alias, ComponentDigest, PolicyName, RouteName, SecretName};
use keyward::vault::Use;

/// A grant that does not exist and could.
#[derive(Clone, Copy, Debug)]
pub struct Suggestion<'a> {
    /// Who would be allowed.
    pub policy: &'a PolicyName,
    /// Only as this component.
    pub component: Option<&'a ComponentDigest>,
    /// What the policy calls the secret.
    pub alias: &'a Alias,
    /// The use, as the policy's manifest has it; it may be one that does not exist.
    pub use_: &'a str,
    /// The secret, where it is known.
    pub secret: Option<&'a SecretName>,
    /// A route, for the examples.
    pub route: Option<&'a RouteName>,
    /// Why the policy wants it, in its author's words.
    pub why: &'a str,
}

impl Suggestion<'_> {
    /// The grant as TOML, ready for the grants file. What the operator has to
    /// decide stands in it as an example with a comment.
    pub fn to_toml(&self) -> String {
        let Self { policy, alias, .. } = self;
        let route = self.route.map_or("my-route", RouteName::as_str);
        let mut toml = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing into a String can't fail.
            let _ = writeln!(toml, "{text}");
        };
        let why = one_line(self.why);
        if !why.is_empty() {
            line(format_args!("# {why}"));
        }
        // A name and a word can be longer together than a name may be.
        let id: String = format!("{policy}-{alias}").chars().take(64).collect();
        line(format_args!(
            "[[grant]]\nid = \"{id}\"\npolicy = \"{policy}\""
        ));
        if let Some(component) = self.component {
            line(format_args!(
                "component = \"{component}\"  # or leave it out, and run `keyward grants pin`"
            ));
        }
        match self.secret {
            Some(secret) => line(format_args!("secret = \"{secret}\"")),
            None => line(format_args!(
                "secret = \"{alias}\"  # the name of your secret: keyward secret list"
            )),
        }
        line(format_args!(
            "alias = \"{alias}\"\nuse = \"{}\"",
            one_word(self.use_)
        ));
        match self.use_.parse::<Use>() {
            Ok(Use::Attach) => {
                line(format_args!(
                    "header = \"x-api-key\"  # where the backend expects it"
                ));
                line(format_args!(
                    "template = \"{{secret}}\"  # or \"Bearer {{secret}}\""
                ));
                line(format_args!(
                    "to = [{{ route = \"{route}\", methods = [\"GET\"], paths = [\"/v1/example/{{id}}\"] }}]  # it learns the value"
                ));
            }
            Ok(Use::SignRequest | Use::Present) => {
                line(format_args!("to = [{{ route = \"{route}\" }}]"));
            }
            Ok(Use::JwsSign) => line(format_args!(
                "algorithm = \"ES256\"  # that of the certificate's key\nissuer = \"https://gateway.example\"\naudience = \"https://backend.example\"\nto = [{{ route = \"{route}\" }}]"
            )),
            Ok(Use::Identify) => line(format_args!(
                "header = \"x-api-key\"  # where clients put their key; or: query = \"subscription-key\""
            )),
            Ok(Use::Token) => {
                line(format_args!(
                    "endpoint = {{ route = \"identity\", path = \"/oauth2/token\" }}  # a route to your authorisation server"
                ));
                line(format_args!(
                    "auth = \"client_secret_basic\"\nscopes = [\"example.read\"]"
                ));
                line(format_args!(
                    "to = [{{ route = \"{route}\", methods = [\"GET\"], paths = [\"/v1/example/{{id}}\"] }}]  # it learns the token"
                ));
            }
            Ok(Use::VerifyJwt) => line(format_args!(
                "audiences = [\"https://api.example\"]  # as \"aud\" in the tokens names you; remove it if they have none"
            )),
            Ok(Use::Sas) => line(format_args!(
                "scope = \"resource\"  # or \"account\"; \"entity\" for Service Bus\nservice = \"blob\"\nresource = \"container\"\npermissions = [\"read\"]\nto = [{{ route = \"{route}\", methods = [\"GET\"], paths = [\"/container/{{blob}}\"] }}]"
            )),
            Ok(Use::Presign) => line(format_args!(
                "region = \"eu-west-1\"\nservice = \"s3\"\nto = [{{ route = \"{route}\", methods = [\"GET\"], paths = [\"/v1/example/{{id}}\"] }}]"
            )),
            Ok(Use::Query) => {
                line(format_args!("to = [{{ route = \"{route}\" }}]"));
                line(format_args!(
                    "\n[[grant.statement]]\nname = \"example\"\nsql = \"SELECT 1 WHERE $1 = 'x'\"\nparameters = [\"text\"]"
                ));
            }
            Ok(Use::MacSign | Use::MacVerify | Use::Seal | Use::Open | Use::Describe) | Err(_) => {}
        }
        toml
    }
}

/// A use that a component made up can't end the string that it stands in.
fn one_word(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(64)
        .collect()
}

/// What a component says about itself, on one line and without control
/// characters: it is shown in terminals and written into comments.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let shown: String = line
        .chars()
        .filter(|c| !is_invisible(*c))
        .take(LONGEST)
        .collect();
    if line.chars().count() > LONGEST {
        format!("{shown}…")
    } else {
        shown
    }
}

/// Characters that reorder or hide the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use keyward::vault::Grants;

    #[test]
    fn a_suggested_grant_is_a_grant() {
        let policy = PolicyName::parse("attach-api-key").unwrap();
        let alias = Alias::parse("backend").unwrap();
        let component = ComponentDigest::from_bytes([7; 32]);
        for use_ in Use::ALL {
            for component in [None, Some(&component)] {
                let toml = Suggestion {
                    policy: &policy,
                    component,
                    alias: &alias,
                    use_: use_.as_str(),
                    secret: None,
                    route: None,
                    why: "because\n[[grant]]\u{202e}\u{1b}[31m",
                }
                .to_toml();
                let grants = Grants::parse("grants.toml", &toml)
                    .map_err(|error| format!("{error}\n{toml}"))
                    .unwrap();
                let grants: Vec<_> = grants.iter().collect();
                assert_eq!(grants.len(), 1, "{toml}");
                assert_eq!(grants[0].use_(), use_);
                assert_eq!(grants[0].component.as_ref(), component);
                assert!(grants[0].to_sentence().contains("attach-api-key"));
            }
        }
    }

    #[test]
    fn what_a_component_says_stays_on_its_line() {
        assert_eq!(one_line(" a\r\n\u{1b}[31mb\u{202e} c "), "a [31mb c");
        assert!(one_line(&"x".repeat(1000)).chars().count() == 401);
    }
}
