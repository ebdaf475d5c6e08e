//! A simulated shop: services that print what real ones print, into container
//! logs laid out as Kubernetes lays them out. Seeded: the same seed prints the
//! same lines at other times.

pub mod corpus;
mod shop;
mod workload;

pub use workload::{Emitted, Workload};

/// A time as a container runtime writes it: RFC 3339, nanoseconds, UTC.
pub fn cri_time(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_a_runtime_writes_them() {
        assert_eq!(cri_time(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(cri_time(1_709_210_096_000_007), "2024-02-29T12:34:56.000007000Z");
    }
}
