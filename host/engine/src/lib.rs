//! Runs policies, WebAssembly components, in sandboxes
