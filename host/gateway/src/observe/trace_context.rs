//! W3C Trace Context: the header `traceparent` (level 1, section 3.2).

use http::{HeaderMap, HeaderName, HeaderValue};
use keyward::vault::fill_random;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace that an exchange is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceContext {
    pub(super) trace: [u8; 16],
    /// The span of whoever asked, if it is believed.
    pub(super) parent: Option<[u8; 8]>,
    /// The span of the exchange.
    pub(super) span: [u8; 8],
    /// The span of the call of the backend.
    pub(super) backend: [u8; 8],
    pub(super) sampled: bool,
}

impl TraceContext {
    /// Takes over the client's trace, if it is to be believed and has sent one, or
    /// begins one, and tells the backend. What the client sent is in no case
    /// passed on as it is, unless it is believed.
    pub(super) fn begin(headers: &mut HeaderMap, trusted: bool, share: f64) -> Self {
        let given = trusted.then(|| given(headers)).flatten();
        if given.is_none() {
            headers.remove(TRACESTATE);
        }
        let mut random = [0; 32];
        fill_random(&mut random);
        let [trace, spans] = [&random[..16], &random[16..]];
        let half = |bytes: &[u8]| bytes.first_chunk::<8>().copied().unwrap_or_default();
        let fresh = trace.first_chunk::<16>().copied().unwrap_or_default();
        let context = Self {
            trace: given.map_or(fresh, |given| given.trace),
            parent: given.map(|given| given.span),
            span: half(spans),
            backend: half(&spans[8..]),
            sampled: given.map_or_else(|| is_sampled(&fresh, share), |given| given.sampled),
        };
        let text = context.to_backend();
        // Hexadecimal digits and dashes.
        match HeaderValue::from_str(&text) {
            Ok(value) => headers.insert(TRACEPARENT, value),
            Err(_) => headers.remove(TRACEPARENT),
        };
        context
    }

    fn to_backend(self) -> String {
        let trace = u128::from_be_bytes(self.trace);
        let span = u64::from_be_bytes(self.backend);
        let flags = u8::from(self.sampled);
        format!("00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

/// A share of all traces, decided by the trace's own random number.
fn is_sampled(trace: &[u8; 16], share: f64) -> bool {
    let number = trace.last_chunk::<4>().copied().unwrap_or_default();
    f64::from(u32::from_be_bytes(number)) < share * (f64::from(u32::MAX) + 1.0)
}

#[derive(Clone, Copy)]
struct Given {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

/// What the header says, if there is exactly one and it is as it should be.
fn given(headers: &HeaderMap) -> Option<Given> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let text = all.next()?.to_str().ok()?;
    if all.next().is_some() {
        return None;
    }
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower = |text: &str, length: usize| {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        text.len() == length && text.bytes().all(digit)
    };
    let well_formed = lower(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && lower(trace, 32)
        && lower(span, 16)
        && lower(flags, 2);
    if !well_formed {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some(Given {
        trace: trace.to_be_bytes(),
        span: span.to_be_bytes(),
        sampled: flags & 1 == 1,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        headers.insert(TRACESTATE, "vendor=1".parse().unwrap());
        headers
    }

    #[test]
    fn a_trace_that_is_believed_goes_on_and_its_sampling_counts() {
        let mut asked = headers(&[GIVEN]);
        let context = TraceContext::begin(&mut asked, true, 0.0);
        assert!(context.sampled);
        assert_eq!(
            u128::from_be_bytes(context.trace),
            0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c
        );
        assert_eq!(
            context.parent,
            Some(0xb7ad_6b71_6920_3331_u64.to_be_bytes())
        );
        let sent = asked[TRACEPARENT].to_str().unwrap();
        assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(
            !sent.contains("b7ad6b7169203331"),
            "the span is ours: {sent}"
        );
        assert_eq!(asked[TRACESTATE], "vendor=1");
    }

    #[test]
    fn a_trace_that_is_not_believed_is_replaced() {
        let mut asked = headers(&[GIVEN]);
        let context = TraceContext::begin(&mut asked, false, 1.0);
        assert_eq!(context.parent, None);
        assert!(!asked[TRACEPARENT].to_str().unwrap().contains("0af76519"));
        assert!(!asked.contains_key(TRACESTATE));
    }

    #[test]
    fn what_is_no_trace_context_begins_a_new_trace() {
        for bad in [
            &["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"][..],
            &["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
            &["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"],
            &["00-0af7651916cd43dd8448eb211c80319c"],
            &["nonsense"],
            &[GIVEN, GIVEN],
        ] {
            let context = TraceContext::begin(&mut headers(bad), true, 1.0);
            assert_eq!(context.parent, None, "{bad:?}");
        }
    }

    #[test]
    fn a_share_of_the_traces_is_sampled() {
        let sampled = |share| {
            let begin = |_| TraceContext::begin(&mut HeaderMap::new(), false, share).sampled;
            (0..4000).map(begin).filter(|sampled| *sampled).count()
        };
        assert_eq!(sampled(0.0), 0);
        assert_eq!(sampled(1.0), 4000);
        assert!((600..1400).contains(&sampled(0.25)));
    }
}
