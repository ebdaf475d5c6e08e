//! What Weir says about itself in words: one set-up per process.
//!
//! Lines go to stderr, never to stdout: stdout belongs to answers. `WEIR_LOG`
//! holds a filter (`debug`, `info,weir_ingest=trace`); the default is `info`.

use std::error::Error;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines: one object per line.
    Json,
}

/// Why telemetry could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter in `WEIR_LOG` means nothing.
    #[error(
        "WEIR_LOG holds {filter:?}, which is no filter: write a level (error, warn, info, debug, \
         trace, off) or a list like info,weir_ingest=debug"
    )]
    Filter {
        /// What was written.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A second set-up in the same process.
    #[error("telemetry was already set up in this process")]
    Twice(#[source] TryInitError),
}

/// Sets up `tracing` for the process, and a panic hook that reports a panic as
/// an error line instead of free text.
pub fn init(format: Format) -> Result<(), TelemetryError> {
    let filter = filter(std::env::var("WEIR_LOG").ok())?;
    let json = match format {
        Format::Auto => !std::io::stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let done = if json {
        use tracing_subscriber::util::SubscriberInitExt;
        lines.json().flatten_event(true).finish().try_init()
    } else {
        use tracing_subscriber::util::SubscriberInitExt;
        lines.with_ansi(std::io::stderr().is_terminal()).finish().try_init()
    };
    done.map_err(TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(report_panic));
    Ok(())
}

/// An error and its causes on one line, for the edge where it is told once.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn filter(written: Option<String>) -> Result<EnvFilter, TelemetryError> {
    let filter = written.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "info".to_owned());
    EnvFilter::builder().parse(&filter).map_err(|source| TelemetryError::Filter { filter, source })
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    // Captured only if RUST_BACKTRACE asks for it: resolving symbols is slow.
    let backtrace = std::backtrace::Backtrace::capture().to_string();
    tracing::error!(thread, place, backtrace, "panic: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_and_a_wrong_one_is_named() {
        let check = |written: Option<&str>, read: &str| {
            let filter = filter(written.map(str::to_owned)).expect("a filter");
            assert_eq!(filter.to_string(), read);
        };
        check(None, "info");
        check(Some(" "), "info");
        check(Some("warn"), "warn");
        check(Some("weir_ingest=trace"), "weir_ingest=trace");
        let error = filter(Some("weir=loudly".to_owned())).expect_err("no level").to_string();
        assert!(error.starts_with("WEIR_LOG holds \"weir=loudly\""), "{error}");
    }

    #[test]
    fn a_chain_holds_every_cause() {
        let inner = std::io::Error::other("disk gone");
        #[derive(Debug, thiserror::Error)]
        #[error("flush failed")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(error_chain(&Outer(inner)), "flush failed: disk gone");
    }
}
