//! A struct: settings with names.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, Field, Fields, Ident, ItemStruct, Lit, Result, Type, UnOp};

use crate::options::{One, Whole, documentation, kebab};

/// A field, and what is said about it.
struct Known {
    ident: Ident,
    name: String,
    about: String,
    ty: Type,
    options: One,
    is_optional: bool,
}

pub(crate) fn expand(options: Whole, mut item: ItemStruct) -> Result<TokenStream> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "settings are one type, without parameters",
        ));
    }
    let ident = item.ident.clone();
    let span = item.span();
    let Fields::Named(fields) = &mut item.fields else {
        return Err(Error::new(span, "settings are a struct with named fields"));
    };
    let mut known = Vec::new();
    for field in &mut fields.named {
        let field_known = Known::of(field)?;
        if field_known.options.default.is_some() {
            let function = format!("{ident}::{}", field_known.default_function());
            field
                .attrs
                .push(syn::parse_quote!(#[serde(default = #function)]));
        }
        known.push(field_known);
    }
    let about = documentation(&item.attrs);
    let defaults = defaults(&ident, &known)?;
    let entries: Result<Vec<_>> = known.iter().map(Known::entry).collect();
    let entries = entries?;
    let bounds = known.iter().filter_map(Known::bounds);
    let check = options.check.map(|check| {
        quote! { #check(&read).map_err(<__D::Error as __keyward::serde::de::Error>::custom)?; }
    });
    Ok(quote! {
        #[derive(::keyward_policy::__settings::Deserialize)]
        #[serde(
            crate = "::keyward_policy::__settings::serde",
            remote = "Self",
            deny_unknown_fields,
            rename_all = "kebab-case"
        )]
        #item

        const _: () = {
            use ::keyward_policy::__settings as __keyward;

            #[automatically_derived]
            impl<'de> __keyward::serde::Deserialize<'de> for #ident {
                fn deserialize<__D: __keyward::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    // The function that serde derives, not this one.
                    let read = #ident::deserialize(deserializer)?;
                    #(#bounds)*
                    #check
                    ::core::result::Result::Ok(read)
                }
            }

            #[automatically_derived]
            impl __keyward::Setting for #ident {
                const SCHEMA: __keyward::Schema =
                    __keyward::Schema::table(#about, &[#(#entries),*]);
            }

            #defaults
        };
    })
}

/// A function for each default, and `Default` where every setting has one.
fn defaults(ident: &Ident, known: &[Known]) -> Result<TokenStream> {
    let mut functions = Vec::new();
    for field in known {
        let Some(default) = &field.options.default else {
            continue;
        };
        let (function, ty) = (field.default_function(), &field.ty);
        let value = value(default)?;
        functions.push(quote! {
            #[doc(hidden)]
            fn #function() -> #ty {
                #value
            }
        });
    }
    let has_all = known
        .iter()
        .all(|field| field.is_optional || field.options.default.is_some());
    let whole = has_all.then(|| {
        let fields = known.iter().map(|field| {
            let name = &field.ident;
            if field.is_optional {
                quote! { #name: ::core::option::Option::None }
            } else {
                let function = field.default_function();
                quote! { #name: Self::#function() }
            }
        });
        quote! {
            #[automatically_derived]
            impl ::core::default::Default for #ident {
                fn default() -> Self {
                    Self { #(#fields),* }
                }
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #ident {
            #(#functions)*
        }

        #whole
    })
}

impl Known {
    fn of(field: &mut Field) -> Result<Self> {
        let options = One::take(&mut field.attrs)?;
        let Some(ident) = field.ident.clone() else {
            return Err(Error::new_spanned(field, "a setting has a name"));
        };
        let is_optional = matches!(
            &field.ty,
            Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option")
        );
        if let (true, Some(default)) = (is_optional, &options.default) {
            return Err(Error::new_spanned(
                default,
                "what has a default is always there: leave the `Option` out",
            ));
        }
        Ok(Self {
            name: kebab(&ident),
            about: documentation(&field.attrs),
            ty: field.ty.clone(),
            ident,
            options,
            is_optional,
        })
    }

    fn default_function(&self) -> Ident {
        let name = self.ident.to_string();
        format_ident!("__default_{}", name.trim_start_matches("r#"))
    }

    /// What the schema says about it.
    fn entry(&self) -> Result<TokenStream> {
        let Self {
            name, about, ty, ..
        } = self;
        let default = match &self.options.default {
            Some(default) => {
                let text = json(default)?;
                quote! { .default(#text) }
            }
            None if self.is_optional => quote! { .optional() },
            None => TokenStream::new(),
        };
        let (min, max) = (bound(&self.options.min), bound(&self.options.max));
        Ok(quote! {
            __keyward::Field::new(#name, #about, &<#ty as __keyward::Setting>::SCHEMA)
                .within(#min, #max)
                #default
        })
    }

    /// The check of its bounds, if it has any.
    fn bounds(&self) -> Option<TokenStream> {
        let Self { ident, name, .. } = self;
        if self.options.min.is_none() && self.options.max.is_none() {
            return None;
        }
        let (min, max) = (bound(&self.options.min), bound(&self.options.max));
        Some(quote! { __keyward::within(&read.#ident, #name, #min, #max)?; })
    }
}

fn bound(bound: &Option<Expr>) -> TokenStream {
    match bound {
        Some(number) => quote! { ::core::option::Option::Some(#number) },
        None => quote! { ::core::option::Option::None },
    }
}

/// The expression that makes a default.
fn value(default: &Expr) -> Result<TokenStream> {
    match default {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Ok(quote! { __keyward::text(#text) }),
            Lit::Int(_) | Lit::Float(_) | Lit::Bool(_) => Ok(quote! { #literal }),
            _ => Err(unfit(default)),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => Ok(quote! { #unary }),
        Expr::Array(array) => {
            let items: Result<Vec<_>> = array.elems.iter().map(value).collect();
            let items = items?;
            Ok(quote! { ::std::vec![#(#items),*] })
        }
        _ => Err(unfit(default)),
    }
}

/// A default as JSON.
fn json(default: &Expr) -> Result<String> {
    match default {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Ok(quoted(&text.value())),
            Lit::Int(number) => Ok(number.base10_digits().to_owned()),
            Lit::Float(number) => Ok(number.base10_digits().to_owned()),
            Lit::Bool(value) => Ok(value.value.to_string()),
            _ => Err(unfit(default)),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            Ok(format!("-{}", json(&unary.expr)?))
        }
        Expr::Array(array) => {
            let items: Result<Vec<String>> = array.elems.iter().map(json).collect();
            Ok(format!("[{}]", items?.join(",")))
        }
        _ => Err(unfit(default)),
    }
}

fn unfit(default: &Expr) -> Error {
    Error::new_spanned(
        default,
        "a default is a text, a number, `true`, `false`, or a list of these; \
         of a choice, its name: \"some-name\"",
    )
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
