//! Against a real Kafka. One broker serves all tests that do not break it.

mod conformance;
mod damage;
mod faults;
mod harness;
mod injected;
mod reads;
mod security;
mod topics;
