//! The schemas of types that Rust and the SDK have.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::{Kind, Measured, Schema, Setting};
use crate::{HeaderName, HeaderValue, Network};

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Setting for $integer {
            const SCHEMA: Schema = Schema::integer(<$integer>::MIN as i128, <$integer>::MAX as i128);
        }

        impl Measured for $integer {
            const UNIT: Option<(&'static str, &'static str)> = None;

            fn size(&self) -> Option<i128> {
                Some(i128::from(*self))
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

impl Setting for bool {
    const SCHEMA: Schema = Schema::BOOLEAN;
}

impl Setting for f64 {
    const SCHEMA: Schema = Schema::NUMBER;
}

impl Setting for String {
    const SCHEMA: Schema = Schema::TEXT;
}

impl Measured for String {
    const UNIT: Option<(&'static str, &'static str)> = Some(("character", "characters"));

    fn size(&self) -> Option<i128> {
        i128::try_from(self.chars().count()).ok()
    }
}

impl<T: Setting> Setting for Option<T> {
    const SCHEMA: Schema = T::SCHEMA;
}

impl<T: Measured> Measured for Option<T> {
    const UNIT: Option<(&'static str, &'static str)> = T::UNIT;

    fn size(&self) -> Option<i128> {
        self.as_ref().and_then(T::size)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const SCHEMA: Schema = Schema(Kind::List(&T::SCHEMA));
}

impl<T> Measured for Vec<T> {
    const UNIT: Option<(&'static str, &'static str)> = Some(("item", "items"));

    fn size(&self) -> Option<i128> {
        i128::try_from(self.len()).ok()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    const SCHEMA: Schema = Schema(Kind::Map(&T::SCHEMA));
}

impl<T> Measured for BTreeMap<String, T> {
    const UNIT: Option<(&'static str, &'static str)> = Some(("entry", "entries"));

    fn size(&self) -> Option<i128> {
        i128::try_from(self.len()).ok()
    }
}

impl Setting for IpAddr {
    const SCHEMA: Schema = Schema::text("", &["192.0.2.7", "2001:db8::7"]);
}

impl Setting for Network {
    const SCHEMA: Schema = Schema::text("", &["192.0.2.0/24", "2001:db8::/32", "192.0.2.7"]);
}

impl Setting for HeaderName {
    const SCHEMA: Schema = Schema::text("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", &["x-example"]);
}

impl Setting for HeaderValue {
    const SCHEMA: Schema = Schema::text("^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$", &[]);
}
