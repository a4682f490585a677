//! The types of expressions, as the checker sees them and as casts name them.

use serde::{Deserialize, Serialize};

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident $shown:literal $class:ident;)*) => {
        /// A type of C#, of .NET or of API Management's `context`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Type {
            $($(#[$doc])* $name,)*
        }

        impl Type {
            /// All of them.
            pub const ALL: &[Type] = &[$(Type::$name),*];

            /// As C# writes it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $shown,)* }
            }

            /// What sort of a type it is.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }
        }
    };
}

/// Sorts of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Can't be null, unless written with `?`.
    Value,
    /// Can be null.
    Reference,
    /// Has only static members.
    Static,
    /// Stands for parameters in the table of members, or for nothing.
    Pseudo,
}

types! {
    /// The type of `null`.
    Null "null" Pseudo;
    /// No value.
    Void "void" Pseudo;
    /// Every argument from here on, each an `object`.
    ObjectsFrom "params object[]" Pseudo;
    /// Every argument from here on, each a `string`.
    StringsFrom "params string[]" Pseudo;
    /// Every argument from here on, each a `char`.
    CharsFrom "params char[]" Pseudo;
    /// What stands between `<` and `>`.
    Generic "T" Pseudo;
    /// `object`.
    Object "object" Reference;
    /// `bool`.
    Bool "bool" Value;
    /// `char`, a UTF-16 unit.
    Char "char" Value;
    /// `int`.
    Int "int" Value;
    /// `long`.
    Long "long" Value;
    /// `double`.
    Double "double" Value;
    /// `string`.
    String "string" Reference;
    /// `Guid`.
    Guid "Guid" Value;
    /// `DateTime`.
    DateTime "DateTime" Value;
    /// `DateTimeOffset`.
    DateTimeOffset "DateTimeOffset" Value;
    /// `TimeSpan`.
    TimeSpan "TimeSpan" Value;
    /// `Uri`.
    Uri "Uri" Reference;
    /// `byte[]`.
    Bytes "byte[]" Reference;
    /// `string[]`.
    Strings "string[]" Reference;
    /// Newtonsoft's `JToken`.
    JToken "JToken" Reference;
    /// Newtonsoft's `JObject`.
    JObject "JObject" Reference;
    /// Newtonsoft's `JArray`.
    JArray "JArray" Reference;
    /// Newtonsoft's `JValue`.
    JValue "JValue" Reference;
    /// Newtonsoft's `JProperty`.
    JProperty "JProperty" Reference;
    /// `Random`.
    Random "Random" Reference;
    /// `Encoding`.
    Encoding "Encoding" Reference;
    /// What `AsJwt` gives.
    Jwt "Jwt" Reference;
    /// What `AsBasic` gives.
    BasicAuthCredentials "BasicAuthCredentials" Reference;
    /// `IReadOnlyDictionary<string, string[]>`: headers, query, claims.
    Lists "IReadOnlyDictionary<string, string[]>" Reference;
    /// `IReadOnlyDictionary<string, string>`: matched parameters.
    Texts "IReadOnlyDictionary<string, string>" Reference;
    /// `context.Variables`.
    Variables "IReadOnlyDictionary<string, object>" Reference;
    /// `context`.
    Context "IProxyRequestContext" Reference;
    /// `context.Request`.
    IRequest "IRequest" Reference;
    /// `context.Response`, and what `send-request` leaves.
    IResponse "IResponse" Reference;
    /// `Body` of either.
    IMessageBody "IMessageBody" Reference;
    /// `context.Request.Url`.
    IUrl "IUrl" Reference;
    /// `context.LastError`.
    LastError "ILastError" Reference;
    /// `context.User`.
    IUser "IUser" Reference;
    /// `context.Api`.
    IApi "IApi" Reference;
    /// `context.Operation`.
    IOperation "IOperation" Reference;
    /// `context.Product`.
    IProduct "IProduct" Reference;
    /// `context.Subscription`.
    ISubscription "ISubscription" Reference;
    /// `context.Deployment`.
    IDeployment "IDeployment" Reference;
    /// `StringComparison`.
    StringComparison "StringComparison" Value;
    /// `StringSplitOptions`.
    StringSplitOptions "StringSplitOptions" Value;
    /// `DateTimeKind`.
    DateTimeKind "DateTimeKind" Value;
    /// `DayOfWeek`.
    DayOfWeek "DayOfWeek" Value;
    /// Newtonsoft's `Formatting`.
    Formatting "Formatting" Value;
    /// Newtonsoft's `JTokenType`.
    JTokenType "JTokenType" Value;
    /// `Convert`.
    Convert "Convert" Static;
    /// `Math`.
    Math "Math" Static;
    /// `WebUtility`.
    WebUtility "WebUtility" Static;
}

impl Type {
    /// Whether it is one of Newtonsoft's tokens.
    pub fn is_json(self) -> bool {
        matches!(
            self,
            Self::JToken | Self::JObject | Self::JArray | Self::JValue | Self::JProperty
        )
    }

    /// Whether `+`, `-`, `*` and `/` calculate with it.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Char | Self::Int | Self::Long | Self::Double)
    }

    /// Whether a value of it is a name with a number.
    pub fn constants(self) -> &'static [(&'static str, i32)] {
        match self {
            Self::StringComparison => &[
                ("CurrentCulture", 0),
                ("CurrentCultureIgnoreCase", 1),
                ("InvariantCulture", 2),
                ("InvariantCultureIgnoreCase", 3),
                ("Ordinal", 4),
                ("OrdinalIgnoreCase", 5),
            ],
            Self::StringSplitOptions => &[("None", 0), ("RemoveEmptyEntries", 1)],
            Self::DateTimeKind => &[("Unspecified", 0), ("Utc", 1), ("Local", 2)],
            Self::DayOfWeek => &[
                ("Sunday", 0),
                ("Monday", 1),
                ("Tuesday", 2),
                ("Wednesday", 3),
                ("Thursday", 4),
                ("Friday", 5),
                ("Saturday", 6),
            ],
            Self::Formatting => &[("None", 0), ("Indented", 1)],
            Self::JTokenType => &[
                ("None", 0),
                ("Object", 1),
                ("Array", 2),
                ("Constructor", 3),
                ("Property", 4),
                ("Comment", 5),
                ("Integer", 6),
                ("Float", 7),
                ("String", 8),
                ("Boolean", 9),
                ("Null", 10),
                ("Undefined", 11),
                ("Date", 12),
                ("Raw", 13),
                ("Bytes", 14),
                ("Guid", 15),
                ("Uri", 16),
                ("TimeSpan", 17),
            ],
            _ => &[],
        }
    }
}
