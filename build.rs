//! Links the program as the event log on Kafka needs it: `stream/build.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let has = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    match std::env::var("DEP_WEIR_STREAM_LINK_ARG") {
        Ok(argument) => println!("cargo::rustc-link-arg={argument}"),
        Err(_) if has("AGENT") || has("INGEST") => {
            println!("cargo::error=weir-stream does not say how a program with librdkafka is linked");
        }
        Err(_) => {}
    }
}
