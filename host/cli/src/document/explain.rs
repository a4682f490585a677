//! `keyward document explain`: what a document does, in words.

use clap::Args;
use keyward::document::compile::SecretRequest;
use keyward::document::model::{Document, Node, Payload, Value};
use keyward::document::named_values::places;
use keyward::document::{DocumentErrors, Phase, Problem};
use keyward::vault::Class;
use serde_json::json;

use super::around::{Around, Given, Named};
use super::grants::{class_of, place_of, placement_in_words, request_in_json};
use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::words::class_in_words;

pub(super) const HELP: &str = "\
What runs in each section, in order; each secret that it asks for, by what the
destination would learn; each named value; and what keeps the document from running.

Examples:
  keyward document explain billing.xml
  keyward document explain billing.xml --fragment auth=auth-fragment.xml
  keyward document explain billing.xml --secret billing-key    without a gateway
  keyward document explain - -o json < billing.xml";

/// The longest text that is shown of a value, in characters.
const LONGEST: usize = 60;

#[derive(Args)]
pub(crate) struct Explain {
    /// A document; - is standard input.
    #[arg(value_name = "FILE")]
    document: String,
    /// A fragment, and the id under which the document includes it; several are allowed.
    #[arg(long = "fragment", value_name = "ID=FILE")]
    fragments: Vec<String>,
    #[command(flatten)]
    values: Named,
}

/// A place where a named value is used.
struct Use {
    name: String,
    at: String,
    how: String,
}

/// What the compiler says of a document.
#[derive(Default)]
struct Compiled {
    requests: Vec<SecretRequest>,
    errors: Option<Box<DocumentErrors>>,
}

impl Compiled {
    fn of(around: &Around) -> Self {
        let survey = around.survey();
        Self {
            requests: survey.requests,
            errors: survey.errors,
        }
    }

    /// What keeps the document from running, one after the other. A named value that
    /// nobody could be asked about is told among the named values.
    fn problems(&self) -> Vec<String> {
        let errors = self.errors.iter().flat_map(|errors| errors.iter());
        let errors = errors.filter(|error| !matches!(error.problem(), Problem::Unbound));
        errors
            .map(|error| {
                let help = error.help().map(|help| format!(": {help}"));
                let help = help.unwrap_or_default();
                format!("{}  {}{help}", error.position(), error.problem())
            })
            .collect()
    }
}

impl Explain {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let given = Given {
            documents: vec![self.document],
            fragments: self.fragments,
            values: self.values,
        };
        let read = given.read(common)?;
        let Some(document) = read.documents.last().cloned() else {
            return Err(Failure::usage("no document"));
        };
        let compiled = match read.together(None) {
            Ok(around) => Compiled::of(&around),
            // A fragment that is not there: what the document itself says is told.
            Err(errors) => Compiled {
                errors: Some(errors),
                ..Compiled::default()
            },
        };
        let mut steps: Vec<(Option<Phase>, usize, String)> = Vec::new();
        let mut uses = Vec::new();
        for (phase, statement) in document.statements() {
            let message = match phase {
                Some(Phase::Outbound | Phase::OnError) => "response",
                _ => "request",
            };
            describe(statement, phase, message, 0, &mut steps);
            for node in statement.walk() {
                find(node, &document, &compiled, &mut uses);
            }
        }
        let problems = compiled.problems();
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
            out.push_str("\nsecrets\n");
            out.push_str(&by_class(&compiled.requests));
            out.push_str("\nnamed values\n");
            if uses.is_empty() {
                out.push_str("  none\n");
            }
            for one in &uses {
                out.push_str(&format!("  {}  {}  {}\n", one.name, one.at, one.how));
            }
            if !problems.is_empty() {
                out.push_str("\nwhat keeps it from running\n");
                for problem in &problems {
                    out.push_str(&format!("  {problem}\n"));
                }
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
            let errors = compiled.errors.as_deref();
            json!({
                "file": document.file(),
                "steps": steps.collect::<Vec<_>>(),
                "secrets": compiled.requests.iter().map(request_in_json).collect::<Vec<_>>(),
                "named-values": used.collect::<Vec<_>>(),
                "errors": errors.map(DocumentErrors::to_json).unwrap_or_default(),
            })
        };
        common.output().data(text, json);
        Ok(Exit::Success)
    }
}

/// The uses of secrets, those first of which the destination learns most.
fn by_class(requests: &[SecretRequest]) -> String {
    let mut out = String::new();
    for class in [Class::C, Class::B, Class::A] {
        let mut of_it = requests
            .iter()
            .filter(|request| class_of(request) == Some(class))
            .peekable();
        if of_it.peek().is_some() {
            out.push_str(&format!("  class {class}: {}\n", class_in_words(class)));
        }
        for request in of_it {
            let secret = request
                .secret
                .as_deref()
                .unwrap_or("(which one, a grant says)");
            let to = match request.routes.as_slice() {
                [] => String::new(),
                routes => format!(", to {}", routes.join(", ")),
            };
            out.push_str(&format!(
                "    {secret}  {}  {} of {}, {}{to}\n",
                place_of(request),
                request.use_,
                request.alias,
                placement_in_words(&request.placement),
            ));
        }
    }
    if out.is_empty() {
        out.push_str("  none\n");
    }
    out
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

/// A statement in words, without those within.
#[cfg(feature = "testkit")]
pub(super) fn in_words((phase, node): (Phase, &Node)) -> String {
    let message = match phase {
        Phase::Outbound | Phase::OnError => "response",
        Phase::Inbound | Phase::Backend => "request",
    };
    let mut steps = Vec::new();
    describe(node, Some(phase), message, 0, &mut steps);
    let first = steps.into_iter().next();
    first.map(|(_, _, words)| words).unwrap_or_default()
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

/// The named values of a node, and the secrets that the compiler does not tell: in a
/// variable, in a fragment on its own.
fn find(node: &Node, document: &Document, compiled: &Compiled, uses: &mut Vec<Use>) {
    for value in node.values() {
        let at = document.position(value.at.clone()).to_string();
        let place = &node.path;
        match &value.payload {
            Payload::Secret(secret) => {
                let mut requests = compiled.requests.iter();
                if requests.any(|request| place_of(request) == at) {
                    continue;
                }
                uses.push(Use {
                    name: secret
                        .name
                        .as_ref()
                        .map_or_else(|| secret.secret.clone(), |name| format!("{{{{{name}}}}}")),
                    at,
                    how: format!("the secret {} in {place}", secret.secret),
                });
            }
            Payload::Expression(_) | Payload::Literal(_) | Payload::Later => {
                for named in places(value.written.as_str()) {
                    let known = match &value.payload {
                        Payload::Later => ", of which nothing says whether it is secret",
                        _ => "",
                    };
                    let name = format!("{{{{{}}}}}", named.name);
                    if uses.iter().any(|one| one.name == name && one.at == at) {
                        continue;
                    }
                    uses.push(Use {
                        name,
                        at: at.clone(),
                        how: format!("named value in {place}{known}"),
                    });
                }
            }
        }
    }
}
