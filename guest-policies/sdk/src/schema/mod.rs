//! Schemas of settings: made of types when they are compiled.

mod kinds;
mod write;

use core::fmt::Display;

use serde::de::{self, DeserializeOwned};

pub use write::{length, written};

#[cfg(test)]
mod tests;

/// A type of which settings are made: what they look like in a configuration is
/// known when the policy is compiled, and stands in its manifest.
///
/// [`settings`](macro@crate::settings) implements it. A type that reads itself from
/// JSON in a way of its own says which of the schemas here is nearest:
///
/// ```
/// use keyward_policy::{Schema, Setting};
/// use serde::Deserialize;
///
/// /// An even number.
/// #[derive(Deserialize)]
/// #[serde(try_from = "u32")]
/// struct Even(u32);
///
/// impl TryFrom<u32> for Even {
///     type Error = &'static str;
///
///     fn try_from(number: u32) -> Result<Self, Self::Error> {
///         if number % 2 == 0 { Ok(Self(number)) } else { Err("it is odd") }
///     }
/// }
///
/// impl Setting for Even {
///     const SCHEMA: Schema = u32::SCHEMA;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that operators set",
    label = "not a setting",
    note = "put `#[settings]` on it, or implement `keyward_policy::Setting`"
)]
pub trait Setting: DeserializeOwned {
    /// What it looks like.
    const SCHEMA: Schema;
}

/// What a setting looks like: a JSON Schema, as a constant.
#[derive(Clone, Copy, Debug)]
pub struct Schema(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Any,
    Boolean,
    Integer(i128, i128),
    Number,
    Text(&'static str, &'static [&'static str]),
    List(&'static Schema),
    Map(&'static Schema),
    Choice(&'static [(&'static str, &'static str)]),
    Table(&'static str, &'static [Field]),
}

/// One setting of a table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    name: &'static str,
    about: &'static str,
    schema: &'static Schema,
    min: Option<i128>,
    max: Option<i128>,
    is_required: bool,
    /// As JSON.
    default: Option<&'static str>,
}

impl Schema {
    /// Anything.
    pub const ANY: Self = Self(Kind::Any);
    /// `true` or `false`.
    pub const BOOLEAN: Self = Self(Kind::Boolean);
    /// A number with or without a fraction.
    pub const NUMBER: Self = Self(Kind::Number);
    /// A text.
    pub const TEXT: Self = Self(Kind::Text("", &[]));

    /// A whole number between two, both included.
    #[must_use]
    pub const fn integer(min: i128, max: i128) -> Self {
        Self(Kind::Integer(min, max))
    }

    /// A text that matches a regular expression (ECMA-262, as JSON Schema has it); an
    /// empty one says nothing. `examples` do match.
    #[must_use]
    pub const fn text(pattern: &'static str, examples: &'static [&'static str]) -> Self {
        Self(Kind::Text(pattern, examples))
    }

    /// A list.
    #[must_use]
    pub const fn list(items: &'static Schema) -> Self {
        Self(Kind::List(items))
    }

    /// A table whose keys the operator chooses.
    #[must_use]
    pub const fn map(values: &'static Schema) -> Self {
        Self(Kind::Map(values))
    }

    /// One of some names, each with what it means.
    #[must_use]
    pub const fn choice(names: &'static [(&'static str, &'static str)]) -> Self {
        Self(Kind::Choice(names))
    }

    /// A table with these settings and no others.
    #[must_use]
    pub const fn table(about: &'static str, fields: &'static [Field]) -> Self {
        Self(Kind::Table(about, fields))
    }
}

impl Field {
    /// A setting that has to be there.
    #[must_use]
    pub const fn new(name: &'static str, about: &'static str, schema: &'static Schema) -> Self {
        Self {
            name,
            about,
            schema,
            min: None,
            max: None,
            is_required: true,
            default: None,
        }
    }

    /// With bounds: of a number, of a list's items or of a text's characters.
    #[must_use]
    pub const fn within(mut self, min: Option<i128>, max: Option<i128>) -> Self {
        self.min = min;
        self.max = max;
        self
    }

    /// It may be left out.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.is_required = false;
        self
    }

    /// It may be left out, and is then this, as JSON.
    #[must_use]
    pub const fn default(mut self, json: &'static str) -> Self {
        self.default = Some(json);
        self.optional()
    }
}

/// A schema as text.
///
/// ```
/// let schema = keyward_policy::testing::schema::<bool>();
/// assert_eq!(schema, r#"{"type":"boolean"}"#);
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn text_of<S: Setting>() -> String {
    let mut text = vec![0; length(Some(S::SCHEMA))];
    write::write(&S::SCHEMA, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Settings can be read.
pub const fn readable<S: DeserializeOwned>() {}

/// The schema of a type, if it has one: what stands in [`Of`] comes first, what
/// stands in this trait only where the type is no [`Setting`].
pub trait NoSchema {
    /// None.
    const SCHEMA: Option<Schema> = None;
}

/// A type whose schema is asked for.
#[derive(Debug)]
pub struct Of<T>(core::marker::PhantomData<T>);

impl<T> NoSchema for Of<T> {}

impl<T: Setting> Of<T> {
    /// The schema.
    pub const SCHEMA: Option<Schema> = Some(T::SCHEMA);
}

/// Something with a size that settings can bound.
pub trait Measured {
    /// What is counted, one and several; nothing where it is a number itself.
    const UNIT: Option<(&'static str, &'static str)>;

    /// The size; none if there is nothing.
    fn size(&self) -> Option<i128>;
}

/// Sees to it that a setting is within its bounds.
///
/// # Errors
/// It is not; which they are.
pub fn within<T: Measured, E: de::Error>(
    setting: &T,
    name: &str,
    min: Option<i128>,
    max: Option<i128>,
) -> Result<(), E> {
    let Some(size) = setting.size() else {
        return Ok(());
    };
    if min.is_none_or(|min| size >= min) && max.is_none_or(|max| size <= max) {
        return Ok(());
    }
    let said = |bounds: &dyn Display, last: i128| {
        let (has, unit) = match T::UNIT {
            None => ("is", ""),
            Some((one, _)) if last == 1 => ("has", one),
            Some((_, several)) => ("has", several),
        };
        let space = if unit.is_empty() { "" } else { " " };
        E::custom(format_args!("`{name}` {has} {bounds}{space}{unit}"))
    };
    Err(match (min, max) {
        (Some(min), Some(max)) => said(&format_args!("{min} to {max}"), max),
        (Some(min), None) => said(&format_args!("at least {min}"), min),
        (None, max) => {
            let max = max.unwrap_or_default();
            said(&format_args!("at most {max}"), max)
        }
    })
}

/// A default that is written as a text.
///
/// # Panics
/// The text is not one of that type's.
#[must_use]
pub fn text<T: DeserializeOwned>(text: &'static str) -> T {
    let text = de::value::StrDeserializer::<de::value::Error>::new(text);
    match T::deserialize(text) {
        Ok(value) => value,
        Err(error) => panic!("a default of the settings is not accepted: {error}"),
    }
}
