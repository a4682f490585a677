//! Newtonsoft's tokens: a tree that can be changed, whose parts know their parents.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use keyward_document_program::Type;
use uuid::Uuid;

use super::dates::{DateTime, DateTimeOffset};
use super::{Budget, Exception, Outcome, Value};

/// Tokens within each other, at most.
pub(crate) const MAX_DEPTH: usize = 100;

/// A token; copies are the same token.
pub type Token = Rc<Data>;

/// What a token is.
#[derive(Debug)]
pub struct Data {
    pub(crate) body: RefCell<Body>,
    parent: RefCell<Weak<Data>>,
}

#[derive(Debug)]
pub(crate) enum Body {
    /// Properties, each a name once.
    Object(Vec<Token>),
    Array(Vec<Token>),
    Property(Arc<str>, Token),
    Scalar(Scalar),
}

/// A simple value.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// `null`
    Null,
    /// `undefined`, and a value that was left out.
    Undefined,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number that no `long` holds, as its digits.
    Large(Arc<str>),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Arc<str>),
    /// A text that is a date.
    Date(DateTime),
    /// A date with an offset, put there by the expression.
    Offset(DateTimeOffset),
    /// A GUID, put there by the expression.
    Guid(Uuid),
    /// A URI, put there by the expression.
    Uri(Arc<str>),
    /// A time, put there by the expression.
    Span(i64),
    /// Bytes, put there by the expression.
    Bytes(Rc<[u8]>),
}

fn make(body: Body) -> Token {
    Rc::new(Data {
        body: RefCell::new(body),
        parent: RefCell::new(Weak::new()),
    })
}

/// A simple value's token.
pub(crate) fn scalar_token(scalar: Scalar) -> Token {
    make(Body::Scalar(scalar))
}

/// An object of properties.
pub(crate) fn object() -> Token {
    make(Body::Object(Vec::new()))
}

/// An empty array.
pub(crate) fn array() -> Token {
    make(Body::Array(Vec::new()))
}

/// A property.
pub(crate) fn property(budget: &mut Budget, name: &str, value: Token) -> Outcome<Token> {
    budget.bytes(name.len() + 64)?;
    let value = free(budget, value)?;
    let property = make(Body::Property(name.into(), Rc::clone(&value)));
    own(budget, &property, &value)?;
    Ok(property)
}

pub(crate) fn parent(token: &Token) -> Option<Token> {
    token.parent.borrow().upgrade()
}

fn root(token: &Token) -> Token {
    let mut at = Rc::clone(token);
    while let Some(above) = parent(&at) {
        at = above;
    }
    at
}

/// The token itself, or a copy if it has a parent already.
fn free(budget: &mut Budget, token: Token) -> Outcome<Token> {
    if parent(&token).is_some() {
        clone(budget, &token)
    } else {
        Ok(token)
    }
}

/// The same, where it goes into `container`: a copy also of what it is part of.
fn free_for(budget: &mut Budget, container: &Token, token: Token) -> Outcome<Token> {
    if Rc::ptr_eq(&root(container), &token) {
        clone(budget, &token)
    } else {
        free(budget, token)
    }
}

/// Makes `parent` the parent. Errors: too deep.
fn own(budget: &mut Budget, parent: &Token, child: &Token) -> Outcome<()> {
    let mut above = 0;
    let mut at = Some(Rc::clone(parent));
    while let Some(token) = at {
        above += 1;
        at = self::parent(&token);
    }
    let mut seen = 0;
    let height = height(child, &mut seen);
    budget.work(seen.saturating_mul(4))?;
    if above + height > MAX_DEPTH * 2 {
        return Err(Exception::Memory);
    }
    *child.parent.borrow_mut() = Rc::downgrade(parent);
    Ok(())
}

/// How deep a token is, and how many there are in it.
fn height(token: &Token, seen: &mut usize) -> usize {
    *seen += 1;
    1 + match &*token.body.borrow() {
        Body::Object(all) | Body::Array(all) => {
            all.iter().map(|one| height(one, seen)).max().unwrap_or(0)
        }
        Body::Property(_, value) => height(value, seen),
        Body::Scalar(_) => 0,
    }
}

/// An object of names and values, each name once.
pub(crate) fn object_of(budget: &mut Budget, all: Vec<(String, Token)>) -> Outcome<Token> {
    let object = object();
    let mut properties = Vec::with_capacity(all.len());
    for (name, value) in all {
        let property = property(budget, &name, value)?;
        own(budget, &object, &property)?;
        properties.push(property);
    }
    *object.body.borrow_mut() = Body::Object(properties);
    Ok(object)
}

/// How many direct parts it has.
pub(crate) fn count(token: &Token) -> usize {
    match &*token.body.borrow() {
        Body::Object(all) | Body::Array(all) => all.len(),
        Body::Property(..) => 1,
        Body::Scalar(_) => 0,
    }
}

/// `DeepClone`.
pub(crate) fn clone(budget: &mut Budget, token: &Token) -> Outcome<Token> {
    budget.step()?;
    budget.bytes(64)?;
    let body = match &*token.body.borrow() {
        Body::Object(all) | Body::Array(all) => {
            let mut copied = Vec::with_capacity(all.len());
            for one in all {
                copied.push(clone(budget, one)?);
            }
            match &*token.body.borrow() {
                Body::Object(_) => Body::Object(copied),
                _ => Body::Array(copied),
            }
        }
        Body::Property(name, value) => {
            budget.bytes(name.len())?;
            Body::Property(Arc::clone(name), clone(budget, value)?)
        }
        Body::Scalar(scalar) => Body::Scalar(scalar.clone()),
    };
    let copy = make(body);
    for child in children(&copy) {
        *child.parent.borrow_mut() = Rc::downgrade(&copy);
    }
    Ok(copy)
}

/// Its direct parts.
pub(crate) fn children(token: &Token) -> Vec<Token> {
    match &*token.body.borrow() {
        Body::Object(all) | Body::Array(all) => all.clone(),
        Body::Property(_, value) => vec![Rc::clone(value)],
        Body::Scalar(_) => Vec::new(),
    }
}

/// Its C# type.
pub(crate) fn type_of(token: &Token) -> Type {
    match &*token.body.borrow() {
        Body::Object(_) => Type::JObject,
        Body::Array(_) => Type::JArray,
        Body::Property(..) => Type::JProperty,
        Body::Scalar(_) => Type::JValue,
    }
}

/// The number of its `JTokenType`.
pub(crate) fn kind(token: &Token) -> i32 {
    match &*token.body.borrow() {
        Body::Object(_) => 1,
        Body::Array(_) => 2,
        Body::Property(..) => 4,
        Body::Scalar(scalar) => match scalar {
            Scalar::Integer(_) | Scalar::Large(_) => 6,
            Scalar::Float(_) => 7,
            Scalar::Text(_) => 8,
            Scalar::Bool(_) => 9,
            Scalar::Null => 10,
            Scalar::Undefined => 11,
            Scalar::Date(_) | Scalar::Offset(_) => 12,
            Scalar::Bytes(_) => 14,
            Scalar::Guid(_) => 15,
            Scalar::Uri(_) => 16,
            Scalar::Span(_) => 17,
        },
    }
}

/// Its simple value, if it has one.
pub(crate) fn scalar(token: &Token) -> Option<Scalar> {
    match &*token.body.borrow() {
        Body::Scalar(scalar) => Some(scalar.clone()),
        _ => None,
    }
}

/// A property's value; else itself.
pub(crate) fn of_property(token: &Token) -> Token {
    match &*token.body.borrow() {
        Body::Property(_, value) => Rc::clone(value),
        _ => Rc::clone(token),
    }
}

/// A simple value as a value of C#: what `JValue.Value` gives. A number that no `long`
/// holds is a text, having no type that an expression can name.
pub(crate) fn value_of(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null | Scalar::Undefined => Value::Null,
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::Long(*value),
        Scalar::Float(value) => Value::Double(*value),
        Scalar::Text(text) | Scalar::Large(text) => Value::Text(Arc::clone(text)),
        Scalar::Date(date) => Value::DateTime(*date),
        Scalar::Offset(date) => Value::Offset(*date),
        Scalar::Guid(guid) => Value::Guid(*guid),
        Scalar::Uri(uri) => Value::Uri(Arc::clone(uri)),
        Scalar::Span(ticks) => Value::Span(*ticks),
        Scalar::Bytes(bytes) => Value::Bytes(Rc::clone(bytes)),
    }
}

/// A value as a token: what `new JValue(…)` and the implicit conversions make.
pub(crate) fn token_of(budget: &mut Budget, value: Value) -> Outcome<Token> {
    budget.bytes(64)?;
    Ok(scalar_token(match value {
        Value::Json(token) => return Ok(token),
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(value),
        Value::Int(value) | Value::Enum(_, value) => Scalar::Integer(i64::from(value)),
        Value::Long(value) => Scalar::Integer(value),
        Value::Double(value) => Scalar::Float(value),
        Value::Text(text) => Scalar::Text(text),
        Value::DateTime(date) => Scalar::Date(date),
        Value::Offset(date) => Scalar::Offset(date),
        Value::Guid(guid) => Scalar::Guid(guid),
        Value::Uri(uri) => Scalar::Uri(uri),
        Value::Span(ticks) => Scalar::Span(ticks),
        Value::Bytes(bytes) => Scalar::Bytes(bytes),
        Value::Strings(all) => {
            let token = array();
            for one in all.iter() {
                let item = token_of(budget, Value::Text(Arc::clone(one)))?;
                push(budget, &token, item)?;
            }
            return Ok(token);
        }
        _ => return Err(Exception::Argument),
    }))
}

/// The property of a name.
pub(crate) fn find(token: &Token, name: &str) -> Option<Token> {
    match &*token.body.borrow() {
        Body::Object(all) => all
            .iter()
            .find(|one| name_of(one).as_deref() == Some(name))
            .cloned(),
        _ => None,
    }
}

/// A property's name.
pub(crate) fn name_of(token: &Token) -> Option<Arc<str>> {
    match &*token.body.borrow() {
        Body::Property(name, _) => Some(Arc::clone(name)),
        _ => None,
    }
}

/// Adds to an array.
pub(crate) fn push(budget: &mut Budget, container: &Token, item: Token) -> Outcome<()> {
    budget.bytes(16)?;
    let item = free_for(budget, container, item)?;
    own(budget, container, &item)?;
    match &mut *container.body.borrow_mut() {
        Body::Array(all) => all.push(item),
        _ => return Err(Exception::Program),
    }
    Ok(())
}

/// Sets a name of an object, or adds it. A scan for each name, which is paid for.
pub(crate) fn set(budget: &mut Budget, container: &Token, name: &str, value: Token) -> Outcome<()> {
    let count = count(container);
    budget.work(count.saturating_mul(16))?;
    let value = free_for(budget, container, value)?;
    if let Some(found) = find(container, name) {
        own(budget, &found, &value)?;
        if let Body::Property(_, old) = &mut *found.body.borrow_mut() {
            *old.parent.borrow_mut() = Weak::new();
            *old = value;
        }
        return Ok(());
    }
    let added = property(budget, name, value)?;
    own(budget, container, &added)?;
    match &mut *container.body.borrow_mut() {
        Body::Object(all) => all.push(added),
        _ => return Err(Exception::InvalidOperation),
    }
    Ok(())
}

/// Adds a property to an object. Errors: it has one of that name.
pub(crate) fn add_property(budget: &mut Budget, container: &Token, added: Token) -> Outcome<()> {
    let count = count(container);
    budget.work(count.saturating_mul(16))?;
    let name = name_of(&added).ok_or(Exception::Argument)?;
    if find(container, &name).is_some() {
        return Err(Exception::Argument);
    }
    let added = free_for(budget, container, added)?;
    own(budget, container, &added)?;
    match &mut *container.body.borrow_mut() {
        Body::Object(all) => all.push(added),
        _ => return Err(Exception::Argument),
    }
    Ok(())
}

/// Sets an entry of an array.
pub(crate) fn set_at(budget: &mut Budget, container: &Token, at: i32, value: Token) -> Outcome<()> {
    let value = free_for(budget, container, value)?;
    own(budget, container, &value)?;
    match &mut *container.body.borrow_mut() {
        Body::Array(all) => {
            let place = usize::try_from(at)
                .ok()
                .and_then(|at| all.get_mut(at))
                .ok_or(Exception::ArgumentOutOfRange)?;
            *place.parent.borrow_mut() = Weak::new();
            *place = value;
        }
        _ => return Err(Exception::Argument),
    }
    Ok(())
}

/// Takes a token out of its parent. A property's value takes the property along.
/// Errors: it has no parent.
pub(crate) fn remove(token: &Token) -> Outcome<()> {
    let above = parent(token).ok_or(Exception::InvalidOperation)?;
    let taken = match &mut *above.body.borrow_mut() {
        Body::Object(all) | Body::Array(all) => {
            all.retain(|one| !Rc::ptr_eq(one, token));
            true
        }
        _ => false,
    };
    if taken {
        *token.parent.borrow_mut() = Weak::new();
        Ok(())
    } else {
        // Newtonsoft: a value can't be taken out of its property.
        Err(Exception::Json)
    }
}

/// `JToken.DeepEquals`.
pub(crate) fn deep_equal(budget: &mut Budget, left: &Token, right: &Token) -> Outcome<bool> {
    // What holds the pair, with the number of the part that comes next: a list, so that
    // what is deep takes no more of the stack.
    let mut open: Vec<(Token, Token, usize)> = Vec::new();
    let mut pair = Some((Rc::clone(left), Rc::clone(right)));
    loop {
        let (left, right, at) = match pair.take() {
            Some((left, right)) => {
                budget.step()?;
                (left, right, 0)
            }
            None => match open.pop() {
                Some(next) => next,
                None => return Ok(true),
            },
        };
        let part = match (&*left.body.borrow(), &*right.body.borrow()) {
            (Body::Object(left), Body::Object(right)) if left.len() == right.len() => {
                match left.get(at) {
                    Some(property) => {
                        budget.work(right.len().saturating_mul(64))?;
                        let name = name_of(property);
                        let other = right.iter().find(|other| name_of(other) == name);
                        let Some(other) = other else {
                            return Ok(false);
                        };
                        Some((property.clone(), other.clone()))
                    }
                    None => None,
                }
            }
            (Body::Array(left), Body::Array(right)) if left.len() == right.len() => {
                left.get(at).cloned().zip(right.get(at).cloned())
            }
            (Body::Property(a, left), Body::Property(b, right)) if a == b => {
                pair = Some((Rc::clone(left), Rc::clone(right)));
                None
            }
            (Body::Scalar(left), Body::Scalar(right)) if equal_scalars(left, right) => None,
            _ => return Ok(false),
        };
        if part.is_some() {
            open.push((left, right, at + 1));
            pair = part;
        }
    }
}

fn equal_scalars(left: &Scalar, right: &Scalar) -> bool {
    match (left, right) {
        #[expect(clippy::cast_precision_loss, reason = "as Newtonsoft does")]
        (Scalar::Integer(whole), Scalar::Float(real))
        | (Scalar::Float(real), Scalar::Integer(whole)) => *whole as f64 == *real,
        (Scalar::Null, Scalar::Null) | (Scalar::Undefined, Scalar::Undefined) => true,
        (Scalar::Undefined, _) | (_, Scalar::Undefined) => false,
        (Scalar::Large(left), Scalar::Large(right)) => left == right,
        (Scalar::Large(_), _) | (_, Scalar::Large(_)) => false,
        (Scalar::Bytes(left), Scalar::Bytes(right)) => left == right,
        _ => super::operators::equals(&value_of(left), &value_of(right)),
    }
}

/// A name as a step of a path.
fn step(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '$';
    if name.chars().all(is_plain) {
        format!(".{name}")
    } else {
        format!("['{name}']")
    }
}

/// `Path`, as Newtonsoft writes it.
pub(crate) fn path(token: &Token) -> String {
    let mut parts = Vec::new();
    let mut at = Rc::clone(token);
    while let Some(above) = parent(&at) {
        match &*above.body.borrow() {
            Body::Array(all) => {
                let index = all.iter().position(|one| Rc::ptr_eq(one, &at)).unwrap_or(0);
                parts.push(format!("[{index}]"));
            }
            Body::Property(name, _) => parts.push(step(name)),
            // The token itself is a property.
            Body::Object(_) if Rc::ptr_eq(&at, token) => {
                parts.push(step(&name_of(&at).unwrap_or_default()));
            }
            _ => {}
        }
        at = above;
    }
    parts.reverse();
    let path = parts.concat();
    path.strip_prefix('.').unwrap_or(&path).to_owned()
}
