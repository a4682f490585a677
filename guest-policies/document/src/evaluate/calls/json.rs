//! Newtonsoft's tokens, and the tokens of clients.

use std::rc::Rc;
use std::sync::Arc;

use keyward_document_program::{Member, Type};

use super::super::json::{self, Body, Scalar, Token};
use super::super::{
    Context, Evaluator, Exception, Outcome, Value, casts, json_read, json_text, selects, texts,
    tokens,
};
use super::Arguments;

pub(super) fn call(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    of: Option<Type>,
    arguments: Arguments<'_>,
) -> Option<Outcome> {
    json(evaluator, member, of, arguments).transpose()
}

fn json(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    of: Option<Type>,
    arguments: Arguments<'_>,
) -> Outcome<Option<Value>> {
    use Member as M;
    let budget = &mut *evaluator.budget;
    let or_null = |token: Option<Token>| token.map_or(Value::Null, Value::Json);
    Ok(Some(match member {
        M::TokenIndexName | M::ObjectIndexName | M::ArrayIndex => {
            let token = arguments.token(0)?;
            budget.work(json::count(&token).saturating_mul(16))?;
            or_null(entry(&token, arguments.get(1)?)?)
        }
        M::TokenToText => {
            let indented = arguments.int(1)? == 1;
            let token = arguments.token(0)?;
            Value::text(&json_text::written(budget, &token, indented)?)
        }
        M::TokenType => Value::Enum(Type::JTokenType, json::kind(&arguments.token(0)?)),
        M::TokenHasValues => Value::Bool(json::count(&arguments.token(0)?) > 0),
        M::TokenFirst | M::TokenLast => {
            let token = arguments.token(0)?;
            if json::scalar(&token).is_some() {
                return Err(Exception::InvalidOperation);
            }
            let all = json::children(&token);
            or_null(
                if member == M::TokenFirst {
                    all.first()
                } else {
                    all.last()
                }
                .cloned(),
            )
        }
        M::TokenPath => Value::text(&json::path(&arguments.token(0)?)),
        M::TokenValueOf => {
            let found = entry(&arguments.token(0)?, arguments.get(1)?)?;
            let to = of.ok_or(Exception::Program)?;
            match found {
                None => default(to),
                Some(token) if to.is_json() || to == Type::Object => {
                    casts::cast(to, Value::Json(token))?
                }
                Some(token) => match json::scalar(&token) {
                    // Newtonsoft's `Value<T>` takes the default for null.
                    Some(Scalar::Null) => default(to),
                    Some(Scalar::Undefined) if to == Type::String => Value::Null,
                    Some(Scalar::Undefined | Scalar::Large(_)) | None => {
                        return Err(Exception::InvalidCast);
                    }
                    Some(_) if to == Type::String => {
                        casts::from_token(budget, to, &Value::Json(token))?
                    }
                    Some(scalar) => {
                        let value = json::value_of(&scalar);
                        match to {
                            Type::Bool
                            | Type::Int
                            | Type::Long
                            | Type::Double
                            | Type::Char
                            | Type::DateTime => casts::convert(to, &value)?,
                            _ => casts::cast(to, value)?,
                        }
                    }
                },
            }
        }
        M::TokenSelect => {
            let (token, path) = (arguments.token(0)?, arguments.text(1)?);
            or_null(selects::select(budget, &token, &path)?)
        }
        M::TokenParse => Value::Json(json_read::parse(budget, &arguments.text(0)?)?),
        M::ObjectParse | M::ArrayParse => {
            let token = json_read::parse_container(budget, &arguments.text(0)?)?;
            let wanted = if member == M::ObjectParse {
                Type::JObject
            } else {
                Type::JArray
            };
            if json::type_of(&token) != wanted {
                return Err(Exception::JsonReader);
            }
            Value::Json(token)
        }
        M::TokenDeepEquals => {
            let (left, right) = (arguments.get(0)?, arguments.get(1)?);
            Value::Bool(match (left, right) {
                (Value::Json(left), Value::Json(right)) => json::deep_equal(budget, left, right)?,
                (Value::Null, Value::Null) => true,
                _ => false,
            })
        }
        M::TokenDeepClone => Value::Json(json::clone(budget, &arguments.token(0)?)?),
        M::TokenRemove => {
            json::remove(&arguments.token(0)?)?;
            Value::Null
        }
        M::TokenSetName => {
            let (token, key) = (arguments.token(0)?, arguments.get(1)?);
            let value = match arguments.get(2)? {
                Value::Json(value) => Rc::clone(value),
                _ => json::scalar_token(Scalar::Null),
            };
            match (json::type_of(&token), key) {
                (Type::JObject, Value::Text(name)) => json::set(budget, &token, name, value)?,
                (Type::JArray, Value::Int(at)) => json::set_at(budget, &token, *at, value)?,
                (Type::JObject | Type::JArray, _) => return Err(Exception::Argument),
                _ => return Err(Exception::InvalidOperation),
            }
            Value::Null
        }
        M::ObjectNew | M::ArrayNew => {
            let token = if member == M::ObjectNew {
                json::object()
            } else {
                json::array()
            };
            budget.bytes(64)?;
            for part in arguments.rest(0) {
                add(evaluator, &token, part)?;
            }
            Value::Json(token)
        }
        M::ObjectAdd => {
            let (token, name) = (arguments.token(0)?, arguments.text(1)?);
            let value = json::token_of(budget, arguments.get(2)?.clone())?;
            let added = json::property(budget, &name, value)?;
            json::add_property(budget, &token, added)?;
            Value::Null
        }
        M::ObjectAddContent | M::ArrayAdd => {
            add(evaluator, &arguments.token(0)?, arguments.get(1)?)?;
            Value::Null
        }
        M::ObjectRemoveName => match json::find(&arguments.token(0)?, &arguments.text(1)?) {
            Some(found) => {
                json::remove(&found)?;
                Value::Bool(true)
            }
            None => Value::Bool(false),
        },
        M::ObjectContainsKey => {
            Value::Bool(json::find(&arguments.token(0)?, &arguments.text(1)?).is_some())
        }
        M::ObjectProperty => match arguments.text_or_null(1)? {
            Some(name) => or_null(json::find(&arguments.token(0)?, &name)),
            None => Value::Null,
        },
        M::ObjectGetValue => match arguments.text_or_null(1)? {
            Some(name) => or_null(
                json::find(&arguments.token(0)?, &name).map(|found| json::of_property(&found)),
            ),
            None => Value::Null,
        },
        M::ObjectCount | M::ArrayCount => texts::int(json::count(&arguments.token(0)?)),
        M::ObjectFromToken => {
            let token = arguments.token(0).map_err(|exception| match exception {
                Exception::Program => Exception::NotSupported,
                other => other,
            })?;
            let copy = json::clone(budget, &token)?;
            if json::type_of(&copy) != Type::JObject {
                return Err(Exception::Argument);
            }
            Value::Json(copy)
        }
        M::ArrayRemoveAt => {
            let at = usize::try_from(arguments.int(1)?).ok();
            let all = json::children(&arguments.token(0)?);
            let found = at
                .and_then(|at| all.get(at))
                .ok_or(Exception::ArgumentOutOfRange)?;
            json::remove(found)?;
            Value::Null
        }
        M::ValueNew => match arguments.get(0)? {
            Value::Json(token) => match json::scalar(token) {
                Some(scalar) => Value::Json(json::scalar_token(scalar)),
                None => return Err(Exception::Argument),
            },
            Value::Strings(_) => return Err(Exception::Argument),
            // Newtonsoft takes a char here, and nowhere else.
            Value::Char(unit) => Value::Json(json::scalar_token(Scalar::Text(
                texts::of_unit(*unit).into(),
            ))),
            value => Value::Json(json::token_of(budget, value.clone())?),
        },
        M::ValueValue => match json::scalar(&arguments.token(0)?) {
            Some(scalar) => json::value_of(&scalar),
            None => return Err(Exception::Program),
        },
        M::PropertyNew => {
            let name = arguments.text(0)?;
            let value = json::token_of(budget, arguments.get(1)?.clone())?;
            let value = match &*value.body.borrow() {
                Body::Property(..) => return Err(Exception::Json),
                _ => Rc::clone(&value),
            };
            Value::Json(json::property(budget, &name, value)?)
        }
        M::PropertyName => match json::name_of(&arguments.token(0)?) {
            Some(name) => Value::Text(name),
            None => return Err(Exception::Program),
        },
        M::PropertyValue => Value::Json(json::of_property(&arguments.token(0)?)),
        M::StringAsJwt => tokens::jwt(budget, &arguments.text(0)?)?,
        M::StringAsBasic => tokens::basic(&arguments.text(0)?),
        M::BasicUserId | M::BasicPassword => match arguments.get(0)? {
            Value::Basic(both) if member == M::BasicUserId => Value::text(&both.0),
            Value::Basic(both) => Value::text(&both.1),
            _ => return Err(Exception::Program),
        },
        M::JwtAlgorithm
        | M::JwtAudiences
        | M::JwtClaims
        | M::JwtExpiration
        | M::JwtNotBefore
        | M::JwtIssuedAt
        | M::JwtId
        | M::JwtIssuer
        | M::JwtSubject
        | M::JwtType => jwt(evaluator, member, arguments)?,
        _ => return Ok(None),
    }))
}

/// `default(T)`.
fn default(of: Type) -> Value {
    match of {
        Type::Bool => Value::Bool(false),
        Type::Int => Value::Int(0),
        Type::Long => Value::Long(0),
        Type::Double => Value::Double(0.0),
        _ => Value::Null,
    }
}

/// `token[key]`.
fn entry(token: &Token, key: &Value) -> Outcome<Option<Token>> {
    match (&*token.body.borrow(), key) {
        (Body::Object(_), Value::Text(name)) => {
            Ok(json::find(token, name).map(|found| json::of_property(&found)))
        }
        (Body::Object(_), Value::Null) | (Body::Array(_), Value::Null) => {
            Err(Exception::ArgumentNull)
        }
        (Body::Array(all), Value::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| all.get(at))
            .cloned()
            .map(Some)
            .ok_or(Exception::ArgumentOutOfRange),
        (Body::Object(_) | Body::Array(_), _) => Err(Exception::Argument),
        _ => Err(Exception::InvalidOperation),
    }
}

/// Adds content as `JContainer.Add` does: what an array of content holds, one by one.
fn add(evaluator: &mut Evaluator<'_, impl Context>, token: &Token, value: &Value) -> Outcome<()> {
    let budget = &mut *evaluator.budget;
    let object = json::type_of(token) == Type::JObject;
    let added = match value {
        // A list of texts is a list of contents.
        Value::Strings(all) if !object => {
            for one in all.iter() {
                let item = json::token_of(budget, Value::Text(Arc::clone(one)))?;
                json::push(budget, token, item)?;
            }
            return Ok(());
        }
        value => json::token_of(budget, value.clone())?,
    };
    if object {
        if json::type_of(&added) == Type::JObject {
            // An object is a sequence of its properties.
            for property in json::children(&added) {
                json::add_property(budget, token, property)?;
            }
            return Ok(());
        }
        return json::add_property(budget, token, added);
    }
    if json::type_of(&added) == Type::JProperty {
        return Err(Exception::Argument);
    }
    json::push(budget, token, added)
}

fn jwt(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    arguments: Arguments<'_>,
) -> Outcome {
    use Member as M;
    let Value::Jwt(jwt) = arguments.get(0)? else {
        return Err(Exception::Program);
    };
    let budget = &mut *evaluator.budget;
    match member {
        M::JwtAlgorithm => tokens::text(budget, &jwt.header, "alg"),
        M::JwtType => tokens::text(budget, &jwt.header, "typ"),
        M::JwtId => tokens::text(budget, &jwt.payload, "jti"),
        M::JwtIssuer => tokens::text(budget, &jwt.payload, "iss"),
        M::JwtSubject => tokens::text(budget, &jwt.payload, "sub"),
        M::JwtExpiration => Ok(tokens::time(jwt, "exp")),
        M::JwtNotBefore => Ok(tokens::time(jwt, "nbf")),
        M::JwtIssuedAt => Ok(tokens::time(jwt, "iat")),
        M::JwtClaims => Ok(Value::Claims(Rc::clone(jwt))),
        _ => {
            let all = tokens::claim(budget, jwt, "aud")?.unwrap_or_default();
            texts::strings(budget, all.iter().map(|one| &**one), false)
        }
    }
}
