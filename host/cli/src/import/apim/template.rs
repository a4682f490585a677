//! From a file to resources: templates with nested ones in them, and the lists
//! that Azure's commands and its REST interface print.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::evaluate::{Cloud, Known, Parameter, Scope, Unknown};
use super::json::{given, member};
use crate::exit::Failure;

/// How many templates may stand within each other.
const MAX_NESTING: usize = 8;
/// How many copies of a resource there may be (Azure Resource Manager, "Template
/// limits").
const MAX_COPIES: u64 = 800;
/// How many resources are looked at.
const MAX_RESOURCES: usize = 20_000;
/// What is API Management's.
const PROVIDER: &str = "microsoft.apimanagement/service";

/// A resource, with what it says worked out as far as it can be.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// Its type in lower case, after `microsoft.apimanagement/service/`; empty for
    /// the service itself.
    pub(super) kind: String,
    /// The last part of its name, if that is known.
    pub(super) name: Result<String, Unknown>,
    /// Where it stands in the file: a path as `jq` takes it.
    pub(super) at: String,
    /// What it says, each member worked out by itself.
    properties: Member,
}

/// A part of what a resource says.
#[derive(Clone, Debug)]
enum Member {
    /// Its members, by their names as they are written.
    Object(BTreeMap<String, Member>),
    /// A value that is no object, or why it is not known. With whether it is an
    /// expression, which is not the value itself.
    Value(Result<Known, Unknown>, bool),
}

/// A part of a resource: where it is and what is there.
#[derive(Clone, Debug)]
pub(super) struct Part<'r> {
    member: Option<&'r Member>,
    /// Where it stands in the file.
    pub(super) at: String,
}

/// A text of a template.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// The text.
    pub(super) text: String,
    /// A secure parameter is in it.
    pub(super) secure: bool,
    /// It stands in the file as it is: `jq` can read it there.
    pub(super) as_written: bool,
}

impl Resource {
    /// A part of what it says, by the names that lead there.
    pub(super) fn part(&self, path: &[&str]) -> Part<'_> {
        let mut part = Part {
            member: Some(&self.properties),
            at: self.at.clone(),
        };
        for name in path {
            part = part.part(name);
        }
        part
    }
}

impl<'r> Part<'r> {
    /// A part of this part.
    pub(super) fn part(&self, name: &str) -> Part<'r> {
        let found = match self.member {
            Some(Member::Object(members)) => members
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(key, member)| (key.as_str(), member)),
            _ => None,
        };
        Part {
            at: format!("{}{}", self.at, step(found.map_or(name, |(key, _)| key))),
            member: found.map(|(_, member)| member),
        }
    }

    /// The parts of this part, by name.
    pub(super) fn parts(&self) -> Vec<(String, Part<'r>)> {
        match self.member {
            Some(Member::Object(members)) => members
                .keys()
                .map(|name| (name.clone(), self.part(name)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether there is nothing, or `null`, or nothing in it.
    pub(super) fn is_none(&self) -> bool {
        match self.member {
            None => true,
            Some(Member::Object(members)) => members.is_empty(),
            Some(Member::Value(Ok(known), _)) => match &known.value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
                _ => false,
            },
            Some(Member::Value(Err(_), _)) => false,
        }
    }

    /// The value, if it is known. `None`: there is none.
    pub(super) fn value(&self) -> Option<Result<Known, Unknown>> {
        match self.member? {
            Member::Value(value, _) => Some(value.clone()),
            Member::Object(_) => Some(Err(Unknown::Member)),
        }
        .filter(|value| !matches!(value, Ok(known) if known.value.is_null()))
    }

    /// The text, if there is one and it is known.
    pub(super) fn text(&self) -> Option<Result<Text, Unknown>> {
        let as_written = matches!(self.member, Some(Member::Value(_, false)));
        Some(match self.value()? {
            Ok(Known {
                value: Value::String(text),
                secure,
            }) => Ok(Text {
                text,
                secure,
                as_written,
            }),
            Ok(_) => Err(Unknown::Member),
            Err(unknown) => Err(unknown),
        })
    }

    /// The texts of a list, or a text by itself.
    pub(super) fn texts(&self) -> Option<Result<Vec<Text>, Unknown>> {
        let as_written = matches!(self.member, Some(Member::Value(_, false)));
        let known = match self.value()? {
            Ok(known) => known,
            Err(unknown) => return Some(Err(unknown)),
        };
        let text = |value: Value| match value {
            Value::String(text) => Ok(Text {
                text,
                secure: known.secure,
                as_written,
            }),
            _ => Err(Unknown::Member),
        };
        Some(match known.value {
            Value::Array(items) => items.into_iter().map(text).collect(),
            other => text(other).map(|text| vec![text]),
        })
    }

    /// Whether it says `true`.
    pub(super) fn is_true(&self) -> Option<Result<bool, Unknown>> {
        Some(match self.value()? {
            Ok(known) => known.value.as_bool().ok_or(Unknown::Member),
            Err(unknown) => Err(unknown),
        })
    }
}

/// What was found besides resources.
#[derive(Default)]
pub(super) struct Found {
    /// The resources of API Management, in the file's order.
    pub(super) resources: Vec<Resource>,
    /// Places that were left out, and why.
    pub(super) left_out: Vec<(String, String)>,
    /// The other types that there are.
    pub(super) others: BTreeSet<String>,
}

/// Finds the resources of a file.
///
/// Errors: it is neither a template nor a list of resources.
pub(super) fn resources(
    file: &Value,
    parameters: &BTreeMap<String, Parameter>,
    steps: &Cell<u32>,
    cloud: Option<Cloud>,
) -> Result<Found, Failure> {
    let mut walk = Walk {
        steps,
        cloud,
        found: Found::default(),
        full: false,
        seen: 0,
    };
    let list = file
        .as_array()
        .or_else(|| member(file, "value")?.as_array());
    if let Some(list) = list {
        let scope = Scope::of_texts(steps);
        let root = if file.is_array() { "" } else { ".value" };
        for (index, resource) in list.iter().enumerate() {
            walk.listed(resource, format!("{root}[{index}]"), &scope);
        }
        return Ok(walk.found);
    }
    if member(file, "resources").is_none() {
        // What APIM's extractors write: one resource in a file.
        if member(file, "type").and_then(Value::as_str).is_some() {
            walk.listed(file, String::new(), &Scope::of_texts(steps));
            return Ok(walk.found);
        }
        return Err(Failure::new(
            "this is no template: it has no `resources`, and it is no list of resources",
        )
        .help(
            "export one in the portal under \"Export template\", or have `az bicep build` make one",
        ));
    }
    let scope = Scope::new(file, parameters, steps, cloud);
    walk.template(file, "", &scope, 0);
    Ok(walk.found)
}

/// Reads a file of parameters: `{parameters: {name: {value}}}`, or the names at the
/// top.
pub(super) fn parameters(
    file: &Value,
    steps: &Cell<u32>,
) -> Result<BTreeMap<String, Parameter>, Failure> {
    let given = member(file, "parameters").unwrap_or(file);
    if !given.is_object() {
        return Err(Failure::new("the file of parameters has no `parameters`"));
    }
    Ok(Scope::of_texts(steps).parameters_of(Some(given)))
}

struct Walk<'s> {
    steps: &'s Cell<u32>,
    cloud: Option<Cloud>,
    found: Found,
    full: bool,
    /// How many have been looked at.
    seen: usize,
}

impl<'s> Walk<'s> {
    fn leave_out(&mut self, at: &str, why: impl Into<String>) {
        self.found.left_out.push((at.to_owned(), why.into()));
    }

    fn template(&mut self, template: &Value, at: &str, scope: &Scope<'_>, depth: usize) {
        let at = format!("{at}.resources");
        match member(template, "resources") {
            Some(Value::Array(resources)) => {
                for (index, resource) in resources.iter().enumerate() {
                    self.resource(resource, format!("{at}[{index}]"), scope, None, depth);
                }
            }
            // languageVersion 2.0: by their symbolic names.
            Some(Value::Object(resources)) => {
                for (name, resource) in resources {
                    self.resource(resource, format!("{at}{}", step(name)), scope, None, depth);
                }
            }
            _ => {}
        }
    }

    /// A resource, once for each of its copies. `parent` is the type around it.
    fn resource(
        &mut self,
        resource: &Value,
        at: String,
        scope: &Scope<'_>,
        parent: Option<&str>,
        depth: usize,
    ) {
        if depth > MAX_NESTING {
            return self.leave_out(
                &at,
                format!("it stands within more than {MAX_NESTING} others"),
            );
        }
        let Some(kind) = member(resource, "type").and_then(Value::as_str) else {
            return self.leave_out(&at, "it has no type");
        };
        let kind = match parent {
            Some(parent) => format!("{parent}/{}", kind.to_ascii_lowercase()),
            None => kind.to_ascii_lowercase(),
        };
        // Something that is there already and is only named.
        let existing = member(resource, "existing").and_then(Value::as_bool) == Some(true);
        let Some(copy) = given(resource, "copy") else {
            self.copy(resource, &at, scope, &kind, existing, depth);
            return;
        };
        let count = member(copy, "count").map(|count| scope.value(count));
        let count = match count {
            Some(Ok(known)) => known.value.as_u64().filter(|count| *count <= MAX_COPIES),
            _ => None,
        };
        let Some(count) = count else {
            return self.leave_out(&at, "how often it is copied is not known");
        };
        for number in 0..u32::try_from(count).unwrap_or(0) {
            if self.full {
                break;
            }
            scope.set_copy(Some(number));
            self.copy(resource, &at, scope, &kind, existing, depth);
        }
        scope.set_copy(None);
    }

    fn copy(
        &mut self,
        resource: &Value,
        at: &str,
        scope: &Scope<'_>,
        kind: &str,
        existing: bool,
        depth: usize,
    ) {
        self.seen = self.seen.saturating_add(1);
        if self.seen > MAX_RESOURCES {
            if !self.full {
                self.full = true;
                self.leave_out(at, format!("only {MAX_RESOURCES} resources are looked at"));
            }
            return;
        }
        match given(resource, "condition").map(|condition| scope.value(condition)) {
            Some(Ok(Known {
                value: Value::Bool(false),
                ..
            })) => return,
            Some(Err(unknown)) => {
                self.leave_out(
                    at,
                    format!("whether it is deployed is not known: {unknown}; it is taken in"),
                );
            }
            _ => {}
        }
        if kind == "microsoft.resources/deployments" {
            self.nested(resource, at, scope, depth);
        } else if kind == PROVIDER || kind.starts_with(&format!("{PROVIDER}/")) {
            if !existing {
                self.take(
                    resource,
                    at,
                    scope,
                    kind,
                    member(resource, "properties"),
                    "properties",
                );
            }
        } else {
            self.found.others.insert(kind.to_owned());
        }
        if let Some(Value::Array(children)) = member(resource, "resources") {
            for (index, child) in children.iter().enumerate() {
                let child_at = format!("{at}.resources[{index}]");
                // A child can have its whole type.
                let whole = member(child, "type").and_then(Value::as_str);
                let parent = Some(kind).filter(|_| !whole.is_some_and(|kind| kind.contains('.')));
                self.resource(child, child_at, scope, parent, depth.saturating_add(1));
            }
        }
    }

    /// A deployment within a deployment.
    fn nested(&mut self, resource: &Value, at: &str, scope: &Scope<'_>, depth: usize) {
        let properties = member(resource, "properties").unwrap_or(&Value::Null);
        let Some(template) = given(properties, "template") else {
            return self.leave_out(
                at,
                "its template is in another place: export that, or have `az bicep build` put it in",
            );
        };
        let at = format!("{at}.properties.template");
        let inner = member(properties, "expressionEvaluationOptions")
            .and_then(|options| member(options, "scope"))
            .and_then(Value::as_str)
            .is_some_and(|scope| scope.eq_ignore_ascii_case("inner"));
        if inner {
            let given = scope.parameters_of(member(properties, "parameters"));
            let scope = Scope::new(template, &given, self.steps, self.cloud);
            self.template(template, &at, &scope, depth.saturating_add(1));
        } else {
            self.template(template, &at, scope, depth.saturating_add(1));
        }
    }

    /// One of a list: flat, or with `properties`.
    fn listed(&mut self, resource: &Value, at: String, scope: &Scope<'_>) {
        let kind = member(resource, "type")
            .and_then(Value::as_str)
            .map(str::to_ascii_lowercase);
        match kind {
            Some(kind) if kind == PROVIDER || kind.starts_with(&format!("{PROVIDER}/")) => {
                match given(resource, "properties") {
                    Some(properties) => {
                        self.take(resource, &at, scope, &kind, Some(properties), "properties")
                    }
                    None => self.take(resource, &at, scope, &kind, Some(resource), ""),
                }
            }
            Some(kind) => {
                self.found.others.insert(kind);
            }
            None => self.leave_out(&at, "it has no type"),
        }
    }

    fn take(
        &mut self,
        resource: &Value,
        at: &str,
        scope: &Scope<'_>,
        kind: &str,
        properties: Option<&Value>,
        under: &str,
    ) {
        let name = match member(resource, "name").map(|name| scope.value(name)) {
            Some(Ok(Known {
                value: Value::String(name),
                ..
            })) => Ok(name.rsplit('/').next().unwrap_or_default().to_owned()),
            // The service's name is often not known, and its part is not needed.
            Some(Err(unknown)) => last_part(member(resource, "name")).ok_or(unknown),
            _ => Err(Unknown::Member),
        };
        let kind = kind
            .strip_prefix(PROVIDER)
            .unwrap_or(kind)
            .trim_start_matches('/');
        let under = if under.is_empty() {
            String::new()
        } else {
            step(under)
        };
        self.found.resources.push(Resource {
            kind: kind.to_owned(),
            name,
            at: format!("{at}{under}"),
            properties: properties.map_or(Member::Object(BTreeMap::new()), |properties| {
                worked_out(properties, scope)
            }),
        });
    }
}

/// `[concat(parameters('unknown'), '/shop')]`: the last part is written there.
fn last_part(name: Option<&Value>) -> Option<String> {
    let text = name?.as_str()?.strip_suffix("')]")?;
    let (_, last) = text.rsplit_once('\'')?;
    let (_, last) = last.rsplit_once('/')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (!last.is_empty() && last.chars().all(plain)).then(|| last.to_owned())
}

/// Each member by itself, so that one that is not known does not hide the others.
fn worked_out(value: &Value, scope: &Scope<'_>) -> Member {
    match value {
        Value::Object(members) => {
            let members = members.iter();
            Member::Object(
                members
                    .map(|(key, value)| (key.clone(), worked_out(value, scope)))
                    .collect(),
            )
        }
        other => {
            let known = scope.value(other);
            // An expression that gives an object has members too.
            match known {
                Ok(Known {
                    value: Value::Object(members),
                    secure,
                }) => Member::Object(
                    members
                        .into_iter()
                        .map(|(key, value)| (key, given_member(value, secure)))
                        .collect(),
                ),
                known => {
                    let as_written = matches!(&known, Ok(known) if known.value == *other);
                    Member::Value(known, !as_written)
                }
            }
        }
    }
}

fn given_member(value: Value, secure: bool) -> Member {
    match value {
        Value::Object(members) => Member::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, given_member(value, secure)))
                .collect(),
        ),
        value => Member::Value(Ok(Known { value, secure }), true),
    }
}

/// A step of a path, as `jq` takes it; in ASCII, whatever the name.
pub(super) fn step(name: &str) -> String {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
    {
        return format!(".{name}");
    }
    let mut quoted = String::new();
    for c in Value::from(name).to_string().chars() {
        match c.is_ascii() && !c.is_control() {
            true => quoted.push(c),
            false => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    format!("[{quoted}]")
}
