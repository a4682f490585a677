//! Has the host write a shared access signature into the request to the backend: of
//! Azure Storage into its query, of Service Bus and Event Hubs into its header.
//!
//! The signature is made for the one blob, queue, table or entity that the request is
//! about, and allows what its method needs and no more, within what the grant allows.
//! It is good for minutes, and no policy and no client sees it.

#![forbid(unsafe_code)]

use keyward_policy::{
    Decision, Exchange, SharedAccessPermission, SharedAccessScope, SharedAccessTerms, Verdict,
    policy, settings,
};

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the key.
    #[setting(default = "storage")]
    pub alias: String,
    /// How long a signature is good for, in seconds. The grant bounds it.
    #[setting(default = 60, min = 1, max = 3600)]
    pub lifetime: u32,
    /// Whether the grant is for an entity of Service Bus or Event Hubs, whose
    /// signatures name no permissions.
    #[setting(default = false)]
    pub entity: bool,
}

/// Asks for a signature that allows what the method needs.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let lists = exchange.query("comp").as_deref() == Some("list");
    let (scope, permissions) = if settings.entity {
        (SharedAccessScope::Item, NOTHING)
    } else if lists {
        (SharedAccessScope::Container, LIST)
    } else {
        (SharedAccessScope::Item, needed(&exchange.method()))
    };
    let terms = SharedAccessTerms {
        scope,
        permissions,
        lifetime_seconds: Some(settings.lifetime),
    };
    exchange.shared_access(&settings.alias)?.attach(terms)?;
    Ok(Verdict::Proceed)
}

const NOTHING: &[SharedAccessPermission] = &[];
const LIST: &[SharedAccessPermission] = &[SharedAccessPermission::List];

/// What a method needs.
fn needed(method: &str) -> &'static [SharedAccessPermission] {
    match method {
        "PUT" => &[SharedAccessPermission::Write],
        "POST" => &[SharedAccessPermission::Add],
        "PATCH" | "MERGE" => &[SharedAccessPermission::Update],
        "DELETE" => &[SharedAccessPermission::Delete],
        _ => &[SharedAccessPermission::Read],
    }
}

policy! {
    settings: Settings,
    inbound: decide,
    backend: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::{Failure, testing::Simulation};

    use super::*;

    #[test]
    fn a_request_gets_a_signature() {
        let targets = [("GET", "/c/b"), ("PUT", "/c/b"), ("GET", "/c?comp=list")];
        for (method, target) in targets {
            let simulation = Simulation::request(method, target).grant("storage");
            let decision = decide(&Settings::default(), &simulation.exchange());
            assert_eq!(decision, Ok(Verdict::Proceed), "{method} {target}");
            assert_eq!(simulation.attached(), ["storage"], "{method} {target}");
        }
    }

    #[test]
    fn a_method_is_allowed_what_it_needs() {
        use SharedAccessPermission::{Add, Delete, Read, Update, Write};
        for (method, expected) in [
            ("GET", &[Read][..]),
            ("HEAD", &[Read]),
            ("PUT", &[Write]),
            ("POST", &[Add]),
            ("PATCH", &[Update]),
            ("DELETE", &[Delete]),
        ] {
            assert_eq!(needed(method), expected, "{method}");
        }
    }

    #[test]
    fn an_entity_of_service_bus_has_no_permissions() {
        let settings = Settings {
            entity: true,
            ..Settings::default()
        };
        let simulation = Simulation::request("POST", "/orders/messages").grant("storage");
        let decision = decide(&settings, &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("GET", "/c/b");
        let decision = decide(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Err(Failure::Denied));
    }
}
