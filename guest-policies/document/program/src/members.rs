//! The table of members: all that an expression may name after a dot, construct
//! or index, each with its types and its tier.
//!
//! One line is one overload. An instance's member takes the instance as its first
//! argument in a program; a static one and a constructor don't. The guest has a
//! function for each line, the checker
//! finds the line by name and arguments, and a test wants a case for each.

use serde::{Deserialize, Serialize};

use crate::kinds::Type;

/// How a member is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `value.Name`
    Property,
    /// `value.Name(…)`, also where C# would call it an extension method.
    Method,
    /// `Type.Name`
    Static,
    /// `Type.Name(…)`
    StaticMethod,
    /// `new Type(…)`
    Constructor,
    /// `value[…]`
    Indexer,
    /// `value.Name<T>(…)`
    Generic,
    /// `left + right` of types that are no numbers.
    Operator,
}

/// The tiers of API Management's expressions, by how often documents use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Variables, headers, texts, conditions.
    T0,
    /// Answers, bodies, JSON.
    T1,
    /// Statements, dates, GUIDs, encodings, tokens.
    T2,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Which.
    pub member: Member,
    /// On what; for a constructor, what it makes.
    pub receiver: Type,
    /// How it is written.
    pub form: Form,
    /// Its name.
    pub name: &'static str,
    /// Its parameters, without the instance.
    pub parameters: &'static [Type],
    /// What it gives; [`Type::Generic`] is what stands between `<` and `>`.
    pub gives: Type,
    /// Whether what it gives may be `null` though its type is a value type.
    pub nullable: bool,
    /// Its tier.
    pub tier: Tier,
}

macro_rules! members {
    ($($id:ident: $form:ident $receiver:ident $name:literal ($($parameter:ident),*) $gives:ident $($null:literal)? $tier:ident;)*) => {
        /// A member of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each is a line of the table, which says what it is")]
        pub enum Member { $($id,)* }

        /// The table.
        pub const MEMBERS: &[Info] = &[$(Info {
            member: Member::$id,
            receiver: Type::$receiver,
            form: Form::$form,
            name: $name,
            parameters: &[$(Type::$parameter),*],
            gives: Type::$gives,
            nullable: members!(@null $($null)?),
            tier: Tier::$tier,
        },)*];

        impl Member {
            /// How many arguments it takes, the instance among them: at least, and at most.
            fn arity(self) -> (usize, usize) {
                match self {
                    $(Self::$id => const { arity(Form::$form, &[$(Type::$parameter),*]) },)*
                }
            }

            /// Whether its first argument is the instance that it is a member of.
            pub fn has_instance(self) -> bool {
                match self {
                    $(Self::$id => const { instance(Form::$form) == 1 },)*
                }
            }
        }
    };
    (@null) => { false };
    (@null $null:literal) => { true };
}

const fn instance(form: Form) -> usize {
    match form {
        Form::Property | Form::Method | Form::Indexer | Form::Generic => 1,
        Form::Static | Form::StaticMethod | Form::Constructor | Form::Operator => 0,
    }
}

const fn arity(form: Form, parameters: &[Type]) -> (usize, usize) {
    let instance = instance(form);
    let count = parameters.len();
    match parameters {
        [.., Type::ObjectsFrom | Type::StringsFrom | Type::CharsFrom] => {
            (instance + count - 1, usize::MAX)
        }
        _ => (instance + count, instance + count),
    }
}

impl Member {
    /// Whether it can be called with so many arguments, the instance among them.
    pub fn takes(self, arguments: usize) -> bool {
        let (least, most) = self.arity();
        (least..=most).contains(&arguments)
    }

    /// Its line.
    pub fn info(self) -> Option<&'static Info> {
        MEMBERS.iter().find(|info| info.member == self)
    }
}

members! {
    // object
    ObjectToString: Method Object "ToString" () String T0;
    ObjectEquals: Method Object "Equals" (Object) Bool T0;
    ObjectEqualsStatic: StaticMethod Object "Equals" (Object, Object) Bool T0;

    // string
    StringLength: Property String "Length" () Int T0;
    StringIndex: Indexer String "this[]" (Int) Char T0;
    StringEmpty: Static String "Empty" () String T0;
    StringIsNullOrEmpty: StaticMethod String "IsNullOrEmpty" (String) Bool T0;
    StringIsNullOrWhiteSpace: StaticMethod String "IsNullOrWhiteSpace" (String) Bool T0;
    StringEqualsStatic: StaticMethod String "Equals" (String, String) Bool T0;
    StringEqualsStaticHow: StaticMethod String "Equals" (String, String, StringComparison) Bool T0;
    StringCompare: StaticMethod String "CompareOrdinal" (String, String) Int T0;
    StringConcat: StaticMethod String "Concat" (ObjectsFrom) String T0;
    StringJoinAll: StaticMethod String "Join" (String, Strings) String T0;
    StringJoin: StaticMethod String "Join" (String, ObjectsFrom) String T0;
    StringEquals: Method String "Equals" (String) Bool T0;
    StringEqualsHow: Method String "Equals" (String, StringComparison) Bool T0;
    StringContains: Method String "Contains" (String) Bool T0;
    StringContainsHow: Method String "Contains" (String, StringComparison) Bool T0;
    StringStartsWith: Method String "StartsWith" (String) Bool T0;
    StringStartsWithHow: Method String "StartsWith" (String, StringComparison) Bool T0;
    StringEndsWith: Method String "EndsWith" (String) Bool T0;
    StringEndsWithHow: Method String "EndsWith" (String, StringComparison) Bool T0;
    StringIndexOf: Method String "IndexOf" (String) Int T0;
    StringIndexOfChar: Method String "IndexOf" (Char) Int T0;
    StringIndexOfFrom: Method String "IndexOf" (String, Int) Int T0;
    StringIndexOfCharFrom: Method String "IndexOf" (Char, Int) Int T0;
    StringIndexOfHow: Method String "IndexOf" (String, StringComparison) Int T0;
    StringLastIndexOf: Method String "LastIndexOf" (String) Int T0;
    StringLastIndexOfChar: Method String "LastIndexOf" (Char) Int T0;
    StringSubstring: Method String "Substring" (Int) String T0;
    StringSubstringLength: Method String "Substring" (Int, Int) String T0;
    StringRemove: Method String "Remove" (Int) String T0;
    StringRemoveLength: Method String "Remove" (Int, Int) String T0;
    StringInsert: Method String "Insert" (Int, String) String T0;
    StringReplace: Method String "Replace" (String, String) String T0;
    StringReplaceChar: Method String "Replace" (Char, Char) String T0;
    StringSplit: Method String "Split" (CharsFrom) Strings T0;
    StringSplitText: Method String "Split" (String) Strings T0;
    StringSplitHow: Method String "Split" (Char, StringSplitOptions) Strings T0;
    StringSplitString: Method String "Split" (String, StringSplitOptions) Strings T0;
    StringToLower: Method String "ToLower" () String T0;
    StringToLowerInvariant: Method String "ToLowerInvariant" () String T0;
    StringToUpper: Method String "ToUpper" () String T0;
    StringToUpperInvariant: Method String "ToUpperInvariant" () String T0;
    StringTrim: Method String "Trim" (CharsFrom) String T0;
    StringTrimStart: Method String "TrimStart" (CharsFrom) String T0;
    StringTrimEnd: Method String "TrimEnd" (CharsFrom) String T0;
    StringPadLeft: Method String "PadLeft" (Int) String T0;
    StringPadLeftWith: Method String "PadLeft" (Int, Char) String T0;
    StringPadRight: Method String "PadRight" (Int) String T0;
    StringPadRightWith: Method String "PadRight" (Int, Char) String T0;
    StringCompareTo: Method String "CompareTo" (String) Int T0;

    // char, string[], byte[]
    CharIsDigit: StaticMethod Char "IsDigit" (Char) Bool T0;
    CharIsLetter: StaticMethod Char "IsLetter" (Char) Bool T0;
    CharIsLetterOrDigit: StaticMethod Char "IsLetterOrDigit" (Char) Bool T0;
    CharIsWhiteSpace: StaticMethod Char "IsWhiteSpace" (Char) Bool T0;
    CharToUpper: StaticMethod Char "ToUpperInvariant" (Char) Char T0;
    CharToLower: StaticMethod Char "ToLowerInvariant" (Char) Char T0;
    StringsLength: Property Strings "Length" () Int T0;
    StringsIndex: Indexer Strings "this[]" (Int) String T0;
    StringsFirst: Method Strings "First" () String T0;
    StringsLast: Method Strings "Last" () String T0;
    StringsFirstOrDefault: Method Strings "FirstOrDefault" () String T0;
    StringsLastOrDefault: Method Strings "LastOrDefault" () String T0;
    StringsContains: Method Strings "Contains" (String) Bool T0;
    StringsCount: Method Strings "Count" () Int T0;
    StringsAny: Method Strings "Any" () Bool T0;
    BytesLength: Property Bytes "Length" () Int T2;

    // bool, numbers
    BoolParse: StaticMethod Bool "Parse" (String) Bool T0;
    BoolTrueString: Static Bool "TrueString" () String T0;
    BoolFalseString: Static Bool "FalseString" () String T0;
    IntParse: StaticMethod Int "Parse" (String) Int T2;
    IntMaxValue: Static Int "MaxValue" () Int T2;
    IntMinValue: Static Int "MinValue" () Int T2;
    IntToString: Method Int "ToString" (String) String T2;
    IntCompareTo: Method Int "CompareTo" (Int) Int T2;
    LongParse: StaticMethod Long "Parse" (String) Long T2;
    LongMaxValue: Static Long "MaxValue" () Long T2;
    LongMinValue: Static Long "MinValue" () Long T2;
    LongToString: Method Long "ToString" (String) String T2;
    DoubleParse: StaticMethod Double "Parse" (String) Double T2;
    DoubleToString: Method Double "ToString" (String) String T2;
    MathAbsInt: StaticMethod Math "Abs" (Int) Int T2;
    MathAbsLong: StaticMethod Math "Abs" (Long) Long T2;
    MathAbs: StaticMethod Math "Abs" (Double) Double T2;
    MathMinInt: StaticMethod Math "Min" (Int, Int) Int T2;
    MathMinLong: StaticMethod Math "Min" (Long, Long) Long T2;
    MathMin: StaticMethod Math "Min" (Double, Double) Double T2;
    MathMaxInt: StaticMethod Math "Max" (Int, Int) Int T2;
    MathMaxLong: StaticMethod Math "Max" (Long, Long) Long T2;
    MathMax: StaticMethod Math "Max" (Double, Double) Double T2;
    MathFloor: StaticMethod Math "Floor" (Double) Double T2;
    MathCeiling: StaticMethod Math "Ceiling" (Double) Double T2;
    MathRound: StaticMethod Math "Round" (Double) Double T2;
    MathRoundTo: StaticMethod Math "Round" (Double, Int) Double T2;
    MathTruncate: StaticMethod Math "Truncate" (Double) Double T2;
    MathPow: StaticMethod Math "Pow" (Double, Double) Double T2;
    MathSqrt: StaticMethod Math "Sqrt" (Double) Double T2;
    RandomNew: Constructor Random "new" () Random T2;
    RandomNewSeeded: Constructor Random "new" (Int) Random T2;
    RandomNext: Method Random "Next" () Int T2;
    RandomNextBelow: Method Random "Next" (Int) Int T2;
    RandomNextBetween: Method Random "Next" (Int, Int) Int T2;
    RandomNextDouble: Method Random "NextDouble" () Double T2;

    // Convert, Encoding, Uri, WebUtility
    ConvertToInt: StaticMethod Convert "ToInt32" (Object) Int T2;
    ConvertToIntBase: StaticMethod Convert "ToInt32" (String, Int) Int T2;
    ConvertToLong: StaticMethod Convert "ToInt64" (Object) Long T2;
    ConvertToDouble: StaticMethod Convert "ToDouble" (Object) Double T2;
    ConvertToBool: StaticMethod Convert "ToBoolean" (Object) Bool T2;
    ConvertToString: StaticMethod Convert "ToString" (Object) String T2;
    ConvertToDateTime: StaticMethod Convert "ToDateTime" (String) DateTime T2;
    ConvertToBase64: StaticMethod Convert "ToBase64String" (Bytes) String T2;
    ConvertFromBase64: StaticMethod Convert "FromBase64String" (String) Bytes T2;
    EncodingUtf8: Static Encoding "UTF8" () Encoding T2;
    EncodingAscii: Static Encoding "ASCII" () Encoding T2;
    EncodingUnicode: Static Encoding "Unicode" () Encoding T2;
    EncodingGetBytes: Method Encoding "GetBytes" (String) Bytes T2;
    EncodingGetString: Method Encoding "GetString" (Bytes) String T2;
    UriEscapeData: StaticMethod Uri "EscapeDataString" (String) String T2;
    UriUnescapeData: StaticMethod Uri "UnescapeDataString" (String) String T2;
    WebUrlEncode: StaticMethod WebUtility "UrlEncode" (String) String T2;
    WebUrlDecode: StaticMethod WebUtility "UrlDecode" (String) String T2;
    WebHtmlEncode: StaticMethod WebUtility "HtmlEncode" (String) String T2;
    WebHtmlDecode: StaticMethod WebUtility "HtmlDecode" (String) String T2;
    UriNew: Constructor Uri "new" (String) Uri T2;
    UriScheme: Property Uri "Scheme" () String T2;
    UriHost: Property Uri "Host" () String T2;
    UriPort: Property Uri "Port" () Int T2;
    UriAbsolutePath: Property Uri "AbsolutePath" () String T2;
    UriPathAndQuery: Property Uri "PathAndQuery" () String T2;
    UriQuery: Property Uri "Query" () String T2;
    UriAbsoluteUri: Property Uri "AbsoluteUri" () String T2;

    // Guid
    GuidNew: StaticMethod Guid "NewGuid" () Guid T2;
    GuidParse: StaticMethod Guid "Parse" (String) Guid T2;
    GuidFromText: Constructor Guid "new" (String) Guid T2;
    GuidEmpty: Static Guid "Empty" () Guid T2;
    GuidToString: Method Guid "ToString" (String) String T2;
    GuidToBytes: Method Guid "ToByteArray" () Bytes T2;

    // DateTime, DateTimeOffset, TimeSpan
    DateTimeNow: Static DateTime "Now" () DateTime T2;
    DateTimeUtcNow: Static DateTime "UtcNow" () DateTime T2;
    DateTimeToday: Static DateTime "Today" () DateTime T2;
    DateTimeMinValue: Static DateTime "MinValue" () DateTime T2;
    DateTimeMaxValue: Static DateTime "MaxValue" () DateTime T2;
    DateTimeParse: StaticMethod DateTime "Parse" (String) DateTime T2;
    DateTimeNew: Constructor DateTime "new" (Int, Int, Int) DateTime T2;
    DateTimeNewTime: Constructor DateTime "new" (Int, Int, Int, Int, Int, Int) DateTime T2;
    DateTimeNewKind: Constructor DateTime "new" (Int, Int, Int, Int, Int, Int, DateTimeKind) DateTime T2;
    DateTimeToText: Method DateTime "ToString" (String) String T2;
    DateTimeAdd: Method DateTime "Add" (TimeSpan) DateTime T2;
    DateTimeSubtract: Method DateTime "Subtract" (DateTime) TimeSpan T2;
    DateTimeAddMilliseconds: Method DateTime "AddMilliseconds" (Double) DateTime T2;
    DateTimeAddSeconds: Method DateTime "AddSeconds" (Double) DateTime T2;
    DateTimeAddMinutes: Method DateTime "AddMinutes" (Double) DateTime T2;
    DateTimeAddHours: Method DateTime "AddHours" (Double) DateTime T2;
    DateTimeAddDays: Method DateTime "AddDays" (Double) DateTime T2;
    DateTimeAddMonths: Method DateTime "AddMonths" (Int) DateTime T2;
    DateTimeAddYears: Method DateTime "AddYears" (Int) DateTime T2;
    DateTimeToUniversal: Method DateTime "ToUniversalTime" () DateTime T2;
    DateTimeYear: Property DateTime "Year" () Int T2;
    DateTimeMonth: Property DateTime "Month" () Int T2;
    DateTimeDay: Property DateTime "Day" () Int T2;
    DateTimeHour: Property DateTime "Hour" () Int T2;
    DateTimeMinute: Property DateTime "Minute" () Int T2;
    DateTimeSecond: Property DateTime "Second" () Int T2;
    DateTimeMillisecond: Property DateTime "Millisecond" () Int T2;
    DateTimeDayOfWeek: Property DateTime "DayOfWeek" () DayOfWeek T2;
    DateTimeDayOfYear: Property DateTime "DayOfYear" () Int T2;
    DateTimeTicks: Property DateTime "Ticks" () Long T2;
    DateTimeDate: Property DateTime "Date" () DateTime T2;
    DateTimeKindOf: Property DateTime "Kind" () DateTimeKind T2;
    DateTimeMinus: Operator DateTime "-" (DateTime, DateTime) TimeSpan T2;
    DateTimeMinusSpan: Operator DateTime "-" (DateTime, TimeSpan) DateTime T2;
    DateTimePlusSpan: Operator DateTime "+" (DateTime, TimeSpan) DateTime T2;
    OffsetNow: Static DateTimeOffset "Now" () DateTimeOffset T2;
    OffsetUtcNow: Static DateTimeOffset "UtcNow" () DateTimeOffset T2;
    OffsetParse: StaticMethod DateTimeOffset "Parse" (String) DateTimeOffset T2;
    OffsetFromSeconds: StaticMethod DateTimeOffset "FromUnixTimeSeconds" (Long) DateTimeOffset T2;
    OffsetFromMilliseconds: StaticMethod DateTimeOffset "FromUnixTimeMilliseconds" (Long) DateTimeOffset T2;
    OffsetNew: Constructor DateTimeOffset "new" (DateTime) DateTimeOffset T2;
    OffsetToText: Method DateTimeOffset "ToString" (String) String T2;
    OffsetToSeconds: Method DateTimeOffset "ToUnixTimeSeconds" () Long T2;
    OffsetToMilliseconds: Method DateTimeOffset "ToUnixTimeMilliseconds" () Long T2;
    OffsetAddSeconds: Method DateTimeOffset "AddSeconds" (Double) DateTimeOffset T2;
    OffsetAddMinutes: Method DateTimeOffset "AddMinutes" (Double) DateTimeOffset T2;
    OffsetAddHours: Method DateTimeOffset "AddHours" (Double) DateTimeOffset T2;
    OffsetAddDays: Method DateTimeOffset "AddDays" (Double) DateTimeOffset T2;
    OffsetAdd: Method DateTimeOffset "Add" (TimeSpan) DateTimeOffset T2;
    OffsetDateTime: Property DateTimeOffset "DateTime" () DateTime T2;
    OffsetUtcDateTime: Property DateTimeOffset "UtcDateTime" () DateTime T2;
    OffsetMinus: Operator DateTimeOffset "-" (DateTimeOffset, DateTimeOffset) TimeSpan T2;
    OffsetPlusSpan: Operator DateTimeOffset "+" (DateTimeOffset, TimeSpan) DateTimeOffset T2;
    SpanZero: Static TimeSpan "Zero" () TimeSpan T2;
    SpanFromSeconds: StaticMethod TimeSpan "FromSeconds" (Double) TimeSpan T2;
    SpanFromMinutes: StaticMethod TimeSpan "FromMinutes" (Double) TimeSpan T2;
    SpanFromHours: StaticMethod TimeSpan "FromHours" (Double) TimeSpan T2;
    SpanFromDays: StaticMethod TimeSpan "FromDays" (Double) TimeSpan T2;
    SpanNew: Constructor TimeSpan "new" (Int, Int, Int) TimeSpan T2;
    SpanTotalSeconds: Property TimeSpan "TotalSeconds" () Double T2;
    SpanTotalMilliseconds: Property TimeSpan "TotalMilliseconds" () Double T2;
    SpanTotalMinutes: Property TimeSpan "TotalMinutes" () Double T2;
    SpanTotalHours: Property TimeSpan "TotalHours" () Double T2;
    SpanTotalDays: Property TimeSpan "TotalDays" () Double T2;
    SpanSeconds: Property TimeSpan "Seconds" () Int T2;
    SpanMinutes: Property TimeSpan "Minutes" () Int T2;
    SpanHours: Property TimeSpan "Hours" () Int T2;
    SpanDays: Property TimeSpan "Days" () Int T2;
    SpanTicks: Property TimeSpan "Ticks" () Long T2;
    SpanPlus: Operator TimeSpan "+" (TimeSpan, TimeSpan) TimeSpan T2;
    SpanMinus: Operator TimeSpan "-" (TimeSpan, TimeSpan) TimeSpan T2;

    // Newtonsoft.Json.Linq
    TokenIndexName: Indexer JToken "this[]" (Object) JToken T1;
    TokenToText: Method JToken "ToString" (Formatting) String T1;
    TokenType: Property JToken "Type" () JTokenType T1;
    TokenHasValues: Property JToken "HasValues" () Bool T1;
    TokenFirst: Property JToken "First" () JToken T1;
    TokenLast: Property JToken "Last" () JToken T1;
    TokenPath: Property JToken "Path" () String T1;
    TokenValueOf: Generic JToken "Value" (Object) Generic T1;
    TokenSelect: Method JToken "SelectToken" (String) JToken T2;
    TokenParse: StaticMethod JToken "Parse" (String) JToken T2;
    TokenDeepEquals: StaticMethod JToken "DeepEquals" (JToken, JToken) Bool T2;
    TokenDeepClone: Method JToken "DeepClone" () JToken T2;
    TokenRemove: Method JToken "Remove" () Void T2;
    TokenSetName: Method JToken "set_Item" (Object, JToken) Void T2;
    ObjectIndexName: Indexer JObject "this[]" (String) JToken T1;
    ObjectParse: StaticMethod JObject "Parse" (String) JObject T2;
    ObjectNew: Constructor JObject "new" (ObjectsFrom) JObject T2;
    ObjectAdd: Method JObject "Add" (String, JToken) Void T2;
    ObjectAddContent: Method JObject "Add" (Object) Void T2;
    ObjectRemoveName: Method JObject "Remove" (String) Bool T2;
    ObjectContainsKey: Method JObject "ContainsKey" (String) Bool T2;
    ObjectProperty: Method JObject "Property" (String) JProperty T2;
    ObjectGetValue: Method JObject "GetValue" (String) JToken T2;
    ObjectCount: Property JObject "Count" () Int T2;
    ObjectFromToken: StaticMethod JObject "FromObject" (Object) JObject T2;
    ArrayIndex: Indexer JArray "this[]" (Int) JToken T1;
    ArrayParse: StaticMethod JArray "Parse" (String) JArray T2;
    ArrayNew: Constructor JArray "new" (ObjectsFrom) JArray T2;
    ArrayAdd: Method JArray "Add" (Object) Void T2;
    ArrayCount: Property JArray "Count" () Int T1;
    ArrayRemoveAt: Method JArray "RemoveAt" (Int) Void T2;
    ValueNew: Constructor JValue "new" (Object) JValue T2;
    ValueValue: Property JValue "Value" () Object T1;
    PropertyNew: Constructor JProperty "new" (String, Object) JProperty T2;
    PropertyName: Property JProperty "Name" () String T2;
    PropertyValue: Property JProperty "Value" () JToken T2;

    // Tokens of clients
    StringAsJwt: Method String "AsJwt" () Jwt T2;
    StringAsBasic: Method String "AsBasic" () BasicAuthCredentials T2;
    JwtAlgorithm: Property Jwt "Algorithm" () String T2;
    JwtAudiences: Property Jwt "Audiences" () Strings T2;
    JwtClaims: Property Jwt "Claims" () Lists T2;
    JwtExpiration: Property Jwt "ExpirationTime" () DateTime "?" T2;
    JwtNotBefore: Property Jwt "NotBefore" () DateTime "?" T2;
    JwtIssuedAt: Property Jwt "IssuedAt" () DateTime "?" T2;
    JwtId: Property Jwt "Id" () String T2;
    JwtIssuer: Property Jwt "Issuer" () String T2;
    JwtSubject: Property Jwt "Subject" () String T2;
    JwtType: Property Jwt "Type" () String T2;
    BasicUserId: Property BasicAuthCredentials "UserId" () String T2;
    BasicPassword: Property BasicAuthCredentials "Password" () String T2;

    // Dictionaries of the context
    ListsIndex: Indexer Lists "this[]" (String) Strings T0;
    ListsContainsKey: Method Lists "ContainsKey" (String) Bool T0;
    ListsCount: Property Lists "Count" () Int T0;
    ListsGet: Method Lists "GetValueOrDefault" (String) String T0;
    ListsGetOr: Method Lists "GetValueOrDefault" (String, String) String T0;
    TextsIndex: Indexer Texts "this[]" (String) String T0;
    TextsContainsKey: Method Texts "ContainsKey" (String) Bool T0;
    TextsCount: Property Texts "Count" () Int T0;
    TextsGet: Method Texts "GetValueOrDefault" (String) String T0;
    TextsGetOr: Method Texts "GetValueOrDefault" (String, String) String T0;
    VariablesIndex: Indexer Variables "this[]" (String) Object T0;
    VariablesContainsKey: Method Variables "ContainsKey" (String) Bool T0;
    VariablesCount: Property Variables "Count" () Int T0;
    VariablesGet: Method Variables "GetValueOrDefault" (String) Object T0;
    VariablesGetAs: Generic Variables "GetValueOrDefault" (String) Generic T0;
    VariablesGetAsOr: Generic Variables "GetValueOrDefault" (String, Generic) Generic T0;

    // context
    ContextVariables: Property Context "Variables" () Variables T0;
    ContextRequest: Property Context "Request" () IRequest T0;
    ContextResponse: Property Context "Response" () IResponse T0;
    ContextLastError: Property Context "LastError" () LastError T0;
    ContextUser: Property Context "User" () IUser T0;
    ContextApi: Property Context "Api" () IApi T0;
    ContextOperation: Property Context "Operation" () IOperation T0;
    ContextProduct: Property Context "Product" () IProduct T0;
    ContextSubscription: Property Context "Subscription" () ISubscription T0;
    ContextDeployment: Property Context "Deployment" () IDeployment T0;
    ContextRequestId: Property Context "RequestId" () Guid T0;
    ContextElapsed: Property Context "Elapsed" () TimeSpan T2;
    ContextTimestamp: Property Context "Timestamp" () DateTime T2;
    ContextTracing: Property Context "Tracing" () Bool T0;
    ContextTrace: Method Context "Trace" (String) Void T2;
    RequestMethod: Property IRequest "Method" () String T0;
    RequestIpAddress: Property IRequest "IpAddress" () String T0;
    RequestHeaders: Property IRequest "Headers" () Lists T0;
    RequestMatched: Property IRequest "MatchedParameters" () Texts T0;
    RequestUrl: Property IRequest "Url" () IUrl T0;
    RequestOriginalUrl: Property IRequest "OriginalUrl" () IUrl T0;
    RequestBody: Property IRequest "Body" () IMessageBody T1;
    ResponseStatusCode: Property IResponse "StatusCode" () Int T1;
    ResponseStatusReason: Property IResponse "StatusReason" () String T1;
    ResponseHeaders: Property IResponse "Headers" () Lists T1;
    ResponseBody: Property IResponse "Body" () IMessageBody T1;
    BodyAs: Generic IMessageBody "As" () Generic T1;
    BodyAsPreserve: Generic IMessageBody "As" (Bool) Generic T1;
    UrlScheme: Property IUrl "Scheme" () String T0;
    UrlHost: Property IUrl "Host" () String T0;
    UrlPort: Property IUrl "Port" () Int T0;
    UrlPath: Property IUrl "Path" () String T0;
    UrlQueryString: Property IUrl "QueryString" () String T0;
    UrlQuery: Property IUrl "Query" () Lists T0;
    LastErrorSource: Property LastError "Source" () String T0;
    LastErrorReason: Property LastError "Reason" () String T0;
    LastErrorMessage: Property LastError "Message" () String T0;
    LastErrorScope: Property LastError "Scope" () String T0;
    LastErrorSection: Property LastError "Section" () String T0;
    LastErrorPath: Property LastError "Path" () String T0;
    LastErrorPolicyId: Property LastError "PolicyId" () String T0;
    UserId: Property IUser "Id" () String T0;
    UserEmail: Property IUser "Email" () String T0;
    UserFirstName: Property IUser "FirstName" () String T0;
    UserLastName: Property IUser "LastName" () String T0;
    UserNote: Property IUser "Note" () String T0;
    ApiId: Property IApi "Id" () String T0;
    ApiName: Property IApi "Name" () String T0;
    ApiPath: Property IApi "Path" () String T0;
    ApiVersion: Property IApi "Version" () String T0;
    ApiRevision: Property IApi "Revision" () String T0;
    ApiServiceUrl: Property IApi "ServiceUrl" () IUrl T0;
    OperationId: Property IOperation "Id" () String T0;
    OperationName: Property IOperation "Name" () String T0;
    OperationMethod: Property IOperation "Method" () String T0;
    OperationUrlTemplate: Property IOperation "UrlTemplate" () String T0;
    ProductId: Property IProduct "Id" () String T0;
    ProductName: Property IProduct "Name" () String T0;
    SubscriptionId: Property ISubscription "Id" () String T0;
    SubscriptionName: Property ISubscription "Name" () String T0;
    DeploymentRegion: Property IDeployment "Region" () String T0;
    DeploymentServiceName: Property IDeployment "ServiceName" () String T0;
    DeploymentServiceId: Property IDeployment "ServiceId" () String T0;
    DeploymentGatewayId: Property IDeployment "GatewayId" () String T0;
}
