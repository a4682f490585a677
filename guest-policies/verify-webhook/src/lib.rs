//! Lets a webhook pass only with a valid signature of its sender.
//!
//! The host compares; the policy holds no key. The body that was signed is the body
//! that goes on: it is read here as it came. Whatever is wrong (no signature, another
//! one, one that is too old or was seen before), the answer is one and the same, and
//! each takes a comparison, so that nobody learns by trying how far they came.
//!
//! Which bytes are signed is in [`scheme`].

#![forbid(unsafe_code)]

mod scheme;

use keyward_policy::{Decision, Exchange, Failure, Problem, Verdict, policy};

use scheme::{Claim, MAX_SIGNATURES};
pub use scheme::{Custom, Encoding, Scheme, Settings};

/// The longest body, in bytes: what the host takes for one code, less the time and
/// the identifier that some senders sign as well.
const MAX_BODY: usize = (512 - 1) * 1024;

/// What is compared when the request carries nothing that could be.
const NO_CODE: [u8; 32] = [0; 32];

/// Checks the signature; answers 401 where it does not hold.
///
/// # Errors
/// [`Failure`], as the host refused it; [`Failure::Unavailable`] also where the
/// sender broke off.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let key = exchange.mac_verifier(settings.alias())?;
    let request = exchange.request();
    let body = match request.body(MAX_BODY) {
        Err(Failure::Limit) => {
            return exchange.reject(
                Problem::new(413, "Content Too Large").detail("The body is too long to verify."),
            );
        }
        body => body?,
    };
    let claim = settings.claim(&request);
    let (message, codes) = match &claim {
        Some(claim) => (claim.message(&body), claim.codes.as_slice()),
        None => (body, [].as_slice()),
    };
    let mut valid = None;
    for code in codes.iter().take(MAX_SIGNATURES) {
        if key.verify(&message, code)? && valid.is_none() {
            valid = Some(code);
        }
    }
    if codes.is_empty() {
        key.verify(&message, &NO_CODE)?;
    }
    let (Some(claim), Some(code)) = (&claim, valid) else {
        return refuse(exchange);
    };
    if !is_fresh(settings, claim, exchange.now()) || is_replay(settings, claim, code, exchange)? {
        return refuse(exchange);
    }
    Ok(Verdict::Proceed)
}

fn refuse(exchange: &Exchange<'_>) -> Decision {
    exchange
        .reject(Problem::new(401, "Unauthorized").detail("The request carries no valid signature."))
}

/// Whether the sender's time, if there is one, is about ours.
fn is_fresh(settings: &Settings, claim: &Claim, now: u64) -> bool {
    claim
        .seconds()
        .is_none_or(|seconds| seconds.abs_diff(now / 1000) <= u64::from(settings.tolerance()))
}

/// Whether that signature has been accepted before. Without a time in what is
/// signed, a sender that tries again signs the same bytes: then it is none.
fn is_replay(
    settings: &Settings,
    claim: &Claim,
    code: &[u8],
    exchange: &Exchange<'_>,
) -> Result<bool, Failure> {
    if claim.seconds().is_none() || !settings.refuses_replays() {
        return Ok(false);
    }
    // As long as it could be fresh, whichever clock is ahead.
    let window = settings.tolerance().saturating_mul(2).saturating_add(1);
    let seen = data_encoding::HEXLOWER.encode(code.get(..32).unwrap_or(code));
    Ok(exchange.increment(&seen, 1, window)? > 1)
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests;
