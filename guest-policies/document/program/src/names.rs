//! The names of elements and attributes, so that a program holds numbers.
//!
//! The tables of `host/document` have no element and no attribute that is missing
//! here; a test there holds that.

macro_rules! names {
    ($(#[$doc:meta])* $enum:ident: $($name:ident $text:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[expect(missing_docs, reason = "each is the name that stands beside it")]
        pub enum $enum { $($name,)* }

        impl $enum {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As documents write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The one that documents write so.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

pub(crate) use names;

names! {
    /// An element of a policy document.
    ElementName:
    Address "address"
    AddressRange "address-range"
    AllowedHeaders "allowed-headers"
    AllowedMethods "allowed-methods"
    AllowedOrigins "allowed-origins"
    Api "api"
    Audience "audience"
    Audiences "audiences"
    AuthenticationBasic "authentication-basic"
    AuthenticationCertificate "authentication-certificate"
    AuthenticationManagedIdentity "authentication-managed-identity"
    CacheLookupValue "cache-lookup-value"
    CacheRemoveValue "cache-remove-value"
    CacheStoreValue "cache-store-value"
    CheckHeader "check-header"
    Choose "choose"
    Claim "claim"
    Cors "cors"
    DecryptionKeys "decryption-keys"
    ExposeHeaders "expose-headers"
    FindAndReplace "find-and-replace"
    ForwardRequest "forward-request"
    Header "header"
    IncludeFragment "include-fragment"
    IpFilter "ip-filter"
    Issuer "issuer"
    IssuerSigningKeys "issuer-signing-keys"
    Issuers "issuers"
    Key "key"
    LimitConcurrency "limit-concurrency"
    Message "message"
    Metadata "metadata"
    Method "method"
    MockResponse "mock-response"
    OpenidConfig "openid-config"
    Operation "operation"
    Origin "origin"
    Otherwise "otherwise"
    RateLimit "rate-limit"
    RateLimitByKey "rate-limit-by-key"
    RequiredClaims "required-claims"
    Retry "retry"
    ReturnResponse "return-response"
    RewriteUri "rewrite-uri"
    SendOneWayRequest "send-one-way-request"
    SendRequest "send-request"
    SetBackendService "set-backend-service"
    SetBody "set-body"
    SetHeader "set-header"
    SetMethod "set-method"
    SetQueryParameter "set-query-parameter"
    SetStatus "set-status"
    SetUrl "set-url"
    SetVariable "set-variable"
    Trace "trace"
    ValidateJwt "validate-jwt"
    Value "value"
    Wait "wait"
    When "when"
}

names! {
    /// An attribute of an element.
    AttributeName:
    Action "action"
    AllowCredentials "allow-credentials"
    BackendId "backend-id"
    BaseUrl "base-url"
    Body "body"
    BufferRequestBody "buffer-request-body"
    BufferResponse "buffer-response"
    CachingType "caching-type"
    Calls "calls"
    CertificateId "certificate-id"
    ClientId "client-id"
    ClockSkew "clock-skew"
    Code "code"
    Condition "condition"
    ContentType "content-type"
    ContinueTimeout "continue-timeout"
    CopyUnmatchedParams "copy-unmatched-params"
    Count "count"
    CounterKey "counter-key"
    DefaultValue "default-value"
    Delta "delta"
    Duration "duration"
    E "e"
    ExistsAction "exists-action"
    FailOnErrorStatusCode "fail-on-error-status-code"
    FailedCheckErrorMessage "failed-check-error-message"
    FailedCheckHttpcode "failed-check-httpcode"
    FailedValidationErrorMessage "failed-validation-error-message"
    FailedValidationHttpcode "failed-validation-httpcode"
    FirstFastRetry "first-fast-retry"
    FollowRedirects "follow-redirects"
    For "for"
    FragmentId "fragment-id"
    From "from"
    HeaderName "header-name"
    HttpVersion "http-version"
    Id "id"
    IgnoreCase "ignore-case"
    IgnoreError "ignore-error"
    IncrementAfterResponse "increment-after-response"
    IncrementCondition "increment-condition"
    IncrementCount "increment-count"
    Index "index"
    Interval "interval"
    Key "key"
    Match "match"
    MaxCount "max-count"
    MaxInterval "max-interval"
    Mode "mode"
    N "n"
    Name "name"
    OutputTokenVariableName "output-token-variable-name"
    ParseDate "parse-date"
    Password "password"
    PreflightResultMaxAge "preflight-result-max-age"
    QueryParameterName "query-parameter-name"
    Reason "reason"
    RemainingCallsHeaderName "remaining-calls-header-name"
    RemainingCallsVariableName "remaining-calls-variable-name"
    RenewalPeriod "renewal-period"
    RequireExpirationTime "require-expiration-time"
    RequireScheme "require-scheme"
    RequireSignedTokens "require-signed-tokens"
    Resource "resource"
    ResponseVariableName "response-variable-name"
    RetryAfterHeaderName "retry-after-header-name"
    RetryAfterVariableName "retry-after-variable-name"
    Separator "separator"
    Severity "severity"
    Source "source"
    StatusCode "status-code"
    Template "template"
    TerminateUnmatchedRequest "terminate-unmatched-request"
    Thumbprint "thumbprint"
    Timeout "timeout"
    TimeoutMs "timeout-ms"
    To "to"
    TokenValue "token-value"
    TotalCallsHeaderName "total-calls-header-name"
    Url "url"
    Username "username"
    Value "value"
    VariableName "variable-name"
    XsiNil "xsi-nil"
}
