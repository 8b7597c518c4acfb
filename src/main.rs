//! The `offhook` binary: see `offhook --help`.

use std::process::ExitCode;

/// Gives memory back to the system after a burst of calls, which the C library's keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    offhook::cli::main()
}
