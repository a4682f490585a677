//! Names: variables, types, and what is said about those that are none.

use keyward_document_program::kinds::Class;
use keyward_document_program::members::{Form, Info, MEMBERS};
use keyward_document_program::{Node, Type};

use super::super::Code;
use super::super::ast::{Expr, Kind, Span, TypeName};
use super::{Checker, Ty, Typed};

/// Before a type's name, and left out.
const NAMESPACES: &[&str] = &[
    "System",
    "System.Net",
    "System.Text",
    "System.Globalization",
    "Newtonsoft.Json",
    "Newtonsoft.Json.Linq",
];

/// Types that documents use and that are not supported.
const OTHER_TYPES: &[&str] = &[
    "Regex",
    "Match",
    "RegexOptions",
    "HMACSHA256",
    "HMACSHA1",
    "HMACSHA384",
    "HMACSHA512",
    "HMAC",
    "SHA1",
    "SHA256",
    "SHA384",
    "SHA512",
    "MD5",
    "RSA",
    "X509Certificate2",
    "X509ContentType",
    "JsonConvert",
    "Enumerable",
    "List",
    "Dictionary",
    "IEnumerable",
    "IList",
    "HashSet",
    "KeyValuePair",
    "StringBuilder",
    "XDocument",
    "XElement",
    "XNode",
    "XName",
    "XNamespace",
    "XAttribute",
    "XmlDocument",
    "XmlNode",
    "Array",
    "BitConverter",
    "Environment",
    "TimeZoneInfo",
    "CultureInfo",
    "DateTimeStyles",
    "NumberStyles",
    "HttpUtility",
    "UriBuilder",
    "Tuple",
    "Exception",
    "Stream",
    "MemoryStream",
    "decimal",
    "Decimal",
    "float",
    "Single",
    "byte",
    "Byte",
    "uint",
    "UInt32",
    "ulong",
    "UInt64",
    "short",
    "Int16",
    "ushort",
    "sbyte",
    "dynamic",
    "Type",
    "Nullable",
    "IUser",
    "IGroup",
    "HashAlgorithm",
    "RSACryptoServiceProvider",
    "HashAlgorithmName",
    "RSASignaturePadding",
    "MidpointRounding",
    "JsonSerializerSettings",
    "Base64FormattingOptions",
    "Func",
    "Action",
    "Version",
    "IPAddress",
    "Interlocked",
    "RSACng",
    "StringComparer",
    "Buffer",
];

/// A supported type of that name.
fn type_of(name: &str) -> Option<Type> {
    let short = match name.rsplit_once('.') {
        Some((space, short)) if NAMESPACES.contains(&space) => short,
        Some(_) => return None,
        None => name,
    };
    Some(match short {
        "string" | "String" => Type::String,
        "int" | "Int32" => Type::Int,
        "long" | "Int64" => Type::Long,
        "bool" | "Boolean" => Type::Bool,
        "double" | "Double" => Type::Double,
        "object" | "Object" => Type::Object,
        "char" | "Char" => Type::Char,
        "Guid" => Type::Guid,
        "DateTime" => Type::DateTime,
        "DateTimeOffset" => Type::DateTimeOffset,
        "TimeSpan" => Type::TimeSpan,
        "Uri" => Type::Uri,
        "JToken" => Type::JToken,
        "JObject" => Type::JObject,
        "JArray" => Type::JArray,
        "JValue" => Type::JValue,
        "JProperty" => Type::JProperty,
        "JTokenType" => Type::JTokenType,
        "Random" => Type::Random,
        "Encoding" => Type::Encoding,
        "Jwt" => Type::Jwt,
        "BasicAuthCredentials" => Type::BasicAuthCredentials,
        "IResponse" => Type::IResponse,
        "StringComparison" => Type::StringComparison,
        "StringSplitOptions" => Type::StringSplitOptions,
        "DateTimeKind" => Type::DateTimeKind,
        "DayOfWeek" => Type::DayOfWeek,
        "Formatting" => Type::Formatting,
        "Convert" => Type::Convert,
        "Math" => Type::Math,
        "WebUtility" => Type::WebUtility,
        _ => return None,
    })
}

/// `a.b.c`, if that is all it is.
fn dotted(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Name(name) => Some(name.clone()),
        Kind::Member {
            target,
            name,
            types,
            ..
        } if types.is_empty() => Some(format!("{}.{name}", dotted(target)?)),
        _ => None,
    }
}

/// The types whose members one has: itself, and what it is derived from.
pub(super) fn bases(of: Type) -> Vec<Type> {
    let mut all = vec![of];
    if of.is_json() && of != Type::JToken {
        all.push(Type::JToken);
    }
    if of != Type::Object {
        all.push(Type::Object);
    }
    all
}

impl Checker<'_> {
    pub(super) fn name(&mut self, name: &str, span: &Span) -> Option<Typed> {
        if let Some(local) = self.local(name) {
            let (slot, ty) = (local.slot, local.ty?);
            return self.node(Node::Local(slot), ty, span);
        }
        if name == "context" {
            return self.node(Node::Context, Ty::plain(Type::Context), span);
        }
        if type_of(name).is_some() {
            self.problem(
                Code::Syntax,
                span,
                format!("{name} is a type, and no value"),
            );
        } else if OTHER_TYPES.contains(&name) {
            self.problem(
                Code::Construct,
                span,
                format!("not supported: the type {name}"),
            );
        } else {
            self.unknown_name(name, span);
        }
        None
    }

    fn unknown_name(&mut self, name: &str, span: &Span) {
        let mut known: Vec<String> = self.locals.iter().map(|local| local.name.clone()).collect();
        known.push("context".to_owned());
        let types = Type::ALL.iter().filter(|of| of.class() != Class::Pseudo);
        known.extend(types.map(|of| of.name().to_owned()));
        let message = format!("no variable or type {name:?} here");
        match similar(name, known.iter().map(String::as_str)) {
            Some(meant) => {
                self.problem_with(Code::Name, span, message, format!("did you mean {meant}?"));
            }
            None => self.problem(Code::Name, span, message),
        }
    }

    /// The type that a target of `.` names; `None` if it is a value.
    /// `Some(None)`: it is a type, but not supported, and that has been noted.
    pub(super) fn as_type(&mut self, expr: &Expr) -> Option<Option<Type>> {
        let name = dotted(expr)?;
        let first = name.split('.').next().unwrap_or_default();
        if self.local(first).is_some() || first == "context" {
            return None;
        }
        if let Some(of) = type_of(&name) {
            return Some(Some(of));
        }
        let short = name.rsplit('.').next().unwrap_or_default();
        let qualified =
            name.contains('.') && matches!(first, "System" | "Newtonsoft" | "Microsoft");
        if OTHER_TYPES.contains(&short) && (!name.contains('.') || qualified) {
            self.problem(
                Code::Construct,
                &expr.span,
                format!("not supported: the type {short}"),
            );
            return Some(None);
        }
        None
    }

    pub(super) fn type_named(&mut self, name: &TypeName) -> Option<Ty> {
        let written = name.name.as_str();
        let of = match (type_of(written), name.array) {
            (Some(Type::String), true) => Some(Type::Strings),
            (None, true) if matches!(written, "byte" | "Byte") => Some(Type::Bytes),
            (of, false) => of,
            (_, true) => None,
        };
        let inner = written
            .strip_prefix("Nullable<")
            .and_then(|rest| rest.strip_suffix('>'));
        if let (None, Some(of)) = (of, inner.and_then(type_of)) {
            return Some(Ty { of, nullable: true });
        }
        let Some(of) = of else {
            let shown = format!("{written}{}", if name.array { "[]" } else { "" });
            let short = written.split('<').next().unwrap_or_default();
            let short = short.rsplit('.').next().unwrap_or_default();
            if OTHER_TYPES.contains(&short) || name.array || written.contains('<') {
                let message = format!("not supported: the type {shown}");
                self.problem(Code::Construct, &name.span, message);
            } else {
                self.unknown_name(written, &name.span);
            }
            return None;
        };
        let ty = Ty::plain(of);
        if name.nullable && ty.can_be_null() {
            let message = format!("{} can be null anyway", ty.shown());
            self.problem_with(Code::Types, &name.span, message, "leave the ? out");
            return None;
        }
        Some(Ty {
            of,
            nullable: name.nullable,
        })
    }

    /// Notes that a type has no such member.
    pub(super) fn no_member(&mut self, of: Type, name: &str, wanted: Form, span: &Span) {
        let is_static = matches!(wanted, Form::Static | Form::StaticMethod);
        let own = |info: &&Info| {
            let fits = matches!(info.form, Form::Static | Form::StaticMethod) == is_static
                && !matches!(
                    info.form,
                    Form::Constructor | Form::Indexer | Form::Operator
                )
                && info.name != "set_Item";
            fits && if is_static {
                info.receiver == of
            } else {
                bases(of).contains(&info.receiver)
            }
        };
        let mut names: Vec<&str> = MEMBERS.iter().filter(own).map(|info| info.name).collect();
        names.extend(
            of.constants()
                .iter()
                .filter(|_| is_static)
                .map(|(name, _)| *name),
        );
        names.sort_unstable();
        names.dedup();
        let shown = of.name();
        let mut message = format!("not supported: {shown}.{name}");
        let help = if (of, name) == (Type::String, "Format") {
            "write $\"… {value} …\"".to_owned()
        } else if names.contains(&name) {
            let callable = MEMBERS.iter().filter(own).any(|info| {
                info.name == name
                    && matches!(info.form, Form::Method | Form::StaticMethod | Form::Generic)
            });
            if callable {
                message = format!("{shown}.{name} is a function");
                format!("write {name}(…)")
            } else {
                message = format!("{shown}.{name} is no function");
                format!("for an entry, write {name}[…]")
            }
        } else if of == Type::Object {
            "its type is object: cast it first, for example ((string)…)".to_owned()
        } else if let Some(meant) = similar(name, names.iter().copied()) {
            format!("did you mean {meant}?")
        } else if names.is_empty() {
            String::new()
        } else {
            names.retain(|name| !matches!(*name, "Equals" | "ToString"));
            let more = names.len() > 12;
            names.truncate(12);
            format!(
                "{shown} has {}{}",
                names.join(", "),
                if more { ", …" } else { "" }
            )
        };
        if help.is_empty() {
            self.problem(Code::Member, span, message);
        } else {
            self.problem_with(Code::Member, span, message, help);
        }
    }
}

/// The name that was probably meant.
fn similar<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    names
        .map(|other| {
            (
                strsim::damerau_levenshtein(&lower, &other.to_lowercase()),
                other,
            )
        })
        .filter(|(distance, _)| *distance <= 1 + name.len() / 5 && *distance < name.len())
        .min()
        .map(|(_, other)| other)
}
