//! What the author may have meant.

/// The one of `valid` that is a slip of the hand away from `found`.
pub(crate) fn closest<'a>(found: &str, valid: &[&'a str]) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if found.chars().count() > LONGEST {
        return None;
    }
    valid
        .iter()
        .map(|name| (strsim::levenshtein(&found.to_lowercase(), name), *name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Whether Azure API Management has a policy of that name.
pub(crate) fn is_apim_policy(name: &str) -> bool {
    APIM_POLICIES.binary_search(&name).is_ok()
}

/// Sorted. Those that documents here have too are not in it.
const APIM_POLICIES: [&str; 75] = [
    "authentication-basic",
    "authentication-certificate",
    "authentication-managed-identity",
    "azure-openai-emit-token-metric",
    "azure-openai-semantic-cache-lookup",
    "azure-openai-semantic-cache-store",
    "azure-openai-token-limit",
    "cache-lookup",
    "cache-lookup-value",
    "cache-remove-value",
    "cache-store",
    "cache-store-value",
    "cache-value",
    "check-header",
    "choose",
    "cors",
    "cosmosdb-data-source",
    "cross-domain",
    "emit-metric",
    "find-and-replace",
    "forward-request",
    "get-authorization-context",
    "http-data-source",
    "include-fragment",
    "invoke-dapr-binding",
    "invoke-request",
    "ip-filter",
    "json-to-xml",
    "jsonp",
    "limit-concurrency",
    "llm-content-safety",
    "llm-emit-token-metric",
    "llm-semantic-cache-lookup",
    "llm-semantic-cache-store",
    "llm-token-limit",
    "log-to-eventhub",
    "mock-response",
    "otherwise",
    "proxy",
    "publish-event",
    "publish-to-dapr",
    "quota",
    "quota-by-key",
    "rate-limit",
    "rate-limit-by-key",
    "redirect-content-urls",
    "retry",
    "return-response",
    "rewrite-uri",
    "send-one-way-request",
    "send-request",
    "send-service-bus-message",
    "set-backend-service",
    "set-body",
    "set-graphql-resolver",
    "set-method",
    "set-query-parameter",
    "set-status",
    "set-url",
    "sql-data-source",
    "trace",
    "validate-azure-ad-token",
    "validate-client-certificate",
    "validate-content",
    "validate-graphql-request",
    "validate-headers",
    "validate-jwt",
    "validate-odata-request",
    "validate-parameters",
    "validate-status-code",
    "wait",
    "when",
    "xml-to-json",
    "xsl-transform",
    "xsl:stylesheet",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_a_different_word_is_not() {
        let valid = ["inbound", "backend", "outbound", "on-error"];
        assert_eq!(closest("inbund", &valid), Some("inbound"));
        assert_eq!(closest("Inbound", &valid), Some("inbound"));
        assert_eq!(closest("onerror", &valid), Some("on-error"));
        assert_eq!(closest("fragment", &valid), None);
        assert_eq!(closest("", &["base"]), None);
        assert_eq!(closest(&"x".repeat(1000), &valid), None);
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(APIM_POLICIES.is_sorted());
    }
}
