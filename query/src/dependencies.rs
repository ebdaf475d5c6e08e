//! Who calls whom: Zipkin's dependencies.
//!
//! Calls are counted minute by minute. A minute is *settled* once answers have
//! been complete for a minute beyond it: its traces are linked as Zipkin links
//! them, and the sums stored in the catalog, in one transaction. A span that
//! comes later than that reopens its minute. What is not settled yet is counted
//! when it is asked for.

mod count;
mod link;
mod settle;

use std::collections::BTreeMap;

use weir_proto::model::TenantId;
use weir_storage::catalog::{ServiceEdge, SettledMinute, TimeRange};

use crate::{Completeness, Engine, QueryError};

pub use settle::settle;

/// The length of what is settled at once, microseconds.
const MINUTE: i64 = 60_000_000;

/// Calls and errors between two services, by parent and child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<(String, String), (u64, u64)>);

impl Calls {
    fn add(&mut self, parent: &str, child: &str, calls: u64, errors: u64) {
        let key = (parent.to_owned(), child.to_owned());
        let sum = self.0.entry(key).or_default();
        sum.0 += calls;
        sum.1 += errors;
    }

    /// As the catalog has them, sorted.
    pub(crate) fn edges(&self) -> Vec<ServiceEdge> {
        let edge = |((parent, child), (calls, errors)): (&(String, String), &(u64, u64))| ServiceEdge {
            parent: parent.clone(),
            child: child.clone(),
            calls: *calls,
            errors: *errors,
        };
        self.0.iter().map(edge).collect()
    }
}

impl Engine {
    /// The calls that began in the minutes of a span of time, settled or not.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub(crate) async fn dependencies(
        &self,
        tenant: &TenantId,
        time: TimeRange,
    ) -> Result<(Calls, Completeness), QueryError> {
        let first = floor(time.min_micros);
        let time = TimeRange { min_micros: first, ..time };
        let settled = self.catalog().settled(tenant, time).await.map_err(QueryError::Catalog)?;
        let mut calls = Calls::default();
        for edge in settled.iter().flat_map(|minute| &minute.edges) {
            calls.add(&edge.parent, &edge.child, edge.calls, edge.errors);
        }
        // Minutes are settled in their order.
        let open = settled.last().map_or(first, |last: &SettledMinute| last.minute_micros + MINUTE);
        let open = TimeRange { min_micros: open, max_micros: floor(time.max_micros) + MINUTE - 1 };
        let counted = count::count(self, tenant, open).await?;
        for edge in counted.minutes.values().flat_map(Calls::edges) {
            calls.add(&edge.parent, &edge.child, edge.calls, edge.errors);
        }
        Ok((calls, counted.completeness))
    }
}

/// When the minute of a time begins.
fn floor(micros: i64) -> i64 {
    micros.div_euclid(MINUTE).saturating_mul(MINUTE)
}

#[cfg(test)]
mod tests;
