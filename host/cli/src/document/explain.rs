//! `keyward document explain`: what a document does, in words.

use std::path::PathBuf;

use clap::Args;
use keyward::document::Phase;
use keyward::document::model::{Document, Node, Payload, Value};
use keyward::document::named_values::places;
use serde_json::json;

use super::{reading, sound};
use crate::Common;
use crate::exit::{Exit, Outcome};

pub(super) const HELP: &str = "\
What runs in each section, in order, and where the document uses named values and
secrets: each secret with the class of that use.

Examples:
  keyward document explain billing.xml
  keyward document explain - -o json < billing.xml";

/// The longest text that is shown of a value, in characters.
const LONGEST: usize = 60;

#[derive(Args)]
pub(crate) struct Explain {
    /// A document; - is standard input.
    #[arg(value_name = "FILE")]
    document: PathBuf,
}

/// A place where something is used.
struct Use {
    name: String,
    at: String,
    how: String,
}

impl Explain {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let document = reading(common, |values| sound(&self.document, None, values))?;
        let mut steps: Vec<(Option<Phase>, usize, String)> = Vec::new();
        let mut uses = Vec::new();
        for (phase, statement) in document.statements() {
            let message = match phase {
                Some(Phase::Outbound | Phase::OnError) => "response",
                _ => "request",
            };
            describe(statement, phase, message, 0, &mut steps);
            for node in statement.walk() {
                find(node, &document, &mut uses);
            }
        }
        let text = || {
            let mut out = String::new();
            let mut current = None;
            for (phase, depth, words) in &steps {
                if current != Some(*phase) {
                    current = Some(*phase);
                    let name = phase.map_or("fragment", Phase::as_str);
                    out.push_str(&format!("{name}\n"));
                }
                out.push_str(&format!("{}{words}\n", "  ".repeat(depth + 1)));
            }
            out.push_str("\nsecrets and named values\n");
            if uses.is_empty() {
                out.push_str("  none\n");
            }
            for one in &uses {
                out.push_str(&format!("  {}  {}  {}\n", one.name, one.at, one.how));
            }
            out
        };
        let json = || {
            let steps = steps.iter().map(|(phase, depth, words)| {
                json!({ "section": phase.map(Phase::as_str), "depth": depth, "does": words })
            });
            let used = uses
                .iter()
                .map(|one| json!({ "name": one.name, "at": one.at, "how": one.how }));
            json!({
                "file": document.file(),
                "steps": steps.collect::<Vec<_>>(),
                "uses": used.collect::<Vec<_>>(),
            })
        };
        common.output().data(text, json);
        Ok(Exit::Success)
    }
}

/// A value on one line: an expression shortened, a secret as its name.
pub(super) fn value(value: &Value) -> String {
    let shown = match &value.payload {
        Payload::Literal(literal) => literal.to_string(),
        Payload::Secret(secret) => format!("(the secret {})", secret.secret),
        Payload::Expression(expression) => {
            let (open, close) = if expression.block {
                ("@{", "}")
            } else {
                ("@(", ")")
            };
            format!("{open}{}{close}", expression.code.as_str().trim())
        }
        Payload::Later => format!("{:?}", value.written.as_str().trim()),
    };
    let one_line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().count() <= LONGEST {
        return one_line;
    }
    let short: String = one_line.chars().take(LONGEST - 1).collect();
    format!("{short}…")
}

fn describe(
    node: &Node,
    phase: Option<Phase>,
    message: &str,
    depth: usize,
    steps: &mut Vec<(Option<Phase>, usize, String)>,
) {
    let attribute = |name: &str| node.attribute(name).map(value).unwrap_or_default();
    let text = || node.text.as_ref().map(value).unwrap_or_default();
    let values = || {
        let values = node
            .children_named("value")
            .filter_map(|child| child.text.as_ref());
        values.map(value).collect::<Vec<_>>().join(", ")
    };
    let mut inside = true;
    let words = match node.name() {
        "base" => "what the broader scope says".to_owned(),
        "choose" => "one of these, the first that applies".to_owned(),
        "when" => format!("if {}", attribute("condition")),
        "otherwise" => "otherwise".to_owned(),
        "set-variable" => format!("remember {} as {}", attribute("value"), attribute("name")),
        "set-header" | "set-query-parameter" => {
            inside = false;
            let what = if node.name() == "set-header" {
                "header"
            } else {
                "query parameter"
            };
            let of = format!("{what} {} of the {message}", attribute("name"));
            match attribute("exists-action").as_str() {
                "delete" => format!("remove the {of}"),
                "skip" => format!("set the {of}, unless it is there, to {}", values()),
                "append" => format!("add to the {of}: {}", values()),
                _ => format!("set the {of} to {}", values()),
            }
        }
        "set-body" => format!("set the body to {}", text()),
        "set-method" => format!("set the method to {}", text()),
        "set-url" => format!("to {}", text()),
        "set-status" => format!(
            "set the status to {} {}",
            attribute("code"),
            attribute("reason")
        ),
        "rewrite-uri" => format!("ask the backend for {}", attribute("template")),
        "set-backend-service" => {
            format!(
                "use the backend {}{}",
                attribute("base-url"),
                attribute("backend-id")
            )
        }
        "forward-request" => "send the request to the backend".to_owned(),
        "send-request" => format!(
            "call, and keep the answer as {}",
            attribute("response-variable-name")
        ),
        "send-one-way-request" => "call, and wait for nothing".to_owned(),
        "return-response" => "answer and end".to_owned(),
        "include-fragment" => format!("what the fragment {} says", attribute("fragment-id")),
        _ => generic(node),
    };
    steps.push((phase, depth, words.trim_end().to_owned()));
    if inside {
        let message = match node.name() {
            "return-response" => "answer",
            "send-request" | "send-one-way-request" => "call",
            _ => message,
        };
        for child in &node.children {
            describe(child, phase, message, depth + 1, steps);
        }
    }
}

/// A policy that has no sentence of its own.
fn generic(node: &Node) -> String {
    let mut words = node.name().to_owned();
    for field in &node.attributes {
        words.push_str(&format!(" {}={}", field.name, value(&field.value)));
    }
    if let Some(text) = &node.text {
        words.push_str(&format!(" {}", value(text)));
    }
    words
}

/// The named values and secrets of a node.
fn find(node: &Node, document: &Document, uses: &mut Vec<Use>) {
    for value in node.values() {
        let at = document.position(value.at.clone()).to_string();
        let place = &node.path;
        match &value.payload {
            Payload::Secret(secret) => {
                let class = if node.name() == "key" {
                    "class A: a key that checks tokens and never leaves"
                } else {
                    "class C: attached, where a grant allows it"
                };
                uses.push(Use {
                    name: secret.secret.clone(),
                    at,
                    how: format!("secret in {place}; {class}"),
                });
            }
            Payload::Expression(_) | Payload::Literal(_) | Payload::Later => {
                for named in places(value.written.as_str()) {
                    uses.push(Use {
                        name: format!("{{{{{}}}}}", named.name),
                        at: at.clone(),
                        how: format!("named value in {place}"),
                    });
                }
            }
        }
    }
}
