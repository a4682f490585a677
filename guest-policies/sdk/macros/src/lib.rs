//! The attribute [`settings`], which `keyward-policy` re-exports with its
//! documentation.

#![forbid(unsafe_code)]

mod choice;
mod options;
mod table;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a struct, or an enum of names, something that operators set.
#[proc_macro_attribute]
pub fn settings(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::Whole);
    let item = parse_macro_input!(item as syn::Item);
    let made = match item {
        syn::Item::Struct(item) => table::expand(options, item),
        syn::Item::Enum(item) => choice::expand(&options, item),
        other => Err(syn::Error::new_spanned(
            other,
            "settings are a struct with named fields, or an enum of names",
        )),
    };
    made.unwrap_or_else(syn::Error::into_compile_error).into()
}
