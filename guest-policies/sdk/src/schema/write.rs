//! A schema as JSON (JSON Schema 2020-12), written when the policy is compiled: no
//! code of it goes into the component.

use super::{Field, Kind, Schema};

/// The bytes of a schema's text; 0 where there is none.
#[must_use]
pub const fn length(schema: Option<Schema>) -> usize {
    match schema {
        Some(schema) => write(&schema, &mut []),
        None => 0,
    }
}

/// A schema's text, of the [length](length) that it has.
#[must_use]
pub const fn written<const LENGTH: usize>(schema: Option<Schema>) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    if let Some(schema) = schema {
        write(&schema, &mut text);
    }
    text
}

/// Writes as much as there is room for and returns how much there is to write.
pub(super) const fn write(schema: &Schema, text: &mut [u8]) -> usize {
    let mut writer = Writer { text, at: 0 };
    writer.schema(schema, "", None);
    writer.at
}

struct Writer<'t> {
    text: &'t mut [u8],
    at: usize,
}

impl Writer<'_> {
    const fn byte(&mut self, byte: u8) {
        if self.at < self.text.len() {
            self.text[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    /// The inside of a JSON string.
    const fn escaped(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if byte == b'"' || byte == b'\\' {
                self.byte(b'\\');
                self.byte(byte);
            } else if byte < b' ' {
                self.raw("\\u00");
                self.byte(HEX[(byte >> 4) as usize]);
                self.byte(HEX[(byte & 15) as usize]);
            } else {
                self.byte(byte);
            }
            at += 1;
        }
    }

    const fn string(&mut self, text: &str) {
        self.byte(b'"');
        self.escaped(text);
        self.byte(b'"');
    }

    const fn number(&mut self, number: i128) {
        if number < 0 {
            self.byte(b'-');
        }
        let mut rest = number.unsigned_abs();
        let mut digits = [0; 40];
        let mut count = 0;
        while rest > 0 || count == 0 {
            digits[count] = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
        }
        while count > 0 {
            count -= 1;
            self.byte(digits[count]);
        }
    }

    const fn strings(&mut self, texts: &[&str]) {
        let mut at = 0;
        while at < texts.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.string(texts[at]);
            at += 1;
        }
    }

    /// A schema as an object; `about` and `field` say more about it where it stands.
    const fn schema(&mut self, schema: &Schema, about: &str, field: Option<&Field>) {
        let (min, max, default) = match field {
            Some(field) => (field.min, field.max, field.default),
            None => (None, None, None),
        };
        self.byte(b'{');
        self.description(schema, about);
        match schema.0 {
            Kind::Any => self.raw("\"$comment\":\"anything\""),
            Kind::Boolean => self.raw("\"type\":\"boolean\""),
            Kind::Number => {
                self.raw("\"type\":\"number\"");
                self.bounds("minimum", min, "maximum", max);
            }
            Kind::Integer(least, most) => {
                self.raw("\"type\":\"integer\"");
                let min = if min.is_some() { min } else { Some(least) };
                let max = if max.is_some() { max } else { Some(most) };
                self.bounds("minimum", min, "maximum", max);
            }
            Kind::Text(pattern, examples) => {
                self.raw("\"type\":\"string\"");
                if !pattern.is_empty() {
                    self.raw(",\"pattern\":");
                    self.string(pattern);
                }
                if !examples.is_empty() {
                    self.raw(",\"examples\":[");
                    self.strings(examples);
                    self.byte(b']');
                }
                self.bounds("minLength", min, "maxLength", max);
            }
            Kind::List(items) => {
                self.raw("\"type\":\"array\",\"items\":");
                self.schema(items, "", None);
                self.bounds("minItems", min, "maxItems", max);
            }
            Kind::Map(values) => {
                self.raw("\"type\":\"object\",\"additionalProperties\":");
                self.schema(values, "", None);
                self.bounds("minProperties", min, "maxProperties", max);
            }
            Kind::Choice(names) => self.choice(names),
            Kind::Table(_, fields) => self.table(fields),
        }
        if let Some(default) = default {
            self.raw(",\"default\":");
            self.raw(default);
        }
        self.byte(b'}');
    }

    const fn bounds(&mut self, least: &str, min: Option<i128>, most: &str, max: Option<i128>) {
        if let Some(min) = min {
            self.raw(",\"");
            self.raw(least);
            self.raw("\":");
            self.number(min);
        }
        if let Some(max) = max {
            self.raw(",\"");
            self.raw(most);
            self.raw("\":");
            self.number(max);
        }
    }

    /// What the setting is about, else its type; of a choice, what each name means.
    const fn description(&mut self, schema: &Schema, about: &str) {
        let about = match schema.0 {
            Kind::Table(of_type, _) if about.is_empty() => of_type,
            _ => about,
        };
        let names: &[(&str, &str)] = match schema.0 {
            Kind::Choice(names) => names,
            _ => &[],
        };
        let mut explained = 0;
        let mut at = 0;
        while at < names.len() {
            if !names[at].1.is_empty() {
                explained += 1;
            }
            at += 1;
        }
        if about.is_empty() && explained == 0 {
            return;
        }
        self.raw("\"description\":\"");
        self.escaped(about);
        let mut is_first = about.is_empty();
        let mut at = 0;
        while at < names.len() {
            let (name, meaning) = names[at];
            if !meaning.is_empty() {
                if !is_first {
                    self.byte(b' ');
                }
                is_first = false;
                self.escaped(name);
                self.raw(": ");
                self.escaped(meaning);
            }
            at += 1;
        }
        self.raw("\",");
    }

    const fn choice(&mut self, names: &[(&str, &str)]) {
        self.raw("\"enum\":[");
        let mut at = 0;
        while at < names.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.string(names[at].0);
            at += 1;
        }
        self.byte(b']');
    }

    const fn table(&mut self, fields: &[Field]) {
        self.raw("\"type\":\"object\",\"additionalProperties\":false");
        let mut required = 0;
        let mut at = 0;
        while at < fields.len() {
            if fields[at].is_required {
                self.raw(if required == 0 {
                    ",\"required\":["
                } else {
                    ","
                });
                self.string(fields[at].name);
                required += 1;
            }
            at += 1;
        }
        if required > 0 {
            self.byte(b']');
        }
        self.raw(",\"properties\":{");
        let mut at = 0;
        while at < fields.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.string(fields[at].name);
            self.byte(b':');
            self.schema(fields[at].schema, fields[at].about, Some(&fields[at]));
            at += 1;
        }
        self.byte(b'}');
    }
}
