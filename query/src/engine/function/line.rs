//! The exact line of a row, rebuilt from its columns.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Int16Array, Int64Array, MapArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::ident;
use weir_proto::model::LayoutId;
use weir_proto::schema::log::{self, column};
use weir_proto::wire::layout::{Layout, LineParts};

/// The columns that a line is rebuilt from, in the order of the arguments.
const COLUMNS: [&str; 9] = [
    column::BODY,
    column::BODY_RAW,
    column::LAYOUT_ID,
    column::ATTRIBUTES,
    column::SEVERITY_TEXT,
    column::TRACE_ID,
    column::SPAN_ID,
    column::TIMESTAMP,
    column::TIMESTAMP_NANOS,
];

/// Every layout that a row of the question may name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layouts(Arc<BTreeMap<i64, Layout>>);

impl Layouts {
    /// Reads the stored form; what cannot be read is left out and told.
    pub(crate) fn read<'a>(stored: impl IntoIterator<Item = (&'a LayoutId, &'a String)>) -> Self {
        let mut layouts = BTreeMap::new();
        for (id, json) in stored {
            match Layout::from_json(json) {
                Ok(layout) => {
                    layouts.insert(id.0, layout);
                }
                Err(error) => tracing::warn!(layout = id.0, %error, "a line layout cannot be read"),
            }
        }
        Self(Arc::new(layouts))
    }

    /// The lines of the rows of `batch`, which has the columns of `logs`. Null
    /// where a row names a layout that is not known or does not fit: no line
    /// is better than a wrong one.
    pub(crate) fn lines(&self, batch: &RecordBatch) -> Result<BinaryArray> {
        let missing = |name: &str| DataFusionError::Internal(format!("column {name} is missing"));
        let columns: Vec<ArrayRef> = COLUMNS
            .iter()
            .map(|name| batch.column_by_name(name).cloned().ok_or_else(|| missing(name)))
            .collect::<Result<_>>()?;
        self.rebuild(&columns)
    }

    fn rebuild(&self, columns: &[ArrayRef]) -> Result<BinaryArray> {
        let wrong = || DataFusionError::Internal("a line's columns have other types".to_owned());
        let columns = Columns::of(columns).ok_or_else(wrong)?;
        let mut lines = BinaryBuilder::new();
        let mut line = Vec::new();
        for row in 0..columns.body.len() {
            line.clear();
            if columns.write(row, &self.0, &mut line) {
                lines.append_value(&line);
            } else {
                lines.append_null();
            }
        }
        Ok(lines.finish())
    }
}

/// The arguments, typed.
struct Columns<'a> {
    body: &'a StringArray,
    body_raw: &'a BinaryArray,
    layout_id: &'a Int64Array,
    attributes: &'a MapArray,
    severity_text: &'a StringArray,
    trace_id: &'a StringArray,
    span_id: &'a StringArray,
    timestamp: &'a TimestampMicrosecondArray,
    timestamp_nanos: &'a Int16Array,
}

impl<'a> Columns<'a> {
    fn of(columns: &'a [ArrayRef]) -> Option<Self> {
        let [body, body_raw, layout_id, attributes, severity, trace, span, time, nanos] = columns else {
            return None;
        };
        Some(Self {
            body: body.as_string_opt()?,
            body_raw: body_raw.as_binary_opt()?,
            layout_id: layout_id.as_primitive_opt::<Int64Type>()?,
            attributes: attributes.as_map_opt()?,
            severity_text: severity.as_string_opt()?,
            trace_id: trace.as_string_opt()?,
            span_id: span.as_string_opt()?,
            timestamp: time.as_primitive_opt::<TimestampMicrosecondType>()?,
            timestamp_nanos: nanos.as_primitive_opt::<Int16Type>()?,
        })
    }

    /// Appends the line of a row; false when it cannot be rebuilt.
    fn write(&self, row: usize, layouts: &BTreeMap<i64, Layout>, line: &mut Vec<u8>) -> bool {
        if self.body_raw.is_valid(row) {
            line.extend_from_slice(self.body_raw.value(row));
            return true;
        }
        if self.layout_id.is_null(row) {
            line.extend_from_slice(self.body.value(row).as_bytes());
            return true;
        }
        let Some(layout) = layouts.get(&self.layout_id.value(row)) else { return false };
        let attributes = self.attributes(row);
        let parts = LineParts {
            body: self.body.value(row),
            severity_text: text(self.severity_text, row),
            trace_id: text(self.trace_id, row),
            span_id: text(self.span_id, row),
            timestamp_micros: self.timestamp.value(row),
            timestamp_nanos: self.timestamp_nanos.value(row),
            attributes: &attributes,
        };
        layout.rebuild(&parts, line)
    }

    fn attributes(&self, row: usize) -> Vec<(&'a str, &'a str)> {
        let offsets = self.attributes.value_offsets();
        let (Some(keys), Some(values)) =
            (self.attributes.keys().as_string_opt::<i32>(), self.attributes.values().as_string_opt::<i32>())
        else {
            return Vec::new();
        };
        (offsets[row]..offsets[row + 1])
            .map(|entry| entry as usize)
            .map(|entry| (keys.value(entry), text(values, entry).unwrap_or_default()))
            .collect()
    }
}

fn text(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

/// The function behind the column `line` of the view `log_lines`. It has no
/// name in SQL: its arguments only make sense together.
pub(in crate::engine) fn line(layouts: Layouts) -> Expr {
    let function = ScalarUDF::new_from_impl(Line { layouts, signature: signature() });
    function.call(COLUMNS.iter().map(|name| ident(*name)).collect())
}

fn signature() -> Signature {
    let schema = log::schema();
    let types = COLUMNS
        .iter()
        .map(|name| schema.field_with_name(name).expect("a column of logs").data_type().clone())
        .collect();
    Signature::exact(types, Volatility::Immutable)
}

#[derive(Debug)]
struct Line {
    layouts: Layouts,
    signature: Signature,
}

/// Two calls are the same when they share the layouts of one question.
impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.layouts.0, &other.layouts.0)
    }
}

impl Eq for Line {}

impl Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.layouts.0).hash(state);
    }
}

impl ScalarUDFImpl for Line {
    fn name(&self) -> &'static str {
        "line"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let lines = self.layouts.rebuild(&columns)?;
        Ok(ColumnarValue::Array(Arc::new(lines)))
    }
}
