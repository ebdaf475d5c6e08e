//! Words and numbers of severity, as OpenTelemetry's severity numbers.

/// Longest word of the table.
const WORD_BYTES_MAX: usize = 13;

/// The severity number of a word in any case: `info` is 9. `critical` is what
/// application frameworks call their highest level; `crit` is syslog's.
pub(super) fn of_word(word: &[u8]) -> Option<i16> {
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let mut lower = [0; WORD_BYTES_MAX];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"trace" | b"verbose" | b"finest" | b"trc" => 1,
        b"finer" => 3,
        b"debug" | b"dbg" | b"fine" => 5,
        b"info" | b"information" | b"informational" | b"inf" | b"log" => 9,
        b"config" => 8,
        b"notice" | b"success" | b"note" => 10,
        b"warn" | b"warning" | b"wrn" => 13,
        b"error" | b"err" | b"severe" | b"failure" => 17,
        b"crit" => 18,
        b"alert" => 19,
        b"fatal" | b"critical" | b"emerg" | b"emergency" | b"panic" | b"dpanic" | b"ftl" => 21,
        _ => return None,
    })
}

/// The severity number of a single letter, as klog and logcat print it and as
/// some encoders shorten it.
pub(super) fn of_letter(letter: u8) -> Option<i16> {
    Some(match letter.to_ascii_uppercase() {
        b'T' | b'V' => 1,
        b'D' => 5,
        b'I' => 9,
        b'N' => 10,
        b'W' => 13,
        b'E' => 17,
        b'C' | b'F' => 21,
        _ => return None,
    })
}

/// The severity number of a numeric level: 0-7 are syslog's, 10-60 those of
/// pino, bunyan and Python.
pub(super) fn of_level(level: u32) -> Option<i16> {
    Some(match level {
        0 => 21,
        1 => 19,
        2 => 18,
        3 => 17,
        4 => 13,
        5 => 10,
        6 => 9,
        7 => 5,
        10..20 => 1,
        20..30 => 5,
        30..40 => 9,
        40..50 => 13,
        50..60 => 17,
        60..70 => 21,
        _ => return None,
    })
}

/// The severity number of a field's value: a word, a letter or a number.
pub(super) fn of_value(value: &[u8]) -> Option<i16> {
    if let [first, ..] = value
        && first.is_ascii_digit()
        && value.len() <= 2
    {
        return of_level(std::str::from_utf8(value).ok()?.parse().ok()?);
    }
    match value {
        [letter] => of_letter(*letter),
        word => of_word(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers() {
        let check = |value: &str, number: Option<i16>| {
            assert_eq!(of_value(value.as_bytes()), number, "{value}");
        };
        check("TRACE", Some(1));
        check("Debug", Some(5));
        check("info", Some(9));
        check("Notice", Some(10));
        check("WARNING", Some(13));
        check("err", Some(17));
        check("CRITICAL", Some(21));
        check("informational", Some(9));
        check("W", Some(13));
        check("30", Some(9));
        check("50", Some(17));
        check("3", Some(17));
        check("7", Some(5));
        check("", None);
        check("99", None);
        check("100", None);
        check("8", None);
        check("informationally", None);
        check("ünïcode", None);
    }
}
