//! Tells the backend who is calling, by a token (JWT) that the gateway signs.
//!
//! Issuer, audience, lifetime and the names of further claims stand in the grant; this
//! policy fills in whom the token is about. The host signs it when the request is sent,
//! and the key stays with it. Where a backend wants the token in a form that a grant
//! can't write, the grant says `returns = "jws"` and the policy writes it itself, as
//! `header` says: then the policy has a token, and never the key.
//!
//! Stands after `require-client-key`.

use keyward_policy::{ClaimValue, Claims, Decision, Exchange, Level, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// The header that the policy writes the token into; without it the host attaches
    /// the token where the grant says.
    header: Option<String>,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let subject = exchange.variable_of("require-client-key", "subject");
    let Some(subject) = subject.and_then(|subject| String::from_utf8(subject).ok()) else {
        exchange.log(
            Level::Error,
            "who is calling? put this after require-client-key",
        );
        return Ok(Verdict::Fail);
    };
    let claims = Claims::new()
        .subject(format!("consumer:{subject}"))
        .claim("method", ClaimValue::Text(exchange.method()));
    let signer = exchange.jws_signer("vouching-key")?;
    match &settings.header {
        None => signer.attach(&claims)?,
        Some(header) => {
            let token = signer.sign(&claims)?;
            exchange.request().set_header(header, token)?;
        }
    }
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::{Failure, testing::Simulation};

    use super::*;

    fn called_by(subject: &[u8]) -> Simulation {
        Simulation::request("POST", "/orders").variable_of("require-client-key", "subject", subject)
    }

    fn settings(header: Option<&str>) -> Settings {
        Settings {
            header: header.map(str::to_owned),
        }
    }

    fn expected() -> Claims {
        Claims::new()
            .subject("consumer:acme")
            .claim("method", ClaimValue::Text("POST".to_owned()))
    }

    #[test]
    fn the_token_is_about_whoever_calls() {
        let simulation = called_by(b"acme").grant("vouching-key");
        let decision = decide(&settings(None), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.attached(), ["vouching-key"]);
        assert_eq!(simulation.claims(), [expected()]);
    }

    #[test]
    fn the_policy_writes_it_where_the_operator_says() {
        let simulation = called_by(b"acme").grant("vouching-key");
        let decision = decide(&settings(Some("x-user")), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.claims(), [expected()]);
        assert!(simulation.attached().is_empty());
        assert!(simulation.request_header("x-user").is_some());
    }

    #[test]
    fn nobody_is_vouched_for_who_is_not_known() {
        let simulation = Simulation::request("POST", "/orders").grant("vouching-key");
        let decision = decide(&settings(None), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Fail));
        let unclear = called_by(&[0xff]).grant("vouching-key");
        assert_eq!(
            decide(&settings(None), &unclear.exchange()),
            Ok(Verdict::Fail)
        );
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        for header in [None, Some("x-user")] {
            let simulation = called_by(b"acme");
            let decision = decide(&settings(header), &simulation.exchange());
            assert_eq!(decision, Err(Failure::Denied));
        }
    }
}
