//! Against a real Kafka. One broker serves all tests that do not break it.

mod conformance;
mod damage;
mod faults;
mod harness;
mod injected;
mod reads;
mod security;
mod topics;

#[test]
fn hints_about_new_leaders_are_not_taken() {
    super::hints::are_not_taken();
}
