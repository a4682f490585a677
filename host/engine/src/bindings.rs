//! What `wit/` looks like in Rust: generated, one module for the imports and one
//! for each phase. Tracing of call values stays off in every one of them.

wasmtime::component::bindgen!({
    world: "imports",
    path: "../../wit",
    imports: {
        "keyward:policy/egress.send": async | trappable,
        "keyward:policy/egress.send-within": async | trappable,
        "keyward:policy/egress.[method]response.read-body": async | trappable,
        "keyward:policy/exchange.[method]exchange.read-body": async | trappable,
        "keyward:policy/exchange.[method]exchange.forward": async | trappable,
        "keyward:policy/counters.increment": async | trappable,
        "keyward:policy/cache.get": async | trappable,
        "keyward:policy/cache.set": async | trappable,
        "keyward:policy/cache.remove": async | trappable,
        "keyward:policy/concurrency.enter": async | trappable,
        "keyward:policy/clock.sleep": async | trappable,
        "keyward:policy/secrets.[method]mac-signer.sign": async | trappable,
        "keyward:policy/secrets.[method]mac-verifier.verify": async | trappable,
        "keyward:policy/secrets.[method]sealer.seal": async | trappable,
        "keyward:policy/secrets.[method]opener.open-sealed": async | trappable,
        "keyward:policy/secrets.[method]jws-signer.sign": async | trappable,
        "keyward:policy/secrets.[method]database.query": async | trappable,
        "keyward:policy/secrets.[method]jwt-verifier.verify": async | trappable,
        default: trappable,
    },
    with: {
        "keyward:policy/exchange.exchange": crate::state::ExchangeHandle,
        "keyward:policy/egress.request": crate::state::PolicyRequest,
        "keyward:policy/egress.response": crate::state::PolicyResponse,
        "keyward:policy/concurrency.place": crate::state::PlaceHandle,
        "keyward:policy/secrets.credential": crate::state::CredentialHandle,
        "keyward:policy/secrets.signer": crate::state::SignerHandle,
        "keyward:policy/secrets.mac-signer": crate::state::MacSignerHandle,
        "keyward:policy/secrets.mac-verifier": crate::state::MacVerifierHandle,
        "keyward:policy/secrets.shared-access": crate::state::SharedAccessHandle,
        "keyward:policy/secrets.presigner": crate::state::PresignerHandle,
        "keyward:policy/secrets.connection": crate::state::ConnectionHandle,
        "keyward:policy/secrets.token": crate::state::TokenHandle,
        "keyward:policy/secrets.jwt-verifier": crate::state::JwtVerifierHandle,
        "keyward:policy/secrets.client-keys": crate::state::ClientKeysHandle,
        "keyward:policy/secrets.sealer": crate::state::SealerHandle,
        "keyward:policy/secrets.opener": crate::state::OpenerHandle,
        "keyward:policy/secrets.database": crate::state::DatabaseHandle,
        "keyward:policy/secrets.tls-identity": crate::state::TlsIdentityHandle,
        "keyward:policy/secrets.jws-signer": crate::state::JwsSignerHandle,
    },
    require_store_data_send: true,
});

macro_rules! phase_world {
    ($module:ident, $world:literal) => {
        pub(crate) mod $module {
            wasmtime::component::bindgen!({
                world: $world,
                path: "../../wit",
                exports: { default: async },
                with: {
                    "keyward:policy/exchange": crate::bindings::keyward::policy::exchange,
                    "keyward:policy/variables": crate::bindings::keyward::policy::variables,
                    "keyward:policy/egress": crate::bindings::keyward::policy::egress,
                    "keyward:policy/secrets": crate::bindings::keyward::policy::secrets,
                    "keyward:policy/counters": crate::bindings::keyward::policy::counters,
                    "keyward:policy/cache": crate::bindings::keyward::policy::cache,
                    "keyward:policy/concurrency": crate::bindings::keyward::policy::concurrency,
                    "keyward:policy/log": crate::bindings::keyward::policy::log,
                    "keyward:policy/clock": crate::bindings::keyward::policy::clock,
                    "keyward:policy/random": crate::bindings::keyward::policy::random,
                },
                require_store_data_send: true,
            });
        }
    };
}

phase_world!(inbound, "inbound-policy");
phase_world!(backend, "backend-policy");
phase_world!(outbound, "outbound-policy");
phase_world!(on_error, "on-error-policy");
phase_world!(configured, "configured-policy");
