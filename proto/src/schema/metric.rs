//! The two tables of metrics: points, and what their series are.

pub mod sample;
pub mod series;

/// The words in the `kind` column.
pub mod kind {
    /// A value at a time.
    pub const GAUGE: &str = "gauge";
    /// A sum, cumulative or delta.
    pub const SUM: &str = "sum";
    /// Counts per bucket, with bounds that the sender chose.
    pub const HISTOGRAM: &str = "histogram";
    /// Counts per bucket, with bounds that grow by a factor.
    pub const EXPONENTIAL_HISTOGRAM: &str = "exponential_histogram";
    /// Quantiles that the sender computed.
    pub const SUMMARY: &str = "summary";
}

/// The words in the `temporality` column.
pub mod temporality {
    /// Since the start time.
    pub const CUMULATIVE: &str = "cumulative";
    /// Since the point before.
    pub const DELTA: &str = "delta";
}
