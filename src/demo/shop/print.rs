//! How services print: JSON, logfmt, and as Java, Python and Go do, with their
//! stack traces. Every line has a number of its own.

use serde_json::{Map, Value};

use super::context::SpanContext;
use crate::demo::container::cri_time;

/// A way to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Logfmt,
    Java,
    Python,
    Go,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Something to be printed.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) micros: i64,
    pub(super) level: Level,
    pub(super) service: &'static str,
    pub(super) message: &'a str,
    pub(super) context: Option<SpanContext>,
    pub(super) fields: &'a [(&'static str, String)],
}

impl Style {
    /// The line of an entry, with its number.
    pub(super) fn line(self, entry: &Entry<'_>, number: &str) -> String {
        let time = cri_time(entry.micros);
        // Milliseconds are what people print.
        let (date, clock, millis) = (&time[..10], &time[11..19], &time[20..23]);
        let level = entry.level.name();
        let message = entry.message;
        let fields = || entry.fields.iter().map(|(key, value)| format!(" {key}={value}")).collect::<String>();
        match self {
            Self::Json => json(entry, &format!("{date}T{clock}.{millis}Z"), number),
            Self::Logfmt => {
                let ids = entry.context.map_or_else(String::new, |context| {
                    format!(" trace_id={} span_id={}", context.trace, context.span)
                });
                let message = message.replace('"', "'");
                format!(
                    "time={date}T{clock}.{millis}Z level={level} msg=\"{message}\"{}{ids} seq={number}",
                    fields()
                )
            }
            Self::Java => {
                let level = level.to_uppercase();
                let logger = "com.shop.checkout.OrderService";
                format!(
                    "{date} {clock},{millis} {level:<5} [exec-3] {logger} - {message}{} seq={number}",
                    fields()
                )
            }
            Self::Python => {
                let level = match entry.level {
                    Level::Warn => "WARNING".to_owned(),
                    other => other.name().to_uppercase(),
                };
                format!("{date} {clock},{millis} {level} catalog.views {message}{} seq={number}", fields())
            }
            Self::Go => format!("{date}T{clock}.{millis}Z {level} {message}{} seq={number}", fields()),
        }
    }

    /// What follows a failure, frame by frame; numbers are not in it yet.
    pub(super) fn frames(self) -> &'static [&'static str] {
        match self {
            Self::Java => &[
                "com.shop.payment.PaymentException: payment declined",
                "\tat com.shop.payment.PaymentClient.charge(PaymentClient.java:88)",
                "\tat com.shop.checkout.OrderService.place(OrderService.java:118)",
                "\tat com.shop.checkout.OrderController.post(OrderController.java:57)",
                "Caused by: java.net.SocketTimeoutException: Read timed out",
                "\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)",
                "\t... 42 more",
            ],
            Self::Python => &[
                "Traceback (most recent call last):",
                "  File \"/app/catalog/views.py\", line 88, in product",
                "    return self.index[sku]",
                "           ~~~~~~~~~~^^^^^",
                "KeyError: 'sku-4711'",
            ],
            Self::Go => &[
                "panic: runtime error: index out of range [7] with length 7",
                "",
                "goroutine 34 [running]:",
                "main.(*Stock).Reserve(0xc0000b4000, {0xc00001c0c0, 0x8})",
                "\t/app/stock.go:118 +0x1d4",
                "created by main.serve in goroutine 1",
                "\t/app/main.go:42 +0x9c",
            ],
            Self::Json | Self::Logfmt => &[],
        }
    }
}

fn json(entry: &Entry<'_>, time: &str, number: &str) -> String {
    let mut line = Map::new();
    let mut put = |key: &str, value: &str| drop(line.insert(key.to_owned(), Value::from(value)));
    put("ts", time);
    put("level", entry.level.name());
    put("service", entry.service);
    put("msg", entry.message);
    if let Some(context) = entry.context {
        put("trace_id", &context.trace.to_string());
        put("span_id", &context.span.to_string());
    }
    for (key, value) in entry.fields {
        put(key, value);
    }
    put("seq", number);
    Value::from(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::context::{SpanId, TraceId};
    use super::*;

    #[test]
    fn lines_are_as_their_languages_print_them() {
        let fields = [("order", "17".to_owned())];
        let entry = Entry {
            micros: 1_709_210_096_123_456,
            level: Level::Warn,
            service: "cart",
            message: "it's \"late\"",
            context: Some(SpanContext { trace: TraceId(1), span: SpanId(2) }),
            fields: &fields,
        };
        let check = |style: Style, expected: &str| assert_eq!(style.line(&entry, "shopcart-1"), expected);
        check(
            Style::Logfmt,
            "time=2024-02-29T12:34:56.123Z level=warn msg=\"it's 'late'\" order=17 \
             trace_id=00000000000000000000000000000001 span_id=0000000000000002 seq=shopcart-1",
        );
        check(
            Style::Java,
            "2024-02-29 12:34:56,123 WARN  [exec-3] com.shop.checkout.OrderService - it's \"late\" order=17 \
             seq=shopcart-1",
        );
        check(
            Style::Python,
            "2024-02-29 12:34:56,123 WARNING catalog.views it's \"late\" order=17 seq=shopcart-1",
        );
        check(Style::Go, "2024-02-29T12:34:56.123Z warn it's \"late\" order=17 seq=shopcart-1");
        let json: Value = serde_json::from_str(&Style::Json.line(&entry, "shopcart-1")).expect("JSON");
        assert_eq!((&json["msg"], &json["seq"]), (&Value::from("it's \"late\""), &Value::from("shopcart-1")));
    }
}
