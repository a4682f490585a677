//! One exchange as a story: each phase, each call into the host, each decision of the
//! grants, with its time.

use std::fmt::Write as _;

use super::diff::visible;
use super::pretty::{counted, in_words};
use super::style::{Colour, Style};
use super::{BackendTried, Decision, Event, HostCall, PolicyCall, StepReport};

/// The story of a step. With `every_call`, each call into the host; else those that
/// the grants decided about, and how many others there were.
pub fn story(step: &StepReport, every_call: bool, style: Style) -> String {
    let mut out = format!("{}\n", visible(&step.request));
    for event in &step.timeline.events {
        match event {
            Event::Policy(call) => policy(&mut out, call, every_call, style),
            Event::Backend(call) => backend(&mut out, call, style),
        }
    }
    let _ = match step.status {
        Some(status) => writeln!(out, "the client got {status}{}", took(step.took, style)),
        None => writeln!(out, "the client got nothing{}", took(step.took, style)),
    };
    out
}

fn policy(out: &mut String, call: &PolicyCall, every_call: bool, style: Style) {
    let verdict = match (&call.verdict, &call.stopped) {
        (_, Some(stopped)) => style.paint(Colour::Red, &format!("stopped ({})", stopped.reason)),
        (Some(verdict), None) => match verdict.as_str() {
            "fail" => style.paint(Colour::Red, verdict),
            _ => style.paint(Colour::Green, verdict),
        },
        (None, None) => "no verdict".to_owned(),
    };
    let _ = writeln!(
        out,
        "{:<9} {}: {verdict}{}",
        call.phase,
        call.policy,
        took(call.took, style)
    );
    let mut others = 0;
    for host_call in &call.calls {
        match every_call || host_call.decision.is_some() {
            true => host(out, host_call, style),
            false => others += 1,
        }
    }
    if others > 0 {
        let line = format!("          and {} into the host", counted_others(others));
        let _ = writeln!(out, "{}", style.paint(Colour::Dim, &line));
    }
    if let Some(stopped) = &call.stopped {
        let _ = writeln!(out, "          {}", visible(&stopped.message));
        if let Some(during) = &stopped.during {
            let _ = writeln!(out, "          its last call into the host: {during}");
        }
        for frame in &stopped.stack {
            let _ = writeln!(out, "            at {}", visible(frame));
        }
    }
}

fn counted_others(count: usize) -> String {
    counted(count, "other call")
}

fn host(out: &mut String, call: &HostCall, style: Style) {
    let arguments: Vec<String> = call.arguments.iter().map(|text| visible(text)).collect();
    let _ = write!(out, "          {}({})", call.function, arguments.join(", "));
    if !matches!(call.result.as_str(), "" | "nothing") {
        let _ = write!(out, " = {}", visible(&call.result));
    }
    let _ = writeln!(out, "{}", took(call.took, style));
    match &call.decision {
        Some(Decision::Granted {
            grant,
            secret,
            operation,
            class,
        }) => {
            let words = format!("granted by {grant}: {operation} of {secret}, class {class}");
            let _ = writeln!(out, "            {}", style.paint(Colour::Green, &words));
        }
        Some(Decision::Refused(refusal)) => {
            let mut words = format!("refused: {}", visible(&refusal.why));
            if let Some(nearest) = &refusal.nearest {
                let _ = write!(words, "; the nearest grant is {nearest}");
            }
            let _ = writeln!(out, "            {}", style.paint(Colour::Red, &words));
        }
        None => {}
    }
}

fn backend(out: &mut String, call: &BackendTried, style: Style) {
    let answer = match (call.status, &call.failure) {
        (Some(status), _) => status.to_string(),
        (None, Some(failure)) => style.paint(Colour::Red, failure),
        (None, None) => "nothing".to_owned(),
    };
    let _ = write!(out, "call      {}:", call.route);
    for part in [&call.method, &call.path] {
        if !part.is_empty() {
            let _ = write!(out, " {}", visible(part));
        }
    }
    if !call.attached.is_empty() {
        let _ = write!(out, ", with {}", call.attached.join(", "));
    }
    let equals = if call.method.is_empty() { "" } else { " =" };
    let _ = writeln!(out, "{equals} {answer}{}", took(call.took, style));
}

fn took(duration: std::time::Duration, style: Style) -> String {
    match style.times && !duration.is_zero() {
        true => style.paint(Colour::Dim, &format!(" ({})", in_words(duration))),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Refusal, Stopped, Timeline};
    use super::*;

    fn step() -> StepReport {
        let call = |function: &str, argument: &str, decision| HostCall {
            function: function.to_owned(),
            arguments: vec![argument.to_owned()],
            result: "ok".to_owned(),
            decision,
            ..HostCall::default()
        };
        let granted = Decision::Granted {
            grant: "attach-stripe".to_owned(),
            secret: "stripe".to_owned(),
            operation: "attach".to_owned(),
            class: "C".to_owned(),
        };
        let refused = Decision::Refused(Refusal {
            why: "no grant names it".to_owned(),
            nearest: Some("attach-stripe".to_owned()),
            snippet: None,
        });
        let inbound = PolicyCall {
            policy: "attach".to_owned(),
            phase: "inbound".to_owned(),
            verdict: Some("proceed".to_owned()),
            calls: vec![
                call("exchange.header", "x-a", None),
                call("secrets.credential.open", "backend", Some(granted)),
                call("secrets.credential.open", "other", Some(refused)),
            ],
            ..PolicyCall::default()
        };
        let outbound = PolicyCall {
            policy: "attach".to_owned(),
            phase: "outbound".to_owned(),
            stopped: Some(Stopped {
                reason: "trap".to_owned(),
                message: "trapped".to_owned(),
                stack: vec!["attach::decide (attach+0x12)".to_owned()],
                during: Some("exchange".to_owned()),
            }),
            ..PolicyCall::default()
        };
        let backend = BackendTried {
            route: "billing".to_owned(),
            method: "GET".to_owned(),
            path: "/v1".to_owned(),
            attached: vec!["stripe".to_owned()],
            status: Some(200),
            ..BackendTried::default()
        };
        StepReport {
            request: "GET /v1".to_owned(),
            status: Some(500),
            timeline: Timeline {
                events: vec![
                    Event::Policy(inbound),
                    Event::Backend(backend),
                    Event::Policy(outbound),
                ],
            },
            ..StepReport::default()
        }
    }

    #[test]
    fn a_story_has_phases_decisions_calls_and_the_guests_stack() {
        let expected = "\
GET /v1
inbound   attach: proceed
          secrets.credential.open(backend) = ok
            granted by attach-stripe: attach of stripe, class C
          secrets.credential.open(other) = ok
            refused: no grant names it; the nearest grant is attach-stripe
          and 1 other call into the host
call      billing: GET /v1, with stripe = 200
outbound  attach: stopped (trap)
          trapped
          its last call into the host: exchange
            at attach::decide (attach+0x12)
the client got 500
";
        assert_eq!(story(&step(), false, Style::default()), expected);
        let all = story(&step(), true, Style::default());
        assert!(all.contains("exchange.header(x-a) = ok"), "{all}");
        assert!(!all.contains("other call"), "{all}");
    }
}
