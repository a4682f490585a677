//! Named values in a text: `{{name}}`, as Azure API Management writes them.
//!
//! A place is two braces, a name of `A-Z a-z 0-9 . _ -`, two braces, with space
//! around the name or without. It is replaced by what the name stands for, once:
//! a place inside of a value is text. Whatever has not this form is text too, so
//! that JSON and templates with braces need no escape, and there is none: as in
//! API Management, a literal `{{name}}` is written with a value that is `{{`.
//!
//! Only parsed texts are expanded, never the source of a file, so a value can't
//! change the structure around it.

use std::borrow::Cow;
use std::ops::Range;

use keyward_names::KeyVaultReference;

/// A place in a text where a named value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'t> {
    /// The name, as it is written; it may be too long to be one.
    pub name: &'t str,
    /// From the first brace to after the last.
    pub span: Range<usize>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A text.
    Plain(String),
    /// A secret, of this name in the vault.
    Secret(String),
    /// A secret in a source.
    Reference {
        /// `SOURCE:KEY`.
        reference: String,
        /// The secret of the vault that gets its values from there, if it is one.
        secret: Option<String>,
    },
    /// Nothing. With the name that was probably meant.
    Unknown(Option<String>),
    /// Nobody could be asked yet: the text is left as it is, and not judged.
    Later,
}

/// What becomes of a document's request for a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requested {
    /// The operator lists it, and this secret of the vault gets its values from there.
    Secret(String),
    /// It is not to be had.
    Refused {
        /// Why.
        why: String,
        /// What to do.
        help: String,
    },
    /// Nobody could be asked yet.
    Later,
}

/// Who knows the named values, and what documents may ask for.
pub trait NamedValues {
    /// What a name stands for.
    fn look_up(&self, name: &str) -> Lookup;

    /// What becomes of a Key Vault reference in a document. Unless somebody lists
    /// any, all are refused.
    fn request(&self, reference: &KeyVaultReference) -> Requested {
        Requested::Refused {
            why: format!("no operator's file lists {reference}"),
            help: "documents ask for what is listed, and fetch nothing themselves".to_owned(),
        }
    }
}

/// Knows none of them yet: every place is [`Lookup::Later`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Unresolved;

impl NamedValues for Unresolved {
    fn look_up(&self, _: &str) -> Lookup {
        Lookup::Later
    }

    fn request(&self, _: &KeyVaultReference) -> Requested {
        Requested::Later
    }
}

/// Why a place can't be replaced by a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No value has that name.
    #[error("there is no named value {name:?}")]
    Unknown {
        /// The name, at most 64 characters of it.
        name: String,
        /// The one that was probably meant.
        meant: Option<String>,
    },
    /// It is a secret.
    #[error(
        "the named value {name:?} is secret; it can stand only where a policy asks for a secret"
    )]
    Secret {
        /// The name.
        name: String,
        /// The secret that it stands for.
        secret: String,
    },
    /// It is a secret in a source.
    #[error(
        "the named value {name:?} is a reference to a secret; it can stand only where a policy asks for a secret"
    )]
    Reference {
        /// The name.
        name: String,
        /// `SOURCE:KEY`.
        reference: String,
        /// The secret of the vault that gets its values from there.
        secret: Option<String>,
    },
}

impl ValueError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Unknown {
                meant: Some(meant), ..
            } => format!("did you mean {meant:?}?"),
            Self::Unknown { name, .. } => {
                format!("set it with: keyward value set {name} --plain TEXT")
            }
            Self::Secret { secret, .. }
            | Self::Reference {
                secret: Some(secret),
                ..
            } => format!(
                "grant the secret {secret:?} to a policy that uses it, such as attach-api-key; see `keyward policy inspect NAME`"
            ),
            Self::Reference { reference, .. } => have_fetched(reference),
        }
    }
}

/// The command that makes a secret of what a reference names.
pub fn have_fetched(reference: &str) -> String {
    format!(
        "no secret gets its values from there; add one, and grant it: keyward secret set NAME --kind KIND --from {reference}"
    )
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expanded<'t> {
    /// The text, each place in it replaced.
    Text(Cow<'t, str>),
    /// A place in it is for later.
    Later,
}

/// The places in a text, in its order.
///
/// ```
/// use keyward_document::named_values::places;
///
/// let names: Vec<_> = places("{{a}}/{{ b.c }}/{{d e}}/{f}").map(|place| place.name).collect();
/// assert_eq!(names, ["a", "b.c"]);
/// ```
pub fn places(text: &str) -> impl Iterator<Item = Place<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let open = from + text.get(from..)?.find("{{")?;
            // Of three braces the last two may be the ones.
            from = open + 1;
            if let Some(place) = place_at(text, open) {
                from = place.span.end;
                return Some(place);
            }
        }
    })
}

/// The place that starts at two braces, if it is one.
fn place_at(text: &str, open: usize) -> Option<Place<'_>> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let inside = text.get(open + 2..)?.trim_start_matches(is_space);
    let after = inside.trim_start_matches(is_name);
    let name = inside.get(..inside.len() - after.len())?;
    let rest = after.trim_start_matches(is_space).strip_prefix("}}")?;
    let span = open..text.len() - rest.len();
    (!name.is_empty()).then_some(Place { name, span })
}

/// The name, if the text is one place and nothing else.
pub fn whole(text: &str) -> Option<&str> {
    let place = place_at(text, 0).filter(|_| text.starts_with("{{"))?;
    (place.span.end == text.len()).then_some(place.name)
}

/// Replaces each place in a text by its value. The text of a value is taken as
/// it is: places in it are not replaced.
///
/// Errors: each place that has no text, in order; a place that is not known yet
/// is none.
pub fn expand<'t>(
    text: &'t str,
    values: &dyn NamedValues,
) -> Result<Expanded<'t>, Vec<(Range<usize>, ValueError)>> {
    let (mut out, mut from) = (String::new(), 0);
    let (mut errors, mut later) = (Vec::new(), false);
    for Place { name, span } in places(text) {
        let shown = || name.chars().take(64).collect::<String>();
        let error = match values.look_up(name) {
            Lookup::Plain(value) => {
                out.push_str(text.get(from..span.start).unwrap_or_default());
                out.push_str(&value);
                from = span.end;
                continue;
            }
            Lookup::Later => {
                later = true;
                continue;
            }
            Lookup::Secret(secret) => ValueError::Secret {
                name: shown(),
                secret,
            },
            Lookup::Reference { reference, secret } => ValueError::Reference {
                name: shown(),
                reference,
                secret,
            },
            Lookup::Unknown(meant) => ValueError::Unknown {
                name: shown(),
                meant,
            },
        };
        errors.push((span, error));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if later {
        return Ok(Expanded::Later);
    }
    if from == 0 {
        return Ok(Expanded::Text(Cow::Borrowed(text)));
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Ok(Expanded::Text(Cow::Owned(out)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    struct Few;

    impl NamedValues for Few {
        fn look_up(&self, name: &str) -> Lookup {
            match name {
                "host" => Lookup::Plain("example.com".to_owned()),
                "nested" => Lookup::Plain("{{host}}".to_owned()),
                "open" => Lookup::Plain("{{".to_owned()),
                "empty" => Lookup::Plain(String::new()),
                "key" => Lookup::Secret("billing-key".to_owned()),
                "far" => Lookup::Reference {
                    reference: "azure:far".to_owned(),
                    secret: None,
                },
                "later" => Lookup::Later,
                "hots" => Lookup::Unknown(Some("host".to_owned())),
                _ => Lookup::Unknown(None),
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let expanded = expand(text, &Few).unwrap();
        assert_eq!(expanded, Expanded::Text(expected.into()), "{text}");
    }

    #[test]
    fn each_place_is_replaced_once() {
        check("https://{{host}}/v1", "https://example.com/v1");
        check("{{host}}{{host}}", "example.comexample.com");
        check("{{ host }}{{\thost\n}}", "example.comexample.com");
        check("{{{host}}}", "{example.com}");
        check("{{empty}}", "");
        check("a{{empty}}b", "ab");
    }

    #[test]
    fn a_place_inside_of_a_value_is_text() {
        check("{{nested}}", "{{host}}");
        check("{{open}}host}}", "{{host}}");
        // Nor can two values make one.
        check("{{open}}{{open}}host}}", "{{{{host}}");
    }

    #[test]
    fn what_is_no_place_stays() {
        for text in [
            "",
            "{host}",
            "{{}}",
            "{{ }}",
            "{{host}",
            "{{a b}}",
            "{{ä}}",
            "{\"a\":{\"b\":{}}}",
            "{{",
            "}}",
            "{{{{",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn each_place_without_a_text_is_an_error_with_its_span() {
        let errors = expand("{{key}} {{host}} {{hots}} {{far}}", &Few).unwrap_err();
        let said: Vec<_> = errors
            .iter()
            .map(|(span, error)| format!("{span:?} {error}; {}", error.help()))
            .collect();
        assert_eq!(
            said,
            [
                "0..7 the named value \"key\" is secret; it can stand only where a policy asks for a secret; grant the secret \"billing-key\" to a policy that uses it, such as attach-api-key; see `keyward policy inspect NAME`",
                "17..25 there is no named value \"hots\"; did you mean \"host\"?",
                "26..33 the named value \"far\" is a reference to a secret; it can stand only where a policy asks for a secret; no secret gets its values from there; add one, and grant it: keyward secret set NAME --kind KIND --from azure:far",
            ]
        );
        let long = format!("{{{{{}}}}}", "x".repeat(300));
        assert_eq!(expand(&long, &Few).unwrap_err().len(), 1);
    }

    #[test]
    fn a_text_with_a_place_for_later_is_not_judged() {
        assert_eq!(expand("{{host}} {{later}}", &Few), Ok(Expanded::Later));
        assert_eq!(expand("{{x}}", &Unresolved), Ok(Expanded::Later));
        assert_eq!(expand("x", &Unresolved), Ok(Expanded::Text("x".into())));
    }

    #[test]
    fn a_whole_place_is_told_from_a_part() {
        assert_eq!(whole("{{a}}"), Some("a"));
        assert_eq!(whole("{{ a-b }}"), Some("a-b"));
        for text in [
            "{{a}}b",
            "b{{a}}",
            " {{a}}",
            "{{a}}{{b}}",
            "{a}",
            "{{{a}}}",
            "",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
