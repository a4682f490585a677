//! What stands in `#[settings(…)]` and `#[setting(…)]`.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Expr, Ident, Lit, Meta, Path, Result, Token};

/// `#[settings(check = function)]`
#[derive(Default)]
pub(crate) struct Whole {
    /// The function that looks at settings once more after they were read.
    pub(crate) check: Option<Path>,
}

impl Parse for Whole {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut whole = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            if name != "check" {
                return Err(Error::new(
                    name.span(),
                    "the only option is `check = function`",
                ));
            }
            input.parse::<Token![=]>()?;
            whole.check = Some(input.parse()?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(whole)
    }
}

/// `#[setting(default = …, min = …, max = …)]`
#[derive(Default)]
pub(crate) struct One {
    pub(crate) default: Option<Expr>,
    pub(crate) min: Option<Expr>,
    pub(crate) max: Option<Expr>,
}

impl One {
    /// Takes the options out of a field's attributes.
    pub(crate) fn take(attributes: &mut Vec<Attribute>) -> Result<Self> {
        let mut one = Self::default();
        let mut error = None;
        attributes.retain(|attribute| {
            let result = if attribute.path().is_ident("setting") {
                one.add(attribute)
            } else if attribute.path().is_ident("serde") {
                Err(Error::new_spanned(
                    attribute,
                    "`#[settings]` brings what serde needs; \
                     say `#[setting(default = …)]`, or `#[settings(check = …)]` on the type",
                ))
            } else {
                return true;
            };
            if let Err(new) = result {
                error.get_or_insert(new);
            }
            false
        });
        match error {
            Some(error) => Err(error),
            None => Ok(one),
        }
    }

    fn add(&mut self, attribute: &Attribute) -> Result<()> {
        let options = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        for option in options {
            let Meta::NameValue(option) = option else {
                return Err(unknown(option.span()));
            };
            let place = if option.path.is_ident("default") {
                &mut self.default
            } else if option.path.is_ident("min") {
                &mut self.min
            } else if option.path.is_ident("max") {
                &mut self.max
            } else {
                return Err(unknown(option.path.span()));
            };
            *place = Some(option.value);
        }
        Ok(())
    }
}

fn unknown(span: Span) -> Error {
    Error::new(span, "a setting has `default = …`, `min = …` and `max = …`")
}

/// What a documentation comment says, as one line.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(meta) = &attribute.meta else {
            return None;
        };
        match &meta.value {
            Expr::Lit(literal) if meta.path.is_ident("doc") => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        }
    });
    let words: Vec<String> = lines
        .flat_map(|line| {
            let words = line.split_whitespace().map(str::to_owned);
            words.collect::<Vec<_>>()
        })
        .collect();
    words.join(" ")
}

/// `AllowOrigins` and `allow_origins` as operators write it: `allow-origins`.
pub(crate) fn kebab(name: &Ident) -> String {
    let name = name.to_string();
    let mut text = String::new();
    for (at, character) in name.trim_start_matches("r#").char_indices() {
        if character.is_uppercase() {
            if at > 0 {
                text.push('-');
            }
            text.extend(character.to_lowercase());
        } else {
            text.push(if character == '_' { '-' } else { character });
        }
    }
    text
}
