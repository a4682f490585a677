//! Bindings generated from `wit/`, one module for each world.
//!
//! A world is generated on its own so that a component carries only the phases
//! that its policy exports: the description of a phase is linked when that
//! phase's export macro is called, and not before.

/// What every policy may import.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "imports",
        generate_all,
    });
}

/// The phase `inbound`.
pub mod inbound {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "inbound-policy",
        with: {
            "keyward:policy/exchange@0.1.0": super::imports::keyward::policy::exchange,
            "keyward:policy/variables@0.1.0": super::imports::keyward::policy::variables,
            "keyward:policy/egress@0.1.0": super::imports::keyward::policy::egress,
            "keyward:policy/secrets@0.1.0": super::imports::keyward::policy::secrets,
            "keyward:policy/counters@0.1.0": super::imports::keyward::policy::counters,
            "keyward:policy/cache@0.1.0": super::imports::keyward::policy::cache,
            "keyward:policy/concurrency@0.1.0": super::imports::keyward::policy::concurrency,
            "keyward:policy/log@0.1.0": super::imports::keyward::policy::log,
            "keyward:policy/clock@0.1.0": super::imports::keyward::policy::clock,
            "keyward:policy/random@0.1.0": super::imports::keyward::policy::random,
        },
        pub_export_macro: true,
        export_macro_name: "export_inbound",
        default_bindings_module: "keyward_policy::__glue::bindings::inbound",
        generate_all,
    });
}

/// The phase `backend`.
pub mod backend {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "backend-policy",
        with: {
            "keyward:policy/exchange@0.1.0": super::imports::keyward::policy::exchange,
            "keyward:policy/variables@0.1.0": super::imports::keyward::policy::variables,
            "keyward:policy/egress@0.1.0": super::imports::keyward::policy::egress,
            "keyward:policy/secrets@0.1.0": super::imports::keyward::policy::secrets,
            "keyward:policy/counters@0.1.0": super::imports::keyward::policy::counters,
            "keyward:policy/cache@0.1.0": super::imports::keyward::policy::cache,
            "keyward:policy/concurrency@0.1.0": super::imports::keyward::policy::concurrency,
            "keyward:policy/log@0.1.0": super::imports::keyward::policy::log,
            "keyward:policy/clock@0.1.0": super::imports::keyward::policy::clock,
            "keyward:policy/random@0.1.0": super::imports::keyward::policy::random,
        },
        pub_export_macro: true,
        export_macro_name: "export_backend",
        default_bindings_module: "keyward_policy::__glue::bindings::backend",
        generate_all,
    });
}

/// The phase `outbound`.
pub mod outbound {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "outbound-policy",
        with: {
            "keyward:policy/exchange@0.1.0": super::imports::keyward::policy::exchange,
            "keyward:policy/variables@0.1.0": super::imports::keyward::policy::variables,
            "keyward:policy/egress@0.1.0": super::imports::keyward::policy::egress,
            "keyward:policy/secrets@0.1.0": super::imports::keyward::policy::secrets,
            "keyward:policy/counters@0.1.0": super::imports::keyward::policy::counters,
            "keyward:policy/cache@0.1.0": super::imports::keyward::policy::cache,
            "keyward:policy/concurrency@0.1.0": super::imports::keyward::policy::concurrency,
            "keyward:policy/log@0.1.0": super::imports::keyward::policy::log,
            "keyward:policy/clock@0.1.0": super::imports::keyward::policy::clock,
            "keyward:policy/random@0.1.0": super::imports::keyward::policy::random,
        },
        pub_export_macro: true,
        export_macro_name: "export_outbound",
        default_bindings_module: "keyward_policy::__glue::bindings::outbound",
        generate_all,
    });
}

/// The phase `on-error`.
pub mod on_error {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "on-error-policy",
        with: {
            "keyward:policy/exchange@0.1.0": super::imports::keyward::policy::exchange,
            "keyward:policy/variables@0.1.0": super::imports::keyward::policy::variables,
            "keyward:policy/egress@0.1.0": super::imports::keyward::policy::egress,
            "keyward:policy/secrets@0.1.0": super::imports::keyward::policy::secrets,
            "keyward:policy/counters@0.1.0": super::imports::keyward::policy::counters,
            "keyward:policy/cache@0.1.0": super::imports::keyward::policy::cache,
            "keyward:policy/concurrency@0.1.0": super::imports::keyward::policy::concurrency,
            "keyward:policy/log@0.1.0": super::imports::keyward::policy::log,
            "keyward:policy/clock@0.1.0": super::imports::keyward::policy::clock,
            "keyward:policy/random@0.1.0": super::imports::keyward::policy::random,
        },
        pub_export_macro: true,
        export_macro_name: "export_on_error",
        default_bindings_module: "keyward_policy::__glue::bindings::on_error",
        generate_all,
    });
}

/// Settings.
pub mod configured {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "configured-policy",
        with: {
            "keyward:policy/exchange@0.1.0": super::imports::keyward::policy::exchange,
            "keyward:policy/variables@0.1.0": super::imports::keyward::policy::variables,
            "keyward:policy/egress@0.1.0": super::imports::keyward::policy::egress,
            "keyward:policy/secrets@0.1.0": super::imports::keyward::policy::secrets,
            "keyward:policy/counters@0.1.0": super::imports::keyward::policy::counters,
            "keyward:policy/cache@0.1.0": super::imports::keyward::policy::cache,
            "keyward:policy/concurrency@0.1.0": super::imports::keyward::policy::concurrency,
            "keyward:policy/log@0.1.0": super::imports::keyward::policy::log,
            "keyward:policy/clock@0.1.0": super::imports::keyward::policy::clock,
            "keyward:policy/random@0.1.0": super::imports::keyward::policy::random,
        },
        pub_export_macro: true,
        export_macro_name: "export_configuration",
        default_bindings_module: "keyward_policy::__glue::bindings::configured",
        generate_all,
    });
}
