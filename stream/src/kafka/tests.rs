//! Against a real Kafka. One broker serves all tests that do not break it.

mod conformance;
mod harness;
