//! `context` and what hangs on it.

use std::sync::Arc;

use keyward_document_program::{Member, Type};

use super::super::context::{ListsOf, UrlOf};
use super::super::{
    Context, Evaluator, Exception, Outcome, Value, casts, json, json_read, texts, tokens,
};
use super::Arguments;

pub(super) fn call(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    of: Option<Type>,
    arguments: Arguments<'_>,
) -> Option<Outcome> {
    request(evaluator, member, of, arguments).transpose()
}

fn request(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    of: Option<Type>,
    arguments: Arguments<'_>,
) -> Outcome<Option<Value>> {
    use Member as M;
    let context = evaluator.context;
    let part = |of: Type| {
        if context.has(of) {
            Value::Live(of)
        } else {
            Value::Null
        }
    };
    Ok(Some(match member {
        M::ContextVariables => Value::Live(Type::Variables),
        M::ContextRequest => Value::Live(Type::IRequest),
        M::ContextResponse => part(Type::IResponse),
        M::ContextLastError => part(Type::LastError),
        M::ContextUser => part(Type::IUser),
        M::ContextApi => part(Type::IApi),
        M::ContextOperation => part(Type::IOperation),
        M::ContextProduct => part(Type::IProduct),
        M::ContextSubscription => part(Type::ISubscription),
        M::ContextDeployment => part(Type::IDeployment),
        M::ContextRequestId => Value::Guid(uuid::Uuid::from_u128(context.request_id())),
        M::ContextElapsed => Value::Span(context.elapsed()),
        M::ContextTimestamp => {
            use super::super::dates::{DateTime, Kind};
            Value::DateTime(DateTime::new(context.timestamp(), Kind::Utc)?)
        }
        M::ContextTracing => Value::Bool(context.tracing()),
        M::ContextTrace => {
            context.trace(&arguments.text_or_null(1)?.unwrap_or_default());
            Value::Null
        }
        M::RequestHeaders => Value::Lists(ListsOf::Request),
        M::RequestMatched => Value::Live(Type::Texts),
        M::RequestUrl => url(evaluator, UrlOf::Request),
        M::RequestOriginalUrl => url(evaluator, UrlOf::Original),
        M::ApiServiceUrl => url(evaluator, UrlOf::Service),
        M::RequestBody => {
            let there = context.has(Type::IMessageBody);
            if there {
                Value::LiveBody(Type::IRequest)
            } else {
                Value::Null
            }
        }
        M::ResponseStatusCode | M::ResponseStatusReason | M::ResponseHeaders | M::ResponseBody => {
            response(evaluator, member, arguments)?
        }
        M::BodyAs | M::BodyAsPreserve => {
            let preserve = member == M::BodyAsPreserve && arguments.bool(1)?;
            body(
                evaluator,
                arguments.get(0)?,
                preserve,
                of.ok_or(Exception::Program)?,
            )?
        }
        M::UrlScheme | M::UrlHost | M::UrlPort | M::UrlPath | M::UrlQueryString | M::UrlQuery => {
            let Value::Url(of) = arguments.get(0)? else {
                return Err(Exception::Program);
            };
            if member == M::UrlQuery {
                return Ok(Some(Value::Lists(ListsOf::Query(*of))));
            }
            if member == M::UrlPath {
                let path = context.url_path(*of).ok_or(Exception::NullReference)?;
                return Ok(Some(Value::Text(path)));
            }
            let url = context.url(*of).ok_or(Exception::NullReference)?;
            match member {
                M::UrlScheme => Value::text(&url.scheme),
                M::UrlHost => Value::text(&url.host),
                M::UrlPort => Value::Int(i32::from(url.port)),
                _ => Value::text(&url.query),
            }
        }
        M::ListsIndex | M::ListsContainsKey | M::ListsCount | M::ListsGet | M::ListsGetOr => {
            lists(evaluator, member, arguments)?
        }
        M::TextsIndex => context
            .parameter(&arguments.text(1)?)
            .map(|text| Value::text(&text))
            .ok_or(Exception::KeyNotFound)?,
        M::TextsContainsKey => Value::Bool(context.parameter(&arguments.text(1)?).is_some()),
        M::TextsCount => texts::int(context.parameters()),
        M::TextsGet => context
            .parameter(&arguments.text(1)?)
            .map_or(Value::Null, |text| Value::text(&text)),
        M::TextsGetOr => match context.parameter(&arguments.text(1)?) {
            Some(text) => Value::text(&text),
            None => arguments.get(2)?.clone(),
        },
        // A variable that is not there is null, and no exception.
        M::VariablesIndex | M::VariablesGet => context
            .variable(&arguments.text(1)?)?
            .unwrap_or(Value::Null),
        M::VariablesContainsKey => Value::Bool(context.has_variable(&arguments.text(1)?)),
        M::VariablesCount => texts::int(context.variables()),
        M::VariablesGetAs | M::VariablesGetAsOr => {
            let to = of.ok_or(Exception::Program)?;
            match (context.variable(&arguments.text(1)?)?, member) {
                (Some(value), _) => casts::cast(to, value)?,
                (None, M::VariablesGetAsOr) => arguments.get(2)?.clone(),
                (None, _) => default(to),
            }
        }
        M::RequestMethod
        | M::RequestIpAddress
        | M::LastErrorSource
        | M::LastErrorReason
        | M::LastErrorMessage
        | M::LastErrorScope
        | M::LastErrorSection
        | M::LastErrorPath
        | M::LastErrorPolicyId
        | M::UserId
        | M::UserEmail
        | M::UserFirstName
        | M::UserLastName
        | M::UserNote
        | M::ApiId
        | M::ApiName
        | M::ApiPath
        | M::ApiVersion
        | M::ApiRevision
        | M::OperationId
        | M::OperationName
        | M::OperationMethod
        | M::OperationUrlTemplate
        | M::ProductId
        | M::ProductName
        | M::SubscriptionId
        | M::SubscriptionName
        | M::DeploymentRegion
        | M::DeploymentServiceName
        | M::DeploymentServiceId
        | M::DeploymentGatewayId => match context.text(member) {
            Some(text) => {
                evaluator.budget.bytes(text.len())?;
                Value::Text(text)
            }
            None => Value::Null,
        },
        _ => return Ok(None),
    }))
}

/// `default(T)`.
fn default(of: Type) -> Value {
    use super::super::dates::{DateTime, DateTimeOffset};
    match of {
        Type::Bool => Value::Bool(false),
        Type::Char => Value::Char(0),
        Type::Int => Value::Int(0),
        Type::Long => Value::Long(0),
        Type::Double => Value::Double(0.0),
        Type::Guid => Value::Guid(uuid::Uuid::nil()),
        Type::DateTime => Value::DateTime(DateTime::MIN),
        Type::DateTimeOffset => Value::Offset(DateTimeOffset {
            utc: 0,
            offset_minutes: 0,
        }),
        Type::TimeSpan => Value::Span(0),
        of if !of.constants().is_empty() => Value::Enum(of, 0),
        _ => Value::Null,
    }
}

fn url(evaluator: &Evaluator<'_, impl Context>, of: UrlOf) -> Value {
    if evaluator.context.has_url(of) {
        Value::Url(of)
    } else {
        Value::Null
    }
}

fn response(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let context = evaluator.context;
    Ok(match (arguments.get(0)?, member) {
        (Value::Response(response), M::ResponseStatusCode) => {
            Value::Int(i32::from(response.status()))
        }
        (Value::Response(response), M::ResponseStatusReason) => Value::text(response.reason()),
        (Value::Response(response), M::ResponseHeaders) => Value::Headers(response.clone()),
        (Value::Response(response), _) if response.has_body() => Value::Body(response.clone()),
        (Value::Response(_), _) => Value::Null,
        (Value::Live(_), M::ResponseStatusCode) => Value::Int(i32::from(context.status())),
        (Value::Live(_), M::ResponseStatusReason) => {
            context.text(member).map_or(Value::Null, Value::Text)
        }
        (Value::Live(_), M::ResponseHeaders) => Value::Lists(ListsOf::Response),
        (Value::Live(_), _) => Value::LiveBody(Type::IResponse),
        _ => return Err(Exception::Program),
    })
}

fn body(
    evaluator: &mut Evaluator<'_, impl Context>,
    of: &Value,
    preserve: bool,
    to: Type,
) -> Outcome {
    let bytes = match of {
        Value::Body(response) => response.body(preserve)?,
        Value::LiveBody(side) => evaluator.context.body(*side, preserve)?,
        _ => return Err(Exception::Program),
    };
    let Some(bytes) = bytes else {
        return Ok(Value::Null);
    };
    evaluator.budget.bytes(bytes.len().saturating_mul(2))?;
    if to == Type::Bytes {
        return Ok(Value::Bytes(bytes.into()));
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if to == Type::String {
        return Ok(Value::text(text));
    }
    let token = if to == Type::JToken {
        json_read::parse(evaluator.budget, text)?
    } else {
        json_read::parse_container(evaluator.budget, text)?
    };
    if to != Type::JToken && json::type_of(&token) != to {
        return Err(Exception::InvalidCast);
    }
    Ok(Value::Json(token))
}

fn lists(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let of = arguments.get(0)?;
    if member == M::ListsCount {
        return Ok(texts::int(match of {
            Value::Lists(of) => evaluator.context.lists(*of),
            Value::Headers(response) => {
                let mut names: Vec<String> = response
                    .headers()
                    .iter()
                    .map(|(name, _)| name.to_ascii_lowercase())
                    .collect();
                names.sort_unstable();
                names.dedup();
                names.len()
            }
            Value::Claims(jwt) => json::children(&jwt.payload).len(),
            _ => return Err(Exception::Program),
        }));
    }
    let name = arguments.text(1)?;
    let found = match of {
        Value::Lists(of) => evaluator.context.list(*of, &name),
        Value::Headers(response) => response.list(&name),
        Value::Claims(jwt) => tokens::claim(evaluator.budget, jwt, &name)?,
        _ => return Err(Exception::Program),
    };
    if member == M::ListsContainsKey {
        return Ok(Value::Bool(found.is_some()));
    }
    match (found, member) {
        (Some(all), M::ListsIndex) => {
            texts::strings(evaluator.budget, all.iter().map(|one| &**one), false)
        }
        (None, M::ListsIndex) => Err(Exception::KeyNotFound),
        (Some(all), _) => {
            let joined = match all.as_slice() {
                [one] => Arc::clone(one),
                _ => all.join(",").into(),
            };
            evaluator.budget.bytes(joined.len())?;
            Ok(Value::Text(joined))
        }
        (None, M::ListsGetOr) => Ok(arguments.get(2)?.clone()),
        (None, _) => Ok(Value::Null),
    }
}
