//! How wasmtime is set up. Each setting that differs from wasmtime's own has its
//! reason beside it.

use std::sync::Arc;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

use crate::code::cache::CodeCache;
use crate::compile::{Compiler, InProcess};
use crate::limits::Limits;
use crate::observe::Observer;
use crate::profile::Profile;
use crate::report::MOST_FRAMES;

/// Bytes of an instance's tables that stay mapped between calls.
const RESIDENT_TABLE_BYTES: usize = 16 << 10;

/// How an engine is set up.
#[derive(Clone)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Calls of policies in the profile *lean* that may be under way at once; one
    /// more is refused, so that overload answers 503 and does not exhaust memory. 1
    /// to 10,000.
    pub concurrent_calls: u32,
    /// The same for the profile *standard*. 1 to 10,000.
    pub standard_calls: u32,
    /// The same for the profile *large*. 1 to 1,000.
    pub large_calls: u32,
    /// What each call may use up, of a policy that has no limits of its own.
    pub limits: Limits,
    /// Whether [`crate::StopReport`]s say in which function a policy was stopped. It
    /// makes compiled code larger, and costs time only when a policy is stopped.
    pub reports: bool,
    /// Who compiles components.
    pub compiler: Arc<dyn Compiler>,
    /// Where compiled code is kept, if anywhere.
    pub cache: Option<Arc<dyn CodeCache>>,
    /// Who watches guests and all that crosses between them and the host: for tests and
    /// for authors of policies. The gateway refuses to serve with one.
    pub observer: Option<Arc<dyn Observer>>,
    /// Whether observers are given guests' memories after each call. Tests use it to
    /// prove that no secret is there; the gateway refuses to serve with it on. The code
    /// that runs is the same.
    #[cfg(feature = "guest-debug")]
    pub guest_debug: bool,
}

impl std::fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConfig")
            .field("concurrent_calls", &self.concurrent_calls)
            .field("standard_calls", &self.standard_calls)
            .field("large_calls", &self.large_calls)
            .field("limits", &self.limits)
            .field("reports", &self.reports)
            .field("compiler", &self.compiler)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            concurrent_calls: 512,
            standard_calls: 128,
            large_calls: 16,
            limits: Limits::default(),
            reports: false,
            compiler: Arc::new(InProcess),
            cache: None,
            observer: None,
            #[cfg(feature = "guest-debug")]
            guest_debug: false,
        }
    }
}

impl EngineConfig {
    /// Calls in that profile that may be under way at once.
    pub(crate) fn calls(&self, profile: Profile) -> u32 {
        match profile {
            Profile::Lean => self.concurrent_calls.clamp(1, 10_000),
            Profile::Standard => self.standard_calls.clamp(1, 10_000),
            Profile::Large => self.large_calls.clamp(1, 1_000),
        }
    }

    pub(crate) fn code(&self, profile: Profile) -> CodeConfig {
        CodeConfig {
            profile,
            reports: self.reports,
        }
    }

    /// What runs policies.
    pub(crate) fn running(&self, profile: Profile) -> Config {
        let mut config = self.code(profile).config();
        let pool = pool(profile, self.calls(profile));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        #[cfg(feature = "guest-debug")]
        config.coredump_on_trap(self.guest_debug);
        config
    }
}

/// What decides which code is made of a component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodeConfig {
    pub(crate) profile: Profile,
    pub(crate) reports: bool,
}

impl CodeConfig {
    /// What compiles policies: like what runs them, without room to run any.
    pub(crate) fn compiling(self, alone: bool) -> Config {
        let mut config = self.config();
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        config.parallel_compilation(!alone);
        config
    }

    /// What runs `configure`, once for each policy and its settings. It needs little
    /// address space, as a process has that compiles, and counts instructions, so
    /// that nobody need tick.
    pub(crate) fn configuring(self, alone: bool) -> Config {
        let mut config = features(self.profile);
        config.parallel_compilation(!alone);
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        config.consume_fuel(true);
        // An image to map would be a file.
        config.memory_init_cow(false);
        config.memory_reservation(0);
        config.memory_reservation_for_growth(1 << 20);
        config.memory_guard_size(64 << 10);
        config
    }

    fn config(self) -> Config {
        let mut config = features(self.profile);
        // A guest can't avoid epochs, and they cost nothing measurable.
        config.epoch_interruption(true);
        // With images this small, copying beats mapping, and many policies in
        // rotation don't pay for remapping. Large images would be copied for each
        // call.
        config.memory_init_cow(self.profile == Profile::Large);
        if self.reports {
            config.generate_address_map(true);
            config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(MOST_FRAMES));
        }
        config
    }
}

/// What all have in common.
fn features(profile: Profile) -> Config {
    let mut config = Config::new();
    // Winch and Pulley have the longer record of sandbox advisories.
    config.strategy(Strategy::Cranelift);
    config.cranelift_opt_level(OptLevel::Speed);
    let (wasm_stack, stack) = match profile {
        Profile::Lean => (256 << 10, 1 << 20),
        Profile::Standard => (512 << 10, 2 << 20),
        Profile::Large => (2 << 20, 4 << 20),
    };
    config.max_wasm_stack(wasm_stack);
    // The difference is what host functions have; their overflow would abort.
    config.async_stack_size(stack);
    // Both would otherwise read the environment.
    config.wasm_backtrace_max_frames(None);
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.generate_address_map(false);
    // Component-model async is unfinished; `call_async` does without it.
    config.concurrency_support(false);
    // What no guest of ours needs is off: code that can't run has no flaw.
    let large = profile == Profile::Large;
    config.wasm_simd(large);
    config.wasm_multi_memory(large);
    config.wasm_tail_call(large);
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_custom_page_sizes(false);
    config.shared_memory(false);
    config
}

fn pool(profile: Profile, calls: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls);
    // As much for each call as a component may have: one policy's calls, which are
    // counted, must not use up what others' need.
    // One beside the component's own brings the data that its settings made.
    let core_instances = profile.core_modules().saturating_add(1);
    pool.total_core_instances(calls.saturating_mul(core_instances));
    pool.total_memories(calls.saturating_mul(profile.memories()));
    pool.total_tables(calls.saturating_mul(profile.tables()));
    pool.total_stacks(calls);
    let instance_bytes = if profile == Profile::Large {
        1 << 20
    } else {
        256 << 10
    };
    pool.max_component_instance_size(instance_bytes);
    pool.max_core_instance_size(instance_bytes);
    pool.max_core_instances_per_component(core_instances);
    pool.max_memories_per_component(profile.memories());
    pool.max_tables_per_component(profile.tables());
    pool.max_memories_per_module(profile.memories());
    pool.max_tables_per_module(profile.tables().min(8));
    pool.max_memory_size(profile.memory_bytes());
    pool.table_elements(profile.table_elements());
    // Bytes of a guest's memory that stay mapped between calls. A guest that fits
    // (one page, as the SDK builds them) costs no system call per request.
    pool.linear_memory_keep_resident(match profile {
        Profile::Lean => 256 << 10,
        Profile::Standard => 2 << 20,
        Profile::Large => 16 << 20,
    });
    pool.table_keep_resident(RESIDENT_TABLE_BYTES);
    pool.max_unused_warm_slots(if profile == Profile::Large { 4 } else { 16 });
    // Asking the kernel which pages were touched is a system call: more than lean
    // guests cost otherwise, and much less than resetting what others didn't touch.
    let scan = profile != Profile::Lean && PoolingAllocationConfig::is_pagemap_scan_available();
    pool.pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
    pool
}
