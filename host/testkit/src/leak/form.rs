//! In which form a value was found.

use std::fmt;

use serde::{Serialize, Serializer};

/// A form that text takes on its way through other layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Form {
    /// The value as it is.
    Raw,
    /// The value with letters of another case.
    Case,
    /// The value from its end to its beginning.
    Reversed,
    /// Hexadecimal digits of either case.
    Hexadecimal,
    /// Base64 of the standard alphabet (RFC 4648, section 4), whatever stands around
    /// the value.
    Base64,
    /// Base64 of the URL alphabet (RFC 4648, section 5).
    Base64Url,
    /// Base32 (RFC 4648, section 6) in either case.
    Base32,
    /// UTF-16 in either order of bytes.
    Utf16,
    /// One to three other bytes between some of the value's.
    Split,
}

impl Form {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Form; 9] = [
        Form::Raw,
        Form::Case,
        Form::Reversed,
        Form::Hexadecimal,
        Form::Base64,
        Form::Base64Url,
        Form::Base32,
        Form::Utf16,
        Form::Split,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Form::Raw => "raw",
            Form::Case => "case",
            Form::Reversed => "reversed",
            Form::Hexadecimal => "hexadecimal",
            Form::Base64 => "base64",
            Form::Base64Url => "base64url",
            Form::Base32 => "base32",
            Form::Utf16 => "UTF-16",
            Form::Split => "split",
        }
    }
}

/// A layer that was taken off before the value could be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Layer {
    /// `%2F` (RFC 3986, section 2.1), for some bytes or for all.
    Percent,
    /// `\n`, `\/`, `\u002f`, `\x2f` (RFC 8259, section 7, and its neighbours).
    Json,
    /// `&amp;`, `&#47;`, `&#x2f;` in HTML and XML.
    Markup,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, and RFC 1951 alone.
    Deflate,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

impl Layer {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Percent => "percent",
            Layer::Json => "JSON",
            Layer::Markup => "markup",
            Layer::Gzip => "gzip",
            Layer::Deflate => "deflate",
            Layer::Zstd => "zstd",
            Layer::Brotli => "brotli",
        }
    }
}

/// A form and the layers around it: `raw`, `base64 in gzip`, `percent`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// The innermost form.
    pub form: Form,
    /// The layers around it, the innermost first.
    pub layers: Vec<Layer>,
}

impl Shape {
    /// The form in one word: `percent`, `base64`; that of the innermost layer where
    /// the value stands in it as it is.
    pub fn name(&self) -> &'static str {
        match (self.form, self.layers.first()) {
            (Form::Raw, Some(layer)) => layer.name(),
            (form, _) => form.name(),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.layers.iter().map(|layer| layer.name());
        // A value that was only percent-encoded is in the form `percent`, not in
        // the form `raw in percent`.
        let form = Some(self.form.name()).filter(|_| {
            self.form != Form::Raw || self.layers.is_empty() || self.layers[0].is_compression()
        });
        for (index, name) in form.into_iter().chain(names).enumerate() {
            if index > 0 {
                out.write_str(" in ")?;
            }
            out.write_str(name)?;
        }
        Ok(())
    }
}

impl Layer {
    /// Whether it turns text into bytes in which nothing can be seen.
    pub(crate) fn is_compression(self) -> bool {
        !matches!(self, Layer::Percent | Layer::Json | Layer::Markup)
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_named_from_the_inside_out() {
        for (form, layers, name) in [
            (Form::Raw, vec![], "raw"),
            (Form::Raw, vec![Layer::Percent], "percent"),
            (Form::Raw, vec![Layer::Gzip], "raw in gzip"),
            (Form::Base64, vec![Layer::Percent], "base64 in percent"),
            (Form::Raw, vec![Layer::Json, Layer::Zstd], "JSON in zstd"),
        ] {
            assert_eq!(Shape { form, layers }.to_string(), name);
        }
    }
}
