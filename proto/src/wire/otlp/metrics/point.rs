//! What the five kinds of point say, in one shape.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, SummaryDataPoint,
};

use super::Common;
use crate::limit::BUCKETS_MAX;

/// A metric point.
pub(super) trait Point {
    /// What every kind has.
    fn common(&self) -> Common<'_>;
    /// Why its value is none, or cannot be stored as it is.
    fn check(&self) -> Result<(), String>;
    /// Its value; [`Self::check`] has passed.
    fn value(&self) -> Value<'_>;
    fn exemplars(&self) -> &[Exemplar];
}

/// A point's value, as far as its kind has one.
#[derive(Default)]
pub(super) struct Value<'a> {
    pub(super) number: Option<Number>,
    pub(super) count: Option<u64>,
    pub(super) sum: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) buckets: Option<(&'a [u64], &'a [f64])>,
    pub(super) exponential: Option<Exponential<'a>>,
    pub(super) quantiles: Option<&'a [ValueAtQuantile]>,
}

/// The buckets of an exponential histogram.
pub(super) struct Exponential<'a> {
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Option<&'a Buckets>,
    pub(super) negative: Option<&'a Buckets>,
}

impl Value<'_> {
    pub(super) fn list_bytes(&self) -> usize {
        let explicit = self.buckets.map_or(0, |(counts, bounds)| counts.len() + bounds.len());
        let exponential = self.exponential.as_ref().map_or(0, |value| {
            let sides = [value.positive, value.negative];
            sides.into_iter().flatten().map(|side| side.bucket_counts.len()).sum()
        });
        (explicit + exponential + self.quantiles.map_or(0, |list| list.len() * 2)) * 8
    }
}

impl Point for NumberDataPoint {
    fn common(&self) -> Common<'_> {
        Common {
            attributes: &self.attributes,
            start_nanos: self.start_time_unix_nano,
            nanos: self.time_unix_nano,
            flags: self.flags,
        }
    }

    fn check(&self) -> Result<(), String> {
        self.value.map(drop).ok_or_else(|| "a point has no value".to_owned())
    }

    fn value(&self) -> Value<'_> {
        Value { number: self.value, ..Value::default() }
    }

    fn exemplars(&self) -> &[Exemplar] {
        &self.exemplars
    }
}

impl Point for HistogramDataPoint {
    fn common(&self) -> Common<'_> {
        Common {
            attributes: &self.attributes,
            start_nanos: self.start_time_unix_nano,
            nanos: self.time_unix_nano,
            flags: self.flags,
        }
    }

    fn check(&self) -> Result<(), String> {
        let (counts, bounds) = (self.bucket_counts.len(), self.explicit_bounds.len());
        let is_empty = counts == 0 && bounds == 0;
        if !is_empty && counts != bounds + 1 {
            return Err(format!("{counts} bucket counts do not fit {bounds} bounds"));
        }
        if !self.explicit_bounds.is_sorted_by(|low, high| low < high) {
            return Err("bucket bounds do not rise".to_owned());
        }
        check_count(self.count)?;
        check_buckets(&self.bucket_counts)
    }

    fn value(&self) -> Value<'_> {
        let has_buckets = !self.bucket_counts.is_empty();
        Value {
            count: Some(self.count),
            sum: self.sum,
            min: self.min,
            max: self.max,
            buckets: has_buckets.then_some((&self.bucket_counts, &self.explicit_bounds)),
            ..Value::default()
        }
    }

    fn exemplars(&self) -> &[Exemplar] {
        &self.exemplars
    }
}

impl Point for ExponentialHistogramDataPoint {
    fn common(&self) -> Common<'_> {
        Common {
            attributes: &self.attributes,
            start_nanos: self.start_time_unix_nano,
            nanos: self.time_unix_nano,
            flags: self.flags,
        }
    }

    fn check(&self) -> Result<(), String> {
        check_count(self.count)?;
        check_count(self.zero_count)?;
        for side in [&self.positive, &self.negative].into_iter().flatten() {
            check_buckets(&side.bucket_counts)?;
        }
        Ok(())
    }

    fn value(&self) -> Value<'_> {
        Value {
            count: Some(self.count),
            sum: self.sum,
            min: self.min,
            max: self.max,
            exponential: Some(Exponential {
                scale: self.scale,
                zero_count: self.zero_count,
                zero_threshold: self.zero_threshold,
                positive: self.positive.as_ref(),
                negative: self.negative.as_ref(),
            }),
            ..Value::default()
        }
    }

    fn exemplars(&self) -> &[Exemplar] {
        &self.exemplars
    }
}

impl Point for SummaryDataPoint {
    fn common(&self) -> Common<'_> {
        Common {
            attributes: &self.attributes,
            start_nanos: self.start_time_unix_nano,
            nanos: self.time_unix_nano,
            flags: self.flags,
        }
    }

    fn check(&self) -> Result<(), String> {
        let quantiles = self.quantile_values.len();
        if quantiles > BUCKETS_MAX {
            return Err(format!("{quantiles} quantiles, the limit is {BUCKETS_MAX}"));
        }
        check_count(self.count)
    }

    fn value(&self) -> Value<'_> {
        Value {
            count: Some(self.count),
            sum: Some(self.sum),
            quantiles: Some(&self.quantile_values),
            ..Value::default()
        }
    }

    fn exemplars(&self) -> &[Exemplar] {
        &[]
    }
}

/// The tables have no unsigned numbers.
fn check_count(count: u64) -> Result<(), String> {
    i64::try_from(count).map(drop).map_err(|_| format!("a count of {count} is not below 2^63"))
}

fn check_buckets(counts: &[u64]) -> Result<(), String> {
    if counts.len() > BUCKETS_MAX {
        return Err(format!("{} buckets, the limit is {BUCKETS_MAX}", counts.len()));
    }
    counts.iter().try_for_each(|count| check_count(*count))
}
