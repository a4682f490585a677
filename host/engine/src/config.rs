//! How wasmtime is set up. Each setting that differs from wasmtime's own has its
//! reason beside it.

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

use crate::limits::Limits;

/// Bytes of a guest's memory that stay mapped between calls. A guest that fits
/// (one page, as the SDK builds them) costs no system call per request.
const RESIDENT_MEMORY_BYTES: usize = 256 << 10;
/// Bytes of a guest's tables that stay mapped between calls.
const RESIDENT_TABLE_BYTES: usize = 16 << 10;
const MAX_WASM_STACK: usize = 256 << 10;
const ASYNC_STACK: usize = 1 << 20;

/// How an engine is set up: the *lean* profile, made for guests that the SDK
/// builds (a fixed arena, a small stack, one page) and good for others.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Calls that may be under way at once; one more is refused, so that overload
    /// answers 503 and does not exhaust memory. 1 to 10,000.
    pub concurrent_calls: u32,
    /// What each call may use up.
    pub limits: Limits,
    /// Compile guests so that a debugger can read their memory. Tests use it to
    /// prove that no secret is there; the gateway refuses to serve with it on.
    #[cfg(feature = "guest-debug")]
    pub guest_debug: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            concurrent_calls: 512,
            limits: Limits::default(),
            #[cfg(feature = "guest-debug")]
            guest_debug: false,
        }
    }
}

impl EngineConfig {
    pub(crate) fn wasmtime(&self) -> Config {
        let mut config = Config::new();
        // Winch and Pulley have the longer record of sandbox advisories.
        config.strategy(Strategy::Cranelift);
        config.cranelift_opt_level(OptLevel::Speed);
        // A guest can't avoid epochs, and they cost nothing measurable.
        config.epoch_interruption(true);
        config.max_wasm_stack(MAX_WASM_STACK);
        // The difference is what host functions have; their overflow would abort.
        config.async_stack_size(ASYNC_STACK);
        // Both would otherwise read the environment; frames and names of a guest
        // belong in no log.
        config.wasm_backtrace_max_frames(None);
        config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
        config.generate_address_map(false);
        // Component-model async is unfinished; `call_async` does without it.
        config.concurrency_support(false);
        // What no guest of ours needs is off: code that can't run has no flaw.
        config.wasm_simd(false);
        config.wasm_relaxed_simd(false);
        config.wasm_multi_memory(false);
        config.wasm_memory64(false);
        config.wasm_tail_call(false);
        config.wasm_wide_arithmetic(false);
        config.wasm_custom_page_sizes(false);
        config.shared_memory(false);
        // With images this small, copying beats mapping, and many policies in
        // rotation don't pay for remapping.
        config.memory_init_cow(false);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(self.pool()));
        #[cfg(feature = "guest-debug")]
        config.guest_debug(self.guest_debug);
        config
    }

    fn pool(&self) -> PoolingAllocationConfig {
        let calls = self.concurrent_calls.clamp(1, 10_000);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(calls);
        pool.total_core_instances(calls.saturating_mul(4));
        pool.total_memories(calls);
        pool.total_tables(calls.saturating_mul(2));
        pool.total_stacks(calls);
        pool.max_component_instance_size(256 << 10);
        pool.max_core_instance_size(256 << 10);
        pool.max_core_instances_per_component(8);
        pool.max_memories_per_component(1);
        pool.max_tables_per_component(4);
        pool.max_memories_per_module(1);
        pool.max_tables_per_module(2);
        pool.max_memory_size(self.limits.memory_bytes);
        pool.table_elements(self.limits.table_elements);
        pool.linear_memory_keep_resident(RESIDENT_MEMORY_BYTES);
        pool.table_keep_resident(RESIDENT_TABLE_BYTES);
        pool.max_unused_warm_slots(16);
        pool.pagemap_scan(Enabled::No);
        pool
    }
}
