//! Between a decision function and the phase that a component exports.

#[cfg(target_arch = "wasm32")]
mod component {
    use std::sync::OnceLock;

    use serde::de::DeserializeOwned;

    use crate::bindings::imports::keyward::policy::exchange as wit;
    use crate::bindings::on_error::exports::keyward::policy::on_error as wit_error;
    use crate::{Decision, ErrorSource, Failure, Level, Verdict, host, settings};

    /// Runs a decision: a failure becomes a line in the log and the verdict *fail*.
    pub fn run(decide: impl FnOnce() -> Decision) -> wit::Verdict {
        log_panics();
        match decide() {
            Ok(Verdict::Proceed) => wit::Verdict::Proceed,
            Ok(Verdict::Respond) => wit::Verdict::Respond,
            Ok(Verdict::Fail) => wit::Verdict::Fail,
            Err(failure) => {
                host::write_log(Level::Error, failure.as_str());
                wit::Verdict::Fail
            }
        }
    }

    /// Reads settings and keeps them for the calls to come.
    ///
    /// # Errors
    /// What is wrong with the settings, for the operator.
    pub fn configure<S: DeserializeOwned>(kept: &OnceLock<S>, text: String) -> Result<(), String> {
        let read = settings::read(&text)?;
        drop(text);
        let result = kept.set(read);
        #[cfg(feature = "arena")]
        crate::arena::leave_room();
        result.map_err(|_| "the settings were read twice".to_owned())
    }

    /// The settings that were read when the policy was loaded.
    ///
    /// # Errors
    /// [`Failure::NotConfigured`] if they were not.
    pub fn settings<S>(kept: &'static OnceLock<S>) -> Result<&'static S, Failure> {
        kept.get().ok_or(Failure::NotConfigured)
    }

    /// What failed, in the SDK's words.
    pub fn error_source(source: wit_error::ErrorSource) -> ErrorSource {
        use wit_error::ErrorSource as E;
        match source {
            E::PolicyFailed => ErrorSource::PolicyFailed,
            E::PolicyStopped => ErrorSource::PolicyStopped,
            E::SecretRefused => ErrorSource::SecretRefused,
            E::BackendUnavailable => ErrorSource::BackendUnavailable,
            E::BackendRefused => ErrorSource::BackendRefused,
            E::HostFailed => ErrorSource::HostFailed,
        }
    }

    /// A panic says where it was before it traps.
    fn log_panics() {
        std::panic::set_hook(Box::new(|panic| {
            host::write_log(Level::Error, &panic.to_string());
        }));
    }
}

#[cfg(target_arch = "wasm32")]
pub use component::*;

/// Makes a component's exports of decision functions.
///
/// ```
/// # use keyward_policy::{Decision, ErrorSource, Exchange, Verdict, policy};
/// # #[keyward_policy::settings]
/// # struct Settings {}
/// # fn on_request(_: &Settings, _: &Exchange) -> Decision { Ok(Verdict::Proceed) }
/// # fn on_response(_: &Settings, _: &Exchange) -> Decision { Ok(Verdict::Proceed) }
/// # fn on_failure(_: &Settings, _: &Exchange, _: ErrorSource) -> Decision { Ok(Verdict::Proceed) }
/// policy! {
///     settings: Settings,
///     inbound: on_request,
///     outbound: on_response,
///     on_error: on_failure,
/// }
/// # fn main() {}
/// ```
///
/// `settings`, if there is one, comes first: a type with the attribute
/// [`settings`](macro@crate::settings). A mistake in the settings stops the policy
/// from being loaded, and its text is shown to the operator. (Any type that
/// implements `serde::Deserialize` does as well, without a schema.)
///
/// Then one or more of the phases `inbound`, `backend`, `outbound` and
/// `on_error`, in any order. Each names a function `fn(&Settings, &Exchange) ->
/// Decision`; in `on_error` it takes an [`ErrorSource`](crate::ErrorSource) as
/// well. Without `settings` the functions do not take them. The component
/// exports the phases that are named here and no others.
#[macro_export]
macro_rules! policy {
    (settings: $settings:ty, $($phase:ident: $decide:expr),+ $(,)?) => {
        const _: () = {
            struct Policy;

            const _: fn() = $crate::__settings::readable::<$settings>;

            #[cfg(target_arch = "wasm32")]
            static SETTINGS: ::std::sync::OnceLock<$settings> = ::std::sync::OnceLock::new();

            // A section of the module, which goes into the manifest.
            #[cfg(target_arch = "wasm32")]
            const SCHEMA: ::core::option::Option<$crate::Schema> = {
                use $crate::__settings::NoSchema as _;
                <$crate::__settings::Of<$settings>>::SCHEMA
            };
            #[cfg(target_arch = "wasm32")]
            #[unsafe(link_section = "keyward:settings")]
            static SECTION: [u8; $crate::__settings::length(SCHEMA)] =
                $crate::__settings::written(SCHEMA);

            #[cfg(target_arch = "wasm32")]
            impl $crate::__glue::bindings::configured::exports::keyward::policy::configuration::Guest
                for Policy
            {
                fn configure(settings: ::std::string::String)
                    -> ::core::result::Result<(), ::std::string::String>
                {
                    $crate::__glue::configure(&SETTINGS, settings)
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::__glue::bindings::configured::export_configuration!(
                Policy with_types_in $crate::__glue::bindings::configured
            );

            $($crate::__phase!($phase, [$settings, SETTINGS], $decide);)+
        };
    };
    ($($phase:ident: $decide:expr),+ $(,)?) => {
        const _: () = {
            struct Policy;

            $($crate::__phase!($phase, [], $decide);)+
        };
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "a policy is written `policy! { settings: Settings, inbound: decide }`: first the type \
             of its settings, if it has any, then one or more phases, each with its function"
        );
    };
}

/// One phase of [`policy!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __phase {
    (inbound, $settings:tt, $decide:expr) => {
        $crate::__export!(inbound, export_inbound, $settings, $decide);
    };
    (backend, $settings:tt, $decide:expr) => {
        $crate::__export!(backend, export_backend, $settings, $decide);
    };
    (outbound, $settings:tt, $decide:expr) => {
        $crate::__export!(outbound, export_outbound, $settings, $decide);
    };
    (on_error, [$($settings:ty, $kept:ident)?], $decide:expr) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn($(&$settings,)? &$crate::Exchange<'_>, $crate::ErrorSource) -> $crate::Decision =
            $decide;

        #[cfg(target_arch = "wasm32")]
        impl $crate::__glue::bindings::on_error::exports::keyward::policy::on_error::Guest
            for Policy
        {
            fn handle(
                exchange: &$crate::__glue::Exchange,
                source: $crate::__glue::bindings::on_error::exports::keyward::policy::on_error::ErrorSource,
            ) -> $crate::__glue::Verdict {
                let decide: fn(
                    $(&$settings,)? &$crate::Exchange<'_>, $crate::ErrorSource,
                ) -> $crate::Decision = $decide;
                $crate::__glue::run(|| {
                    decide(
                        $($crate::__glue::settings(&$kept)?,)?
                        &$crate::Exchange::__of(exchange),
                        $crate::__glue::error_source(source),
                    )
                })
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::__glue::bindings::on_error::export_on_error!(
            Policy with_types_in $crate::__glue::bindings::on_error
        );
    };
    ($other:ident, $settings:tt, $decide:expr) => {
        ::core::compile_error!(::core::concat!(
            "unknown phase `",
            ::core::stringify!($other),
            "`: a policy has `settings: Type` first, then `inbound`, `backend`, `outbound` or \
             `on_error`"
        ));
    };
}

/// One of the phases whose functions take nothing but the exchange.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($phase:ident, $export:ident, [$($settings:ty, $kept:ident)?], $decide:expr) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn($(&$settings,)? &$crate::Exchange<'_>) -> $crate::Decision = $decide;

        #[cfg(target_arch = "wasm32")]
        impl $crate::__glue::bindings::$phase::exports::keyward::policy::$phase::Guest for Policy {
            fn handle(exchange: &$crate::__glue::Exchange) -> $crate::__glue::Verdict {
                let decide: fn($(&$settings,)? &$crate::Exchange<'_>) -> $crate::Decision = $decide;
                $crate::__glue::run(|| {
                    decide(
                        $($crate::__glue::settings(&$kept)?,)?
                        &$crate::Exchange::__of(exchange),
                    )
                })
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::__glue::bindings::$phase::$export!(
            Policy with_types_in $crate::__glue::bindings::$phase
        );
    };
}
