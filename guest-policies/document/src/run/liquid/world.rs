//! The exchange, as templates see it.

use std::sync::Arc;

use keyward_document_program::statements::Element;
use keyward_document_program::{Member, Type};
use keyward_policy::Side;

use super::{Item, Live, World};
use crate::evaluate::{Budget, Context as _, Exception, ListsOf, Outcome, UrlOf, Value, json_read};
use crate::run::Runner;
use crate::run::context::Scope;
use crate::run::error::Stop;
use crate::run::state::BodyState;

struct Exchange<'a, 'e> {
    scope: Scope<'a, 'e>,
    side: Side,
}

impl Runner<'_, '_> {
    /// The text that the template with that number makes of the message.
    pub(crate) fn rendered(
        &mut self,
        element: &Element,
        id: keyward_document_program::statements::TextId,
    ) -> Result<String, Stop> {
        let literals = self.literals;
        let Some(template) = literals.template(id) else {
            return Ok(String::new());
        };
        let mut budget = self.budget.clone();
        let world = Exchange {
            scope: self.scope(),
            side: self.side(),
        };
        let rendered = template.render(&world, &mut budget);
        self.budget = budget;
        rendered.map_err(|exception| self.throws(element, exception))
    }
}

/// Whether a media type is `what`, or ends in `+what`.
fn is_type(media: &str, what: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    let suffix = subtype
        .rsplit_once('+')
        .map_or(subtype, |(_, suffix)| suffix);
    suffix.eq_ignore_ascii_case(what)
}

fn pairs(of: Vec<(String, String)>) -> Vec<(Arc<str>, Item)> {
    of.into_iter()
        .map(|(name, value)| (name.into(), Item::text(&value)))
        .collect()
}

impl Exchange<'_, '_> {
    fn text(&self, member: Member) -> Item {
        self.scope
            .text(member)
            .map_or(Item::Nil, |text| Item::text(&text))
    }

    fn header(&self, side: Side, name: &str) -> Item {
        let of = match side {
            Side::Request => ListsOf::Request,
            Side::Response => ListsOf::Response,
        };
        match self.scope.list(of, name) {
            Some(values) => Item::text(&values.join(",")),
            None => Item::Nil,
        }
    }

    fn url(&self, of: UrlOf, name: &str) -> Item {
        let Some(url) = self.scope.url(of) else {
            return Item::Nil;
        };
        match name {
            "Scheme" => Item::text(&url.scheme),
            "Host" => Item::text(&url.host),
            "Port" => Item::Int(i64::from(url.port)),
            "Path" => Item::text(&url.path),
            "QueryString" => Item::text(&url.query),
            "Query" => Item::Live(match of {
                UrlOf::Original => Live::OriginalQuery,
                _ => Live::RequestQuery,
            }),
            _ => Item::Nil,
        }
    }

    fn query(&self, of: UrlOf) -> Vec<(String, String)> {
        let query = self.scope.url(of).unwrap_or_default().query;
        crate::run::destination::parameters(query.strip_prefix('?').unwrap_or(&query)).collect()
    }
}

impl World for Exchange<'_, '_> {
    fn body(&self, budget: &mut Budget) -> Outcome<Item> {
        if self.scope.state.body(self.side).get() != BodyState::There {
            return Ok(Item::Nil);
        }
        let body = self
            .scope
            .bodies
            .read(self.scope.exchange, self.side)
            .map_err(|_| Exception::Memory)?;
        let Some(body) = body.filter(|body| !body.is_empty()) else {
            return Ok(Item::Nil);
        };
        let message = self.scope.exchange.message(self.side);
        let media = message.header_text("content-type").unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        budget.bytes(text.len())?;
        if is_type(&media, "json") {
            let token = json_read::parse_container(budget, &text)?;
            return Item::json(budget, &token);
        }
        if is_type(&media, "xml") {
            return Err(Exception::NotSupported);
        }
        Ok(Item::text(&text))
    }

    fn member(&self, of: Live, name: &str, budget: &mut Budget) -> Outcome<Item> {
        Ok(match (of, name) {
            (Live::Context, "Request") => Item::Live(Live::Request),
            (Live::Context, "Response") if self.scope.has(Type::IResponse) => {
                Item::Live(Live::Response)
            }
            (Live::Context, "Variables") => Item::Live(Live::Variables),
            (Live::Request, "Url") => Item::Live(Live::RequestUrl),
            (Live::Request, "OriginalUrl") => Item::Live(Live::OriginalUrl),
            (Live::Request, "Method") => self.text(Member::RequestMethod),
            (Live::Request, "OriginalMethod") => Item::text(&self.scope.state.original.method),
            (Live::Request, "IpAddress") => self.text(Member::RequestIpAddress),
            (Live::Request, "HasBody") => Item::Bool(self.scope.has(Type::IMessageBody)),
            (Live::Request, "MatchedParameters") => Item::Live(Live::Parameters),
            (Live::Request, "Headers") => Item::Live(Live::RequestHeaders),
            (Live::Response, "StatusCode") => Item::Int(i64::from(self.scope.status())),
            (Live::Response, "StatusReason") => self.text(Member::ResponseStatusReason),
            (Live::Response, "Headers") => Item::Live(Live::ResponseHeaders),
            (Live::RequestUrl, name) => self.url(UrlOf::Request, name),
            (Live::OriginalUrl, name) => self.url(UrlOf::Original, name),
            (Live::RequestHeaders, name) => self.header(Side::Request, name),
            (Live::ResponseHeaders, name) => self.header(Side::Response, name),
            (Live::Parameters, name) => self
                .scope
                .parameter(name)
                .map_or(Item::Nil, |value| Item::text(&value)),
            (Live::Variables, name) => {
                let value = self.scope.variable(name)?.unwrap_or(Value::Null);
                Item::of(budget, &value)?
            }
            (Live::RequestQuery | Live::OriginalQuery, name) => {
                let of = match of {
                    Live::OriginalQuery => UrlOf::Original,
                    _ => UrlOf::Request,
                };
                let all = self.query(of);
                let values: Vec<&str> = all
                    .iter()
                    .filter(|(there, _)| there.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.as_str())
                    .collect();
                match values.as_slice() {
                    [] => Item::Nil,
                    values => Item::text(&values.join(",")),
                }
            }
            _ => Item::Nil,
        })
    }

    fn entries(&self, of: Live, budget: &mut Budget) -> Outcome<Vec<(Arc<str>, Item)>> {
        let entries = match of {
            Live::RequestHeaders | Live::ResponseHeaders => {
                let side = match of {
                    Live::RequestHeaders => Side::Request,
                    _ => Side::Response,
                };
                let names = self.scope.exchange.message(side).header_names();
                names
                    .into_iter()
                    .map(|name| (Arc::from(&*name), self.header(side, &name)))
                    .collect()
            }
            Live::Parameters => pairs(self.scope.matched()),
            Live::RequestQuery => pairs(self.query(UrlOf::Request)),
            Live::OriginalQuery => pairs(self.query(UrlOf::Original)),
            _ => Vec::new(),
        };
        budget.bytes(entries.len() * 32)?;
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::is_type;

    #[test]
    fn a_media_type_says_how_a_body_is_read() {
        for json in [
            "application/json",
            "application/problem+JSON; charset=utf-8",
            "text/json",
        ] {
            assert!(is_type(json, "json"), "{json}");
        }
        for other in ["", "text/plain", "application/jsonp", "application/x-json2"] {
            assert!(!is_type(other, "json"), "{other}");
        }
        assert!(is_type("application/soap+xml", "xml"));
    }
}
