//! Every type that an answer may have.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int64Array, LargeStringArray, NullArray, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt64Array,
};
use arrow_schema::Field;

use super::*;

fn written(array: &ArrayRef) -> String {
    let array = plain(array).expect("plain");
    let column = column(&array).expect("a writer");
    let mut out = Vec::new();
    for row in 0..array.len() {
        separate(row, &mut out);
        column.json(row, &mut out);
        let null = out.ends_with(b"null");
        assert_eq!(column.is_null(row), null, "{}", String::from_utf8_lossy(&out));
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn values() {
    let check = |array: ArrayRef, expected: &str| {
        let kind = array.data_type().clone();
        assert_eq!(written(&array), expected, "{kind}");
    };
    check(Arc::new(NullArray::new(1)), "null");
    check(Arc::new(BooleanArray::from(vec![Some(true), None])), "true,null");
    check(Arc::new(Int64Array::from(vec![Some(i64::MIN), None])), "-9223372036854775808,null");
    check(Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615");
    check(Arc::new(Float64Array::from(vec![1.0, 0.1, f64::NAN, f64::INFINITY])), "1.0,0.1,null,null");
    check(Arc::new(Float32Array::from(vec![0.1, f32::NEG_INFINITY])), "0.1,null");
    check(Arc::new(StringArray::from(vec![Some("a\"\n\u{1}é"), None])), "\"a\\\"\\n\\u0001é\",null");
    check(Arc::new(StringViewArray::from(vec![Some("a"), None])), "\"a\",null");
    check(Arc::new(LargeStringArray::from(vec!["a"])), "\"a\"");
    let bytes: Vec<&[u8]> = vec![b"", b"f", b"fo", b"foo", b"foob", b"\xff\xfe"];
    check(Arc::new(BinaryArray::from(bytes)), r#""","Zg==","Zm8=","Zm9v","Zm9vYg==","//4=""#);
    let micros = TimestampMicrosecondArray::from(vec![Some(1), Some(-1), Some(i64::MAX), None]);
    let times = r#""1970-01-01T00:00:00.000001Z","1969-12-31T23:59:59.999999Z",null,null"#;
    check(Arc::new(micros.with_timezone("UTC")), times);
    check(Arc::new(TimestampSecondArray::from(vec![1, i64::MAX])), r#""1970-01-01T00:00:01.000000Z",null"#);
    check(Arc::new(TimestampMillisecondArray::from(vec![1])), r#""1970-01-01T00:00:00.001000Z""#);
    check(Arc::new(TimestampNanosecondArray::from(vec![-1])), r#""1969-12-31T23:59:59.999999Z""#);
    check(Arc::new(Date32Array::from(vec![Some(1), None])), "\"1970-01-02\",null");
    let decimal = Decimal128Array::from(vec![12345]).with_precision_and_scale(10, 2).expect("fits");
    check(Arc::new(decimal), "\"123.45\"");
    let dictionary: DictionaryArray<arrow_array::types::Int8Type> =
        vec![Some("a"), None].into_iter().collect();
    check(Arc::new(dictionary), "\"a\",null");
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(1), None]);
    list.append_null();
    list.append_value([]);
    check(Arc::new(list.finish()), "[1,null],null,[]");
    let field = Arc::new(Field::new("a", DataType::Int64, true));
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    check(Arc::new(StructArray::from(vec![(field, one)])), "{\"a\":1}");
}

#[test]
fn maps_keep_their_order_and_repeats() {
    let tenant = weir_proto::model::TenantId::default();
    let attributes = vec![("b", "1".to_owned()), ("a", "\"".to_owned())];
    let row = crate::fixture::Row { attributes, ..crate::fixture::Row::default() };
    let batch = crate::fixture::batch(&tenant, &[row, crate::fixture::Row::default()]);
    assert_eq!(written(&batch["attributes"]), r#"{"b":"1","a":"\""},{}"#);
}

#[test]
fn base64_as_in_rfc_4648() {
    let check = |bytes: &[u8], expected: &str| {
        let mut out = Vec::new();
        base64(bytes, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    };
    check(b"foobar", "Zm9vYmFy");
    check(b"fooba", "Zm9vYmE=");
    check(&[0, 16, 131, 16, 81, 135, 32, 146, 139], "ABCDEFGHIJKL");
    check(&[255; 4], "/////w==");
}
