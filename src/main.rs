//! The `offhook` binary: see `offhook --help`.

use std::process::ExitCode;

/// Gives memory back to the system after a burst of calls, which the C library's keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Huge pages keep what a burst of calls took: one call in two megabytes holds them all. Where
    // the kernel has none there is nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    offhook::cli::main()
}
