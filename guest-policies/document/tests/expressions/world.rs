//! The request of `host/document/oracle/world.json`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use document::evaluate::{
    Budget, Context, DateKind, DateTime, Exception, ListsOf, Response, Url, UrlOf, Value,
};
use keyward_document_program::{Member, Type};
use serde_json::Value as Json;

pub(crate) struct World {
    json: Json,
    request: RefCell<Option<String>>,
    response: RefCell<Option<String>>,
    random: RefCell<u64>,
}

const EPOCH: i64 = 621_355_968_000_000_000;

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// The ticks of a date in UTC.
fn ticks(text: &str) -> i64 {
    let date: jiff::Timestamp = text.parse().unwrap();
    date.as_second() * 10_000_000 + EPOCH
}

/// Ticks as .NET's `yyyy-MM-ddTHH:mm:ss.fffffff`.
pub(crate) fn iso(ticks: i64) -> String {
    let since = ticks - EPOCH;
    let (seconds, rest) = (since.div_euclid(10_000_000), since.rem_euclid(10_000_000));
    let date = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(jiff::Span::new().seconds(seconds))
        .unwrap();
    format!("{}.{rest:07}", date.strftime("%Y-%m-%dT%H:%M:%S"))
}

impl World {
    pub(crate) fn new() -> Self {
        let json: Json =
            serde_json::from_str(include_str!("../../../../host/document/oracle/world.json"))
                .unwrap();
        Self {
            request: RefCell::new(json["request"]["body"].as_str().map(str::to_owned)),
            response: RefCell::new(json["response"]["body"].as_str().map(str::to_owned)),
            random: RefCell::new(0x1234_5678_9abc_def0),
            json,
        }
    }

    fn lists_of(&self, of: ListsOf) -> Vec<(String, String)> {
        let pairs = |json: &Json| {
            json.as_array()
                .unwrap()
                .iter()
                .map(|pair| (text(&pair[0]), text(&pair[1])))
                .collect()
        };
        match of {
            ListsOf::Request => pairs(&self.json["request"]["headers"]),
            ListsOf::Response => pairs(&self.json["response"]["headers"]),
            ListsOf::Query(of) => self.url_of(of)["lists"]
                .as_object()
                .unwrap()
                .iter()
                .flat_map(|(name, all)| {
                    all.as_array()
                        .unwrap()
                        .iter()
                        .map(|one| (name.clone(), text(one)))
                })
                .collect(),
        }
    }

    fn url_of(&self, of: UrlOf) -> &Json {
        match of {
            UrlOf::Request => &self.json["request"]["url"],
            UrlOf::Original => &self.json["request"]["original"],
            UrlOf::Service => &self.json["service"],
        }
    }
}

impl Context for World {
    fn text(&self, member: Member) -> Option<Arc<str>> {
        match member {
            Member::RequestMethod => Some(text(&self.json["request"]["method"]).into()),
            Member::RequestIpAddress => Some(text(&self.json["request"]["ip"]).into()),
            Member::ResponseStatusReason => Some(text(&self.json["response"]["reason"]).into()),
            other => self.json["texts"][format!("{other:?}")]
                .as_str()
                .map(Arc::from),
        }
    }

    fn has(&self, part: Type) -> bool {
        part != Type::IProduct
    }

    fn status(&self) -> u16 {
        u16::try_from(self.json["response"]["status"].as_u64().unwrap()).unwrap()
    }

    fn has_variable(&self, name: &str) -> bool {
        self.json["variables"].get(name).is_some()
    }

    fn variable(&self, name: &str) -> Result<Option<Value>, Exception> {
        let Some(json) = self.json["variables"].get(name) else {
            return Ok(None);
        };
        Ok(Some(match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(value) => Value::Int(i32::try_from(value.as_i64().unwrap()).unwrap()),
            Json::String(text) => Value::text(text),
            _ => {
                let (kind, value) = json.as_object().unwrap().iter().next().unwrap();
                match &**kind {
                    "long" => Value::Long(value.as_i64().unwrap()),
                    "double" => Value::Double(value.as_f64().unwrap()),
                    "guid" => Value::Guid(text(value).parse().unwrap()),
                    "date" => {
                        Value::DateTime(DateTime::new(ticks(&text(value)), DateKind::Utc).unwrap())
                    }
                    "json" => Value::parsed(&mut Budget::default(), &text(value)).unwrap(),
                    _ => Value::Response(Rc::new(Response::new(
                        u16::try_from(value["status"].as_u64().unwrap()).unwrap(),
                        value["reason"].as_str().unwrap(),
                        value["headers"]
                            .as_array()
                            .unwrap()
                            .iter()
                            .map(|pair| (text(&pair[0]), text(&pair[1])))
                            .collect(),
                        value["body"].as_str().map(|body| body.as_bytes().to_vec()),
                    ))),
                }
            }
        }))
    }

    fn variables(&self) -> usize {
        self.json["variables"].as_object().unwrap().len()
    }

    fn list(&self, of: ListsOf, name: &str) -> Option<Vec<Arc<str>>> {
        let found: Vec<Arc<str>> = self
            .lists_of(of)
            .into_iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.into())
            .collect();
        (!found.is_empty()).then_some(found)
    }

    fn lists(&self, of: ListsOf) -> usize {
        let mut names: Vec<String> = self
            .lists_of(of)
            .into_iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        self.json["request"]["parameters"][name]
            .as_str()
            .map(str::to_owned)
    }

    fn parameters(&self) -> usize {
        self.json["request"]["parameters"]
            .as_object()
            .unwrap()
            .len()
    }

    fn url(&self, of: UrlOf) -> Option<Url> {
        let url = self.url_of(of);
        Some(Url {
            scheme: text(&url["scheme"]),
            host: text(&url["host"]),
            port: u16::try_from(url["port"].as_u64().unwrap()).unwrap(),
            path: text(&url["path"]),
            query: text(&url["query"]),
        })
    }

    fn body(&self, of: Type, preserve: bool) -> Result<Option<Vec<u8>>, Exception> {
        let cell = if of == Type::IRequest {
            &self.request
        } else {
            &self.response
        };
        let body = cell.borrow().clone().ok_or(Exception::InvalidOperation)?;
        if !preserve {
            *cell.borrow_mut() = None;
        }
        Ok(Some(body.into_bytes()))
    }

    fn request_id(&self) -> u128 {
        let id: uuid::Uuid = text(&self.json["requestId"]).parse().unwrap();
        id.as_u128()
    }

    fn elapsed(&self) -> i64 {
        self.json["elapsed"].as_i64().unwrap()
    }

    fn timestamp(&self) -> i64 {
        ticks(&text(&self.json["timestamp"]))
    }

    fn now(&self) -> i64 {
        ticks("2026-05-06T07:08:09Z")
    }

    fn random(&self) -> Result<u64, Exception> {
        let mut state = self.random.borrow_mut();
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Ok(*state)
    }

    fn trace(&self, _: &str) {}
}
