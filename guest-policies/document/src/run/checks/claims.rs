//! What `validate-jwt` asks of a token beside what the host has checked. It can only be
//! stricter than the host.

use serde_json::Value;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has expired, or has no end and has to have one.
    Expired,
    /// It is not valid yet.
    TooEarly,
    /// It is for others.
    Audience,
    /// It is of another issuer.
    Issuer,
    /// It lacks a claim.
    NoClaim,
    /// A claim has other values.
    ClaimValue,
}

/// When a token may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Seconds since 1970.
    pub(crate) now: u64,
    /// Seconds.
    pub(crate) skew: i64,
    pub(crate) has_to_end: bool,
}

impl Times {
    pub(crate) fn check(self, claims: &Value) -> Result<(), Fault> {
        let now = i64::try_from(self.now).unwrap_or(i64::MAX);
        match seconds(claims, "exp") {
            None if self.has_to_end => return Err(Fault::Expired),
            Some(end) if end.saturating_add(self.skew) <= now => return Err(Fault::Expired),
            None | Some(_) => {}
        }
        match seconds(claims, "nbf") {
            Some(begin) if begin.saturating_sub(self.skew) > now => Err(Fault::TooEarly),
            None | Some(_) => Ok(()),
        }
    }
}

fn seconds(claims: &Value, name: &str) -> Option<i64> {
    let time = claims.get(name)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "parts of a second are dropped"
    )]
    time.as_i64()
        .or_else(|| time.as_f64().map(|time| time as i64))
}

/// The token is for one of these; an empty list asks nothing.
pub(crate) fn check_audience(claims: &Value, audiences: &[impl AsRef<str>]) -> Result<(), Fault> {
    let own = values(claims, "aud", "").unwrap_or_default();
    let is_for_one = audiences
        .iter()
        .any(|audience| own.iter().any(|own| own == audience.as_ref()));
    (audiences.is_empty() || is_for_one)
        .then_some(())
        .ok_or(Fault::Audience)
}

/// The token is of one of these; an empty list asks nothing.
pub(crate) fn check_issuer(claims: &Value, issuers: &[impl AsRef<str>]) -> Result<(), Fault> {
    let own = claims.get("iss").and_then(Value::as_str);
    let is_of_one = issuers.iter().any(|issuer| own == Some(issuer.as_ref()));
    (issuers.is_empty() || is_of_one)
        .then_some(())
        .ok_or(Fault::Issuer)
}

/// A `claim` element.
#[derive(Debug)]
pub(crate) struct Required<T> {
    pub(crate) name: T,
    /// Whether all values have to be there, and not any.
    pub(crate) all: bool,
    /// What is between the values of a text; empty if it is one value.
    pub(crate) separator: T,
    /// Empty: the claim has to be there, with whatever value.
    pub(crate) values: Vec<T>,
}

impl<T: AsRef<str>> Required<T> {
    pub(crate) fn check(&self, claims: &Value) -> Result<(), Fault> {
        let own = values(claims, self.name.as_ref(), self.separator.as_ref());
        let own = own.ok_or(Fault::NoClaim)?;
        let has = |value: &T| own.iter().any(|own| own == value.as_ref());
        let fits = match self.all {
            true => self.values.iter().all(has),
            false => self.values.is_empty() || self.values.iter().any(has),
        };
        fits.then_some(()).ok_or(Fault::ClaimValue)
    }
}

/// The values of a claim, as texts; `None` if there is no such claim.
fn values(claims: &Value, name: &str, separator: &str) -> Option<Vec<String>> {
    let parts = |text: &str| -> Vec<String> {
        match separator {
            "" => vec![text.to_owned()],
            _ => text
                .split(separator)
                .map(|part| part.trim().to_owned())
                .collect(),
        }
    };
    Some(match claims.get(name)? {
        Value::Null => return None,
        Value::String(text) => parts(text),
        Value::Array(all) => all
            .iter()
            .flat_map(|item| match item {
                Value::String(text) => parts(text),
                other => vec![other.to_string()],
            })
            .collect(),
        other => vec![other.to_string()],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn required(
        all: bool,
        separator: &'static str,
        values: &[&'static str],
    ) -> Required<&'static str> {
        Required {
            name: "roles",
            all,
            separator,
            values: values.to_vec(),
        }
    }

    #[test]
    fn all_values_have_to_be_there_unless_any_is_enough() {
        let claims = json!({"roles": ["reader", "writer"]});
        assert_eq!(
            required(true, "", &["writer", "reader"]).check(&claims),
            Ok(())
        );
        let one_more = ["reader", "admin"];
        assert_eq!(
            required(true, "", &one_more).check(&claims),
            Err(Fault::ClaimValue)
        );
        assert_eq!(required(false, "", &one_more).check(&claims), Ok(()));
        assert_eq!(
            required(false, "", &["admin"]).check(&claims),
            Err(Fault::ClaimValue)
        );
    }

    #[test]
    fn without_values_a_claim_only_has_to_be_there() {
        assert_eq!(required(true, "", &[]).check(&json!({"roles": []})), Ok(()));
        assert_eq!(
            required(false, "", &[]).check(&json!({"roles": ""})),
            Ok(())
        );
        for claims in [json!({}), json!({"roles": null}), json!({"Roles": ["a"]})] {
            assert_eq!(required(false, "", &[]).check(&claims), Err(Fault::NoClaim));
        }
    }

    #[test]
    fn a_separator_takes_a_text_apart_and_without_one_it_is_whole() {
        let claims = json!({"roles": "reader, writer"});
        assert_eq!(required(true, ",", &["writer"]).check(&claims), Ok(()));
        assert_eq!(
            required(true, "", &["writer"]).check(&claims),
            Err(Fault::ClaimValue)
        );
        assert_eq!(
            required(true, "", &["reader, writer"]).check(&claims),
            Ok(())
        );
    }

    #[test]
    fn numbers_and_booleans_are_compared_as_they_are_written() {
        let claims = json!({"roles": [1, true]});
        assert_eq!(required(true, "", &["1", "true"]).check(&claims), Ok(()));
    }

    #[test]
    fn a_value_that_contains_another_is_not_it() {
        let claims = json!({"roles": "superadmin"});
        assert_eq!(
            required(false, "", &["admin"]).check(&claims),
            Err(Fault::ClaimValue)
        );
    }

    #[test]
    fn audience_and_issuer_are_one_of_a_list() {
        let claims = json!({"aud": ["a", "b"], "iss": "https://issuer.example/"});
        assert_eq!(check_audience(&claims, &["x", "b"]), Ok(()));
        assert_eq!(check_audience(&claims, &["x"]), Err(Fault::Audience));
        assert_eq!(check_audience(&claims, &[] as &[&str]), Ok(()));
        assert_eq!(check_audience(&json!({"aud": "a"}), &["a"]), Ok(()));
        assert_eq!(check_audience(&json!({}), &["a"]), Err(Fault::Audience));
        assert_eq!(check_issuer(&claims, &["https://issuer.example/"]), Ok(()));
        assert_eq!(
            check_issuer(&claims, &["https://issuer.example"]),
            Err(Fault::Issuer)
        );
        assert_eq!(check_issuer(&json!({}), &[""]), Err(Fault::Issuer));
    }

    #[test]
    fn a_token_is_over_at_its_end_and_the_skew_moves_it() {
        let times = |skew| Times {
            now: 1000,
            skew,
            has_to_end: true,
        };
        assert_eq!(times(0).check(&json!({"exp": 1001})), Ok(()));
        assert_eq!(times(0).check(&json!({"exp": 1000})), Err(Fault::Expired));
        assert_eq!(times(1).check(&json!({"exp": 1000.5})), Ok(()));
        assert_eq!(
            times(0).check(&json!({"exp": 2000, "nbf": 1001})),
            Err(Fault::TooEarly)
        );
        assert_eq!(times(1).check(&json!({"exp": 2000, "nbf": 1001})), Ok(()));
        assert_eq!(times(0).check(&json!({})), Err(Fault::Expired));
        let lax = Times {
            has_to_end: false,
            ..times(0)
        };
        assert_eq!(lax.check(&json!({})), Ok(()));
    }
}
