//! Puts `src/kafka/leader_hints.c` in the place of a function of librdkafka: it says
//! which, and why.

/// The linker has `__wrap_NAME` called where `NAME` is.
const LINK_ARG: &str = "-Wl,--wrap=rd_kafka_metadata_update_op";

fn main() {
    let source = "src/kafka/leader_hints.c";
    println!("cargo::rerun-if-changed={source}");
    if std::env::var_os("CARGO_FEATURE_KAFKA").is_none() {
        return;
    }
    cc::Build::new().file(source).cargo_metadata(false).compile("weir_leader_hints");
    if let Some(directory) = std::env::var_os("OUT_DIR") {
        println!("cargo::rustc-link-search=native={}", directory.display());
    }
    // Whole, for librdkafka, which asks for it, comes later in the linker's order.
    println!("cargo::rustc-link-lib=static:+whole-archive=weir_leader_hints");
    // Of this package's own tests; whoever links a program asks for it by its name.
    println!("cargo::rustc-link-arg={LINK_ARG}");
    println!("cargo::metadata=LINK_ARG={LINK_ARG}");
}
