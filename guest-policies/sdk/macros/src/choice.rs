//! An enum: one of several names.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Fields, ItemEnum, Result};

use crate::options::{Whole, documentation, kebab};

pub(crate) fn expand(options: &Whole, item: ItemEnum) -> Result<TokenStream> {
    if let Some(check) = &options.check {
        return Err(Error::new_spanned(check, "a name needs no check"));
    }
    let mut names = Vec::new();
    for variant in &item.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "a choice is a name alone; what belongs to it is a setting of its own",
            ));
        }
        let name = kebab(&variant.ident);
        let about = documentation(&variant.attrs);
        names.push(quote! { (#name, #about) });
    }
    let ident = &item.ident;
    Ok(quote! {
        #[derive(::keyward_policy::__settings::Deserialize)]
        #[serde(crate = "::keyward_policy::__settings::serde", rename_all = "kebab-case")]
        #item

        const _: () = {
            use ::keyward_policy::__settings as __keyward;

            #[automatically_derived]
            impl __keyward::Setting for #ident {
                const SCHEMA: __keyward::Schema = __keyward::Schema::choice(&[#(#names),*]);
            }
        };
    })
}
