//! Reads a pretended Key Vault, in memory as the `keyward` command has it.

mod reading;

/// As in the `keyward` command.
#[global_allocator]
static ALLOCATOR: keyward::ZeroAlloc<std::alloc::System> = keyward::ZeroAlloc(std::alloc::System);

fn main() {
    reading::run();
}
