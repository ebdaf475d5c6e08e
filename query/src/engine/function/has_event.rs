//! `has_event(events, 'name')`: whether one of a span's events has this name.
//!
//! SQL cannot look into a list of structs without unnesting it, which turns a
//! condition on a span into a join.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function's name in SQL.
pub(crate) const NAME: &str = "has_event";

/// The field of an event that is its name.
const EVENT_NAME: &str = "name";

/// The function.
pub(in crate::engine) fn has_event() -> ScalarUDF {
    ScalarUDF::new_from_impl(HasEvent { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HasEvent {
    signature: Signature,
}

impl ScalarUDFImpl for HasEvent {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [events, name] if has_names(events) && (name.is_string() || name.is_null()) => {
                Ok(vec![events.clone(), DataType::Utf8])
            }
            _ => {
                let text = "has_event takes the events of a span and a name: has_event(events, 'exception')";
                Err(DataFusionError::Plan(text.to_owned()))
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [events, name] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("has_event was called with other arguments".to_owned()));
        };
        let name = match name {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))) => name,
            ColumnarValue::Scalar(_) => return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None))),
            ColumnarValue::Array(_) => {
                return Err(DataFusionError::Plan("the name of has_event must be a constant".to_owned()));
            }
        };
        let events = events.to_array(args.number_rows)?;
        let found = find(&events, name);
        let found =
            found.ok_or_else(|| DataFusionError::Internal("has_event got another type".to_owned()))?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

fn has_names(events: &DataType) -> bool {
    let DataType::List(item) = events else { return false };
    let DataType::Struct(fields) = item.data_type() else { return false };
    fields.find(EVENT_NAME).is_some_and(|(_, name)| name.data_type() == &DataType::Utf8)
}

/// A span without events has none of the name: never null.
fn find(events: &ArrayRef, name: &str) -> Option<BooleanArray> {
    let lists = events.as_list_opt::<i32>()?;
    let names = lists.values().as_struct_opt()?.column_by_name(EVENT_NAME)?.as_string_opt::<i32>()?;
    let mut found = BooleanBufferBuilder::new(lists.len());
    for (row, span) in lists.value_offsets().windows(2).enumerate() {
        let mut events = span[0] as usize..span[1] as usize;
        let is_equal = |event| names.is_valid(event) && names.value(event) == name;
        found.append(lists.is_valid(row) && events.any(is_equal));
    }
    Some(BooleanArray::new(found.finish(), None))
}
