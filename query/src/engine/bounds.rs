//! Which span of time a condition can be true in.
//!
//! Files outside the span are never opened, so the span may be too wide but
//! never too narrow. Whatever is not understood is all of time.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use weir_proto::schema::log::column;
use weir_storage::catalog::TimeRange;

/// The span in which all of `filters` can be true.
pub(super) fn of_all(filters: &[Expr]) -> TimeRange {
    filters.iter().map(of).fold(TimeRange::ALL, intersect)
}

/// The smallest span that holds both.
pub(super) fn hull(left: TimeRange, right: TimeRange) -> TimeRange {
    left.union(right)
}

/// True when `outer` holds all of `inner`.
pub(super) fn holds(outer: TimeRange, inner: TimeRange) -> bool {
    is_never(inner) || (outer.min_micros <= inner.min_micros && inner.max_micros <= outer.max_micros)
}

/// The span in which `filter` can be true.
fn of(filter: &Expr) -> TimeRange {
    match filter {
        Expr::Alias(alias) => of(&alias.expr),
        Expr::BinaryExpr(binary) => of_binary(binary),
        Expr::Between(between) if !between.negated => {
            let low = compare(&between.expr, Operator::GtEq, &between.low);
            let high = compare(&between.expr, Operator::LtEq, &between.high);
            intersect(low, high)
        }
        Expr::InList(list) if !list.negated => list
            .list
            .iter()
            .map(|value| compare(&list.expr, Operator::Eq, value))
            .fold(TimeRange::NEVER, hull),
        Expr::Literal(ScalarValue::Boolean(Some(false) | None), _) => TimeRange::NEVER,
        _ => TimeRange::ALL,
    }
}

fn of_binary(binary: &BinaryExpr) -> TimeRange {
    let BinaryExpr { left, op, right } = binary;
    match op {
        Operator::And => intersect(of(left), of(right)),
        Operator::Or => hull(of(left), of(right)),
        _ => {
            let found = compare(left, *op, right);
            match op.swap() {
                Some(swapped) if found == TimeRange::ALL => compare(right, swapped, left),
                _ => found,
            }
        }
    }
}

/// The span in which `expr op value` can be true, when `expr` is the event
/// time and `value` a literal.
fn compare(expr: &Expr, op: Operator, value: &Expr) -> TimeRange {
    let Some(slack) = time_column(expr) else { return TimeRange::ALL };
    let Expr::Literal(value, _) = value else { return TimeRange::ALL };
    let Some((low, high)) = micros(value) else { return TimeRange::ALL };
    let (low, high) = (low.saturating_sub(slack), high.saturating_add(slack));
    match op {
        Operator::Gt | Operator::GtEq => TimeRange { min_micros: low, max_micros: i64::MAX },
        Operator::Lt | Operator::LtEq => TimeRange { min_micros: i64::MIN, max_micros: high },
        Operator::Eq | Operator::IsNotDistinctFrom => TimeRange { min_micros: low, max_micros: high },
        _ => TimeRange::ALL,
    }
}

/// How far, in microseconds, the value of `expr` can be from the event time;
/// none when `expr` is something else.
fn time_column(expr: &Expr) -> Option<i64> {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    match expr {
        Expr::Column(found) if found.name == column::TIMESTAMP => Some(0),
        Expr::Alias(alias) => time_column(&alias.expr),
        Expr::Cast(cast) => match cast.field.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => Some(time_column(&cast.expr)? + 1_000_000),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Some(time_column(&cast.expr)? + 1_000),
            DataType::Timestamp(_, _) => time_column(&cast.expr),
            _ => None,
        },
        _ => None,
    }
}

/// The microseconds around a literal instant: equal, but for nanoseconds that
/// lie between two.
fn micros(value: &ScalarValue) -> Option<(i64, i64)> {
    match value {
        ScalarValue::TimestampSecond(Some(value), _) => {
            let value = value.checked_mul(1_000_000)?;
            Some((value, value))
        }
        ScalarValue::TimestampMillisecond(Some(value), _) => {
            let value = value.checked_mul(1_000)?;
            Some((value, value))
        }
        ScalarValue::TimestampMicrosecond(Some(value), _) => Some((*value, *value)),
        ScalarValue::TimestampNanosecond(Some(value), _) => {
            let low = value.div_euclid(1_000);
            Some((low, if value.rem_euclid(1_000) == 0 { low } else { low + 1 }))
        }
        _ => None,
    }
}

fn intersect(left: TimeRange, right: TimeRange) -> TimeRange {
    let both = TimeRange {
        min_micros: left.min_micros.max(right.min_micros),
        max_micros: left.max_micros.min(right.max_micros),
    };
    if is_never(both) { TimeRange::NEVER } else { both }
}

fn is_never(range: TimeRange) -> bool {
    range.min_micros > range.max_micros
}
