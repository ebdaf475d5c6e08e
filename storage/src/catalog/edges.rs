//! Who calls whom, minute by minute.

/// Calls between two services that began in one minute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceEdge {
    /// Who called.
    pub parent: String,
    /// Who was called.
    pub child: String,
    /// How often.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
}

/// A minute whose calls are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledMinute {
    /// When it begins, microseconds.
    pub minute_micros: i64,
    /// The spans that it had when it was counted: with more, it is counted anew.
    pub spans: u64,
    /// When it was counted.
    pub settled_micros: i64,
    /// The calls, by parent and child.
    pub edges: Vec<ServiceEdge>,
}
