//! The `weir` command: parse, run, exit code.

use std::process::ExitCode;

/// Gives memory back to the system after a flush or a query, which the default
/// allocator keeps: half the resident size of an ingester at full rate. Its
/// settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    weir::cli::main()
}
