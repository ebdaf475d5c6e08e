//! Links the program as the event log on Kafka needs it: `stream/build.rs`.
#![expect(clippy::print_stdout, reason = "a build script speaks to Cargo so")]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(argument) = std::env::var("DEP_WEIR_STREAM_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
    }
}
