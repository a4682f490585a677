//! What policy documents can say, as Markdown: policies, expressions, and what can be
//! wrong, from the tables that the reader and the compiler go by.

use std::fmt::Write as _;

use keyward_document::CODES;
use keyward_document::policies::{
    self, Attribute, Content, Element, Group, Kind, Once, Policy, Scope, Status,
};
use keyward_document_program::Type;
use keyward_document_program::kinds::Class;
use keyward_document_program::members::{Form, Info, MEMBERS, Tier};

/// What stands on top of each page.
const NOTE: &str = "<!-- Written by `cargo xtask docs` from the tables of host/document. -->\n\n";

/// The pages by their file names.
pub(super) fn pages() -> Vec<(String, String)> {
    vec![
        ("policies.md".to_owned(), policies_page()),
        ("expressions.md".to_owned(), expressions_page()),
        ("problems.md".to_owned(), problems_page()),
    ]
}

fn policies_page() -> String {
    let mut page = format!(
        "{NOTE}# Policies\n\nEvery policy of Azure API Management, and what becomes of it \
         here. *supported*: as there. *different*: supported, with the differences that \
         its section lists. *not supported*: an error that says what to use instead.\n\n\
         | Policy | | Sections | Scopes |\n|---|---|---|---|\n"
    );
    let mut all: Vec<&Policy> = policies::all().collect();
    all.sort_by_key(|policy| policy.element.name);
    for policy in &all {
        let name = policy.element.name;
        let (name, status) = match policy.status {
            Status::NotSupported { instead } => {
                (format!("`{name}`"), format!("not supported: use {instead}"))
            }
            Status::PartOne if differs(&policy.element) => {
                (format!("[`{name}`](#{name})"), "different".to_owned())
            }
            Status::PartOne => (format!("[`{name}`](#{name})"), "supported".to_owned()),
        };
        let (status, sections, scopes) = (cell(&status), sections(policy), scopes(policy));
        let _ = writeln!(page, "| {name} | {status} | {sections} | {scopes} |");
    }
    page.push_str(
        "\nIn the tables below, *expression* says whether `@(…)` and `@{…}` may be the \
         whole value, *secret* whether a secret named value may be. A bold name has to be \
         there. Named values stand in any of them.\n",
    );
    for policy in all {
        if policy.status == Status::PartOne {
            policy_section(&mut page, policy);
        }
    }
    page
}

fn differs(element: &Element) -> bool {
    let inside = match element.content {
        Content::Children(children) | Content::Ordered(children) => children
            .iter()
            .any(|child| child.policy().is_none() && differs(child.element())),
        _ => false,
    };
    inside || !element.differs.is_empty()
}

fn policy_section(page: &mut String, policy: &Policy) {
    let element = &policy.element;
    let _ = write!(page, "\n## `{}`\n\n", element.name);
    let _ = write!(page, "In {}", sections(policy));
    if policy.scopes.iter().count() < Scope::ALL.len() {
        let _ = write!(page, "; in documents of the scopes {}", scopes(policy));
    }
    match policy.once {
        Once::Any => {}
        Once::Section => page.push_str("; once in a section"),
        Once::Document => page.push_str("; once in a document"),
    }
    page.push_str(".\n");
    let mut rows = Vec::new();
    let mut sentences = Vec::new();
    rows_of(element, "", &mut rows, &mut sentences);
    if !rows.is_empty() {
        page.push_str("\n| | Takes | Default | Expression | Secret |\n|---|---|---|---|---|\n");
        for row in rows {
            let _ = writeln!(page, "{row}");
        }
    }
    for sentence in sentences {
        let _ = write!(page, "\n{sentence}\n");
    }
    list(page, "As in API Management", element.notes);
    list(page, "Different", element.differs);
}

fn list(page: &mut String, title: &str, lines: &[&str]) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(page, "\n{title}:\n\n");
    for line in lines {
        let _ = writeln!(page, "- {}", code_elements(line));
    }
}

/// Markdown would take an element for HTML.
fn code_elements(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('<') {
        let Some(length) = rest[open..].find('>') else {
            break;
        };
        let end = open + length + 1;
        let _ = write!(out, "{}`{}`", &rest[..open], &rest[open..end]);
        rest = &rest[end..];
    }
    out + rest
}

/// The attributes, the text and the parts of an element; what goes together.
fn rows_of(element: &Element, prefix: &str, rows: &mut Vec<String>, sentences: &mut Vec<String>) {
    for attribute in element.attributes {
        rows.push(attribute_row(prefix, attribute));
    }
    let of = match prefix {
        "" => String::new(),
        prefix => format!("`{}`: ", prefix.trim_end_matches('/')),
    };
    for group in element.groups {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        };
        sentences.push(match group {
            Group::One(all) => format!("{of}exactly one of {}.", names(all)),
            Group::AtMostOne(all) => format!("{of}at most one of {}.", names(all)),
            Group::Some(all) => format!("{of}at least one of {}.", names(all)),
            Group::With(first, second) => format!("{of}`{second}` only with `{first}`."),
        });
    }
    match element.content {
        Content::Text(text) => {
            let (takes, secret) = (takes(text.kind), yes(text.secret));
            let expression = yes(text.expression);
            let name = match prefix {
                "" => "its text".to_owned(),
                prefix => format!("`<{}>`", prefix.trim_end_matches('/')),
            };
            rows.push(format!("| {name} | {takes} | | {expression} | {secret} |"));
        }
        Content::Body => {
            rows.push("| its text | a body: text, markup or a `<value>` | | yes | |".to_owned())
        }
        Content::Statements => sentences.push(format!("{of}policies stand in it.")),
        Content::Only(names) => {
            let names: Vec<String> = names.iter().map(|name| format!("`<{name}>`")).collect();
            sentences.push(format!("{of}in it stand {}.", names.join(", ")));
        }
        Content::Children(children) | Content::Ordered(children) => {
            for child in children {
                let name = child.element().name;
                let often = match (child.min, child.max) {
                    (1, 1) => "once",
                    (0, 1) => "at most once",
                    (0, _) => "any number",
                    _ => "at least once",
                };
                match child.policy() {
                    Some(policy) => {
                        let refused = matches!(policy.status, Status::NotSupported { .. });
                        let status = if refused {
                            "not supported"
                        } else {
                            "the policy"
                        };
                        let link = if refused {
                            format!("`<{prefix}{name}>`")
                        } else {
                            format!("[`<{prefix}{name}>`](#{name})")
                        };
                        rows.push(format!("| {link} | {status}, {often} | | | |"));
                    }
                    None => {
                        let below = format!("{prefix}{name}/");
                        if !matches!(child.element().content, Content::Text(_)) {
                            rows.push(format!(
                                "| `<{prefix}{name}>` | an element, {often} | | | |"
                            ));
                        }
                        rows_of(child.element(), &below, rows, sentences);
                    }
                }
            }
        }
        Content::Nothing | Content::Unread => {}
    }
}

fn attribute_row(prefix: &str, attribute: &Attribute) -> String {
    let name = match prefix {
        "" => format!("`{}`", attribute.name),
        prefix => format!("`<{}>` `{}`", prefix.trim_end_matches('/'), attribute.name),
    };
    let name = if attribute.required {
        format!("**{name}**")
    } else {
        name
    };
    let default = match attribute.default {
        Some(default) => format!("`{default}`"),
        None => String::new(),
    };
    let (expression, secret) = (yes(attribute.expression), yes(attribute.secret));
    let takes = takes(attribute.kind);
    format!("| {name} | {takes} | {default} | {expression} | {secret} |")
}

fn takes(kind: Kind) -> String {
    match kind {
        Kind::Text => "any text".to_owned(),
        Kind::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        other => cell(&other.expected()),
    }
}

fn yes(it_is: bool) -> &'static str {
    if it_is { "yes" } else { "" }
}

fn cell(text: &str) -> String {
    code_elements(text).replace('|', "\\|")
}

fn sections(policy: &Policy) -> String {
    let all: Vec<&str> = policy.sections.iter().map(|phase| phase.as_str()).collect();
    match all.len() {
        0 => "resolvers".to_owned(),
        4 => "all sections".to_owned(),
        _ => all.join(", "),
    }
}

fn scopes(policy: &Policy) -> String {
    let all: Vec<&str> = policy.scopes.iter().map(Scope::as_str).collect();
    if all.len() == Scope::ALL.len() {
        "all".to_owned()
    } else {
        all.join(", ")
    }
}

fn expressions_page() -> String {
    let mut page = format!(
        "{NOTE}# Expressions\n\nAll that `@(…)` and `@{{…}}` may name. What is not here is \
         an error that names it, and says what is there instead. The tier says how common \
         a member is in documents: T0 variables, headers, texts, conditions; T1 answers, \
         bodies, JSON; T2 statements, dates, GUIDs, encodings, tokens. Results are those \
         of .NET, with Newtonsoft.Json; `cargo xtask oracle` compares them.\n\n\
         `T` is what stands between `<` and `>`. `T[]` after `params` is any number of \
         arguments. Every type has the members of `object`.\n"
    );
    let mut receivers: Vec<Type> = Vec::new();
    for info in MEMBERS {
        if !receivers.contains(&info.receiver) {
            receivers.push(info.receiver);
        }
    }
    for receiver in receivers {
        let _ = write!(page, "\n## `{}`\n\n", receiver.name());
        page.push_str("| Member | Gives | Tier |\n|---|---|---|\n");
        for info in MEMBERS.iter().filter(|info| info.receiver == receiver) {
            let tier = match info.tier {
                Tier::T0 => "T0",
                Tier::T1 => "T1",
                Tier::T2 => "T2",
            };
            let mark = if info.nullable { "?" } else { "" };
            let gives = format!("{}{mark}", info.gives.name());
            let _ = writeln!(page, "| `{}` | `{gives}` | {tier} |", written(info));
        }
    }
    page.push_str("\n## Constants\n\n| Type | |\n|---|---|\n");
    for of in Type::ALL.iter().filter(|of| !of.constants().is_empty()) {
        let names: Vec<String> = of
            .constants()
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let _ = writeln!(page, "| `{}` | {} |", of.name(), names.join(", "));
    }
    page
}

/// A member as C# writes it.
fn written(info: &Info) -> String {
    let receiver = info.receiver.name();
    let parameters: Vec<&str> = info.parameters.iter().map(|of| of.name()).collect();
    let arguments = parameters.join(", ");
    let name = info.name;
    match info.form {
        Form::Property => name.to_owned(),
        Form::Method if name == "set_Item" => match parameters.as_slice() {
            [key, value] => format!("[{key}] = {value}"),
            _ => name.to_owned(),
        },
        Form::Method => format!("{name}({arguments})"),
        Form::Static => format!("{receiver}.{name}"),
        Form::StaticMethod => format!("{receiver}.{name}({arguments})"),
        Form::Constructor if info.receiver.class() == Class::Static => name.to_owned(),
        Form::Constructor => format!("new {receiver}({arguments})"),
        Form::Indexer => format!("[{arguments}]"),
        Form::Generic => format!("{name}<T>({arguments})"),
        Form::Operator => parameters.join(&format!(" {name} ")),
    }
}

fn problems_page() -> String {
    let mut page = format!(
        "{NOTE}# Problems\n\nWhat can be wrong with a document. Codes stay as they are, \
         in texts, in JSON and as rules of SARIF; KD050 is a warning, all others are \
         errors.\n\n| Code | |\n|---|---|\n"
    );
    for (code, about) in CODES {
        let _ = writeln!(page, "| {code} | {about} |");
    }
    page
}
