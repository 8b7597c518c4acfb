//! The `offhook` binary: see `offhook --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    offhook::cli::main()
}
