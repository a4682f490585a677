//! The `keyward` command; all of it is in the library.

#![forbid(unsafe_code)]

/// Wipes what it frees: the buffers of HTTP and of parsers hold values for a while.
#[global_allocator]
static ALLOCATOR: keyward::ZeroAlloc<mimalloc::MiMalloc> = keyward::ZeroAlloc(mimalloc::MiMalloc);

fn main() -> std::process::ExitCode {
    keyward_cli::main()
}
