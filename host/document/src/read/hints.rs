//! What to say about mistakes that people make, and the rules of single
//! policies that no table holds.

use keyward_document_program::liquid;

use super::Reader;
use crate::Phase;
use crate::error::{Found, Problem};
use crate::header::host_writes;
use crate::model::{Literal, Node, Payload};
use crate::open::did_you_mean;

pub(super) const MIXED: &str = "an expression has to be the whole value: write @(\"text\" + …), or @($\"text {…}\"); where no expression was meant, write &#64; for \"@\"";
pub(super) const SECRET_IN_EXPRESSION: &str = "write the secret as the whole of a <value>, of a password or of a variable, and let the gateway attach it; for a token of a client's secret, write <authentication-managed-identity>, and grant it a secret of kind oauth-client for the use \"token\"";
pub(super) const WHERE_SECRETS_STAND: &str = "a <value> of <set-header> and <set-query-parameter>, username and password of <authentication-basic>, a <key> of <validate-jwt>, and the value of <set-variable>";

pub(super) fn wrong_root(name: &str) -> String {
    match name {
        "inbound" | "backend" | "outbound" | "on-error" => {
            format!("write <policies> around <{name}>")
        }
        _ => {
            "a document is <policies> with <inbound>, <backend>, <outbound> and <on-error> in it, or <fragment>"
                .to_owned()
        }
    }
}

pub(super) fn absent(phase: Phase) -> String {
    match phase {
        Phase::Backend => {
            "write <backend><base /></backend>, or the request is never forwarded".to_owned()
        }
        _ => format!("write <{phase}><base /></{phase}> to inherit from the broader scope"),
    }
}

pub(super) fn text_in(name: &str) -> &'static str {
    match name {
        "set-header" | "set-query-parameter" | "check-header" => {
            "write the value as <value>…</value>"
        }
        "trace" => "write the message as <message>…</message>",
        "base" | "set-variable" | "rewrite-uri" | "set-status" | "include-fragment"
        | "forward-request" => "it has to be empty",
        _ => "only elements and <!-- comments --> may stand here",
    }
}

pub(super) fn unknown_statement(name: &str) -> Option<&'static str> {
    Some(match name {
        "when" | "otherwise" => "write it into a <choose>",
        "value" => "write it into the policy that the value is for",
        "inbound" | "backend" | "outbound" | "on-error" => {
            "sections stand directly in <policies>; is the one before it closed?"
        }
        "set-url" => "write it into a <send-request>, or use <rewrite-uri>",
        "publish-to-darp" => {
            "did you mean \"publish-to-dapr\"? Some tools misspell it; the policy is not supported, use <send-one-way-request> instead"
        }
        "invoke-darp-binding" => {
            "did you mean \"invoke-dapr-binding\"? Some tools misspell it; the policy is not supported, use <send-request> instead"
        }
        "if" => "write <choose><when condition=\"…\">…</when></choose>",
        "policies" | "fragment" => {
            "a document stands for itself; include a fragment with <include-fragment fragment-id=\"…\"/>"
        }
        _ => return None,
    })
}

pub(super) fn unknown_child(parent: &str, name: &str) -> Option<&'static str> {
    Some(match (parent, name) {
        ("choose", _) if crate::policies::policy(name).is_some() => {
            "policies stand in <when> or <otherwise>"
        }
        ("choose", "else" | "default") => "write <otherwise>",
        ("choose", "elseif" | "if") => "write <when condition=\"…\">",
        ("send-request" | "send-one-way-request", "set-query-parameter") => {
            "write the query into <set-url>"
        }
        ("return-response", "set-variable") => "write it before <return-response>",
        _ => return None,
    })
}

pub(super) fn unknown_attribute(element: &str, name: &str) -> Option<&'static str> {
    Some(match (element, name) {
        ("set-header" | "set-query-parameter", "value") => {
            "write the value as an element: <set-header name=\"…\"><value>…</value></set-header>"
        }
        ("set-status", "status-code") => "did you mean \"code\"?",
        ("set-status", "body") | ("return-response", "body") => {
            "write <set-body>…</set-body> into <return-response>"
        }
        ("set-backend-service", name) if name.starts_with("sf-") => {
            "Service Fabric is not supported; write a base-url"
        }
        ("set-backend-service", name) if name.starts_with("dapr-") => {
            "Dapr is not supported by name; write a base-url with its HTTP address"
        }
        ("include-fragment", "id") => "did you mean \"fragment-id\"?",
        _ => return None,
    })
}

pub(super) fn wrong_section(policy: &str) -> Option<&'static str> {
    Some(match policy {
        "forward-request" => "the request is forwarded once, after inbound",
        "set-method" => "in <send-request> it may stand anywhere",
        _ => return None,
    })
}

/// What to do about a Liquid template; `found` is the part of it that is not understood.
pub(super) fn template(problem: liquid::Problem, found: &str) -> String {
    use liquid::Problem as P;
    match (problem, found) {
        (P::UnknownTag, "include" | "render" | "tablerow") => {
            format!("{found} is not supported; write what it stands for into the template")
        }
        (P::UnknownTag, "elsif" | "else" | "when") => {
            "write it between the tags of the block that it belongs to".to_owned()
        }
        (P::UnknownTag, end) if liquid::TAGS.contains(&end) => {
            "it closes nothing: the block in which it stands is another, or none".to_owned()
        }
        (P::UnknownTag, name) => did_you_mean(name, &liquid::TAGS, "Liquid's tags are"),
        (P::UnknownFilter, name) => {
            let names: Vec<&str> = liquid::Filter::ALL.iter().map(|f| f.as_str()).collect();
            did_you_mean(name, &names, "Liquid's filters are")
        }
        (P::Missing(_), _) => "write it behind what this opens".to_owned(),
        (P::Depth, _) => "divide it: blocks and brackets go 32 deep".to_owned(),
        _ => "a tag is written like {% if a == b %}, an output like {{ a | append: b }}".to_owned(),
    }
}

impl Reader<'_, '_, '_> {
    /// Rules that are one policy's own.
    pub(super) fn judge(&mut self, node: &Node) {
        match node.name() {
            "set-header" | "set-query-parameter" => self.judge_values(node),
            "validate-jwt" => self.judge_token(node),
            "send-request" | "send-one-way-request" => self.judge_call(node),
            "ip-filter" if node.children.is_empty() => {
                let problem = Problem::MissingElement {
                    parent: "ip-filter",
                    element: "address",
                };
                let help =
                    "write <address>…</address> or <address-range from=\"…\" to=\"…\"/> into it";
                self.report(problem, node.tag.clone(), help);
            }
            _ => {}
        }
    }

    fn judge_values(&mut self, node: &Node) {
        let name = node
            .attribute("name")
            .and_then(|name| Some((name.as_text()?, name)));
        if let Some((text, value)) = name.filter(|_| node.name() == "set-header")
            && let Some(help) = host_writes(text)
        {
            let problem = Problem::HostHeader(Found::new(text));
            self.report(problem, value.at.clone(), help);
        }
        let action = match node.attribute("exists-action").map(|value| &value.payload) {
            None => "override",
            Some(Payload::Literal(Literal::Word(word))) => word,
            Some(_) => return,
        };
        let what = if node.name() == "set-header" {
            "<set-header>"
        } else {
            "<set-query-parameter>"
        };
        let (rule, help) = match (action, node.children.len()) {
            ("delete", 1..) => (
                "has a <value>, and is to delete",
                "leave the values out, or choose override, skip or append",
            ),
            ("override" | "skip" | "append", 0) if !self.told_within(node) => (
                "has no <value>",
                "write <value>…</value> into it, or exists-action=\"delete\" to remove it",
            ),
            _ => return,
        };
        self.report(Problem::Content { what, rule }, node.tag.clone(), help);
    }

    /// Whether something in the element was reported: a value may only be misplaced.
    fn told_within(&self, node: &Node) -> bool {
        self.reporter.has_within(&node.at)
    }

    fn judge_token(&mut self, node: &Node) {
        let Some(value) = node.attribute("token-value") else {
            return;
        };
        let text = match &value.payload {
            Payload::Literal(Literal::Text(text)) => text.as_str(),
            Payload::Expression(expression) => {
                let code = expression.code.as_str().trim_start();
                code.trim_start_matches('$').trim_start_matches('"')
            }
            _ => return,
        };
        let scheme = text.get(..7).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("Bearer ") {
            let help = "leave the scheme out, or use header-name=\"Authorization\" require-scheme=\"Bearer\"";
            self.report(Problem::Bearer, value.at.clone(), help);
        }
    }

    fn judge_call(&mut self, node: &Node) {
        let copies = match node.attribute("mode").map(|value| &value.payload) {
            None => false,
            Some(Payload::Literal(Literal::Word(word))) => *word == "copy",
            Some(_) => true,
        };
        if copies || self.told_within(node) {
            return;
        }
        let parent = node.name();
        for element in ["set-url", "set-method"] {
            if node.children_named(element).next().is_none() {
                let problem = Problem::MissingElement { parent, element };
                let help = format!(
                    "write <{element}>…</{element}> into it, or mode=\"copy\" to take the request's own"
                );
                self.report(problem, node.tag.clone(), help);
            }
        }
    }
}
