//! Zipkin's ids: up to 32 or 16 hexadecimal digits, stored with all of them.

/// A trace's id: 16 or 32 digits. A longer one keeps its leading zeros, so that
/// what was sent can be told.
pub(super) fn trace(sent: &str) -> Result<String, String> {
    check("traceId", sent, 32)?;
    if is_zero(sent) {
        return Err("traceId is all zeros".to_owned());
    }
    Ok(pad(sent, if sent.len() <= 16 { 16 } else { 32 }))
}

/// A span's id: 16 digits, nothing if it is all zeros.
pub(super) fn span(what: &str, sent: &str) -> Result<Option<String>, String> {
    check(what, sent, 16)?;
    Ok((!is_zero(sent)).then(|| pad(sent, 16)))
}

fn check(what: &str, sent: &str, digits: usize) -> Result<(), String> {
    if sent.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if sent.len() > digits {
        return Err(format!("{what}.length > {digits}"));
    }
    if !sent.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("{what} {sent:?} should be lower-hex encoded with no prefix"));
    }
    Ok(())
}

fn is_zero(sent: &str) -> bool {
    sent.bytes().all(|digit| digit == b'0')
}

fn pad(sent: &str, digits: usize) -> String {
    format!("{sent:0>digits$}").to_ascii_lowercase()
}
