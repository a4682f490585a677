//! Where a grant lets a secret go: routes, methods, paths.

use http::Method;
use keyward_names::RouteName;
use toml::Spanned;
use toml::de::DeValue;

use super::fields::{Fields, accept, article, text};
use super::grant::Destination;
use super::parse::GrantReader;
use super::path::PathTemplate;
use crate::{Class, Use};

impl GrantReader<'_, '_, '_> {
    /// Where the secret may go. Empty for uses that go nowhere.
    pub(super) fn destinations(&mut self, use_: Use) -> Option<Vec<Destination>> {
        let goes_out = matches!(
            use_,
            Use::Attach
                | Use::SignRequest
                | Use::Present
                | Use::JwsSign
                | Use::Sas
                | Use::Presign
                | Use::Query
                | Use::Token
        );
        // A token that the policy gets need not be sent by the host.
        let may_stay = use_ == Use::JwsSign && self.fields.key("returns").is_some();
        if !goes_out || (may_stay && self.fields.key("to").is_none()) {
            return Some(Vec::new());
        }
        let example = match use_ {
            Use::Query => "to = [{ route = \"customers-db\" }]",
            _ => "to = [{ route = \"billing\", methods = [\"GET\"], paths = [\"/v1/charges\"] }]",
        };
        let what = format!("a grant of {:?}", use_.as_str());
        self.fields.need("to", &what, example, self.problems);
        let values = self.fields.array("to", "tables", self.problems)?;
        if values.value.is_empty() {
            let (message, help) = (
                "\"to\" names no destination",
                format!("for example: {example}"),
            );
            self.problems.add(values.span, message, "empty", help);
            return None;
        }
        if use_ == Use::Query && values.value.len() > 1 {
            let help = "write one grant for each database".to_owned();
            let message = "a grant of \"query\" names one route";
            self.problems
                .add(values.span, message, "more than one", help);
            return None;
        }
        let mut destinations = Some(Vec::new());
        for value in &values.value {
            // Read every one, so that each reports what is wrong with it.
            match (self.destination(use_, value), &mut destinations) {
                (Some(destination), Some(all)) => all.push(destination),
                (None, _) => destinations = None,
                (Some(_), None) => {}
            }
        }
        destinations
    }

    fn destination(&mut self, use_: Use, value: &Spanned<DeValue<'_>>) -> Option<Destination> {
        let DeValue::Table(table) = value.get_ref() else {
            self.problems.add(
                value.span(),
                format!(
                    "a destination must be a table, not {}",
                    article(value.get_ref())
                ),
                "not a table",
                "for example: { route = \"billing\", paths = [\"/v1/charges\"] }".to_owned(),
            );
            return None;
        };
        let fields = Fields::new(table, value.span());
        fields.only(
            "a destination",
            &["route", "methods", "paths"],
            self.problems,
        );
        let example = "route = \"billing\"";
        let route = fields
            .needed("route", "a destination", example, self.problems)
            .and_then(|found| accept(found, RouteName::parse, self.problems));
        if use_ == Use::Query {
            self.only_a_route(&fields);
        }
        let methods = self.methods(&fields);
        let paths = self.paths(&fields, use_);
        Some(Destination {
            route: route?.value,
            methods: methods?,
            paths: paths?,
        })
    }

    /// A query has no method and no path.
    fn only_a_route(&mut self, fields: &Fields<'_, '_>) {
        for key in ["methods", "paths"] {
            if let Some(span) = fields.key(key) {
                let message = format!("{key:?} has no meaning for the use \"query\"");
                let help = "name the route of the database, and nothing else".to_owned();
                self.problems.add(span, message, "remove this", help);
            }
        }
    }

    fn methods(&mut self, fields: &Fields<'_, '_>) -> Option<Vec<Method>> {
        if fields.key("methods").is_none() {
            return Some(Vec::new());
        }
        let values = fields.array("methods", "texts", self.problems)?;
        if values.value.is_empty() {
            self.problems.add(
                values.span,
                "\"methods\" names no method",
                "empty",
                "leave it out to allow every method but CONNECT and TRACE".to_owned(),
            );
            return None;
        }
        let (mut methods, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let Some(found) = text(value, "a method", self.problems) else {
                complete = false;
                continue;
            };
            let is_upper = found
                .value
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b == b'-');
            let method = Method::from_bytes(found.value.as_bytes()).ok();
            match method.filter(|_| is_upper) {
                Some(Method::CONNECT | Method::TRACE) => {
                    let message = format!("{} never carries a secret", found.value);
                    let help = "remove it; it is always refused".to_owned();
                    self.problems.add(found.span, message, "not allowed", help);
                    complete = false;
                }
                Some(method) => methods.push(method),
                None => {
                    let help =
                        "methods are upper case: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
                    let message = format!("not a method: {:?}", found.value);
                    self.problems
                        .add(found.span, message, "not valid", help.to_owned());
                    complete = false;
                }
            }
        }
        complete.then_some(methods)
    }

    fn paths(&mut self, fields: &Fields<'_, '_>, use_: Use) -> Option<Vec<PathTemplate>> {
        let example = "paths = [\"/v1/charges\", \"/v1/refunds/{id}\"]";
        if fields.key("paths").is_none() {
            // A proof is good for the one request; whatever else is not.
            if use_.class() == Class::A {
                return Some(Vec::new());
            }
            let what = format!("a destination of {:?}", use_.as_str());
            fields.need("paths", &what, example, self.problems);
            return None;
        }
        let values = fields.array("paths", "texts", self.problems)?;
        if values.value.is_empty() {
            let help = format!("for example: {example}");
            self.problems
                .add(values.span, "\"paths\" names no path", "empty", help);
            return None;
        }
        let (mut paths, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let path = text(value, "a path", self.problems)
                .and_then(|found| accept(found, PathTemplate::parse, self.problems));
            match path {
                Some(path) => paths.push(path.value),
                None => complete = false,
            }
        }
        complete.then_some(paths)
    }
}
