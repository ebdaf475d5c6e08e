//! Plain lines: the body is the line; severity and time are read from its
//! beginning.

use super::severity;

/// How far into a line, and how many words, a severity is looked for.
const WORDS_BYTES: usize = 160;
const WORDS_MAX: usize = 32;

/// A severity that was found: its number, and its word if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) number: i16,
    pub(super) text: Option<&'a str>,
}

/// Looks for a severity near the beginning of an event's first line. `time_end`
/// is where the time ends, which holds none.
///
/// Capitals are taken anywhere near the start. Other spellings are ordinary
/// words too and count only where programs put severities: in brackets, after
/// the time, or with a colon behind them.
pub(super) fn severity(line: &str, time_end: usize) -> Option<Found<'_>> {
    if let Some(number) = priority(line) {
        return Some(Found { number, text: None });
    }
    if let Some(number) = klog(line, time_end) {
        return Some(Found { number, text: line.get(..1) });
    }
    let mut words = Words { line, at: 0 };
    let mut since_time = None;
    for _ in 0..WORDS_MAX {
        let word = words.next()?;
        if word.start > WORDS_BYTES {
            return None;
        }
        if word.start >= time_end {
            since_time = Some(since_time.map_or(0, |count: usize| count + 1));
        }
        if let Some(number) = number(line, &word, since_time) {
            return Some(Found { number, text: Some(&line[word.start..word.end]) });
        }
    }
    None
}

fn number(line: &str, word: &Word, since_time: Option<usize>) -> Option<i16> {
    let bytes = line.as_bytes();
    let text = &bytes[word.start..word.end];
    let before = word.start.checked_sub(1).and_then(|at| bytes.get(at));
    let after = bytes.get(word.end);
    if let [letter] = text {
        // logcat: `D WindowManager: ...` behind process and thread.
        let is_logcat = since_time == Some(2) && letter.is_ascii_uppercase() && after == Some(&b' ');
        let is_threads = is_logcat && digits_before(bytes, word.start);
        return if is_threads { severity::of_letter(*letter) } else { None };
    }
    let number = severity::of_word(text)?;
    let is_upper = text.iter().all(u8::is_ascii_uppercase);
    let is_bracketed = matches!(before, Some(b'[' | b'(' | b'<' | b'|'))
        && matches!(after, Some(b']' | b')' | b'>' | b'|' | b':' | b' '))
        // Apache: `[core:error]`.
        || before == Some(&b':') && after == Some(&b']');
    let is_assigned = before == Some(&b'=')
        && ["level=", "lvl=", "severity="].iter().any(|key| line[..word.start].ends_with(key));
    let is_first =
        since_time == Some(0) && !matches!(text, b"log" | b"Log" | b"note" | b"Note" | b"fine" | b"Fine");
    let is_labelled = after == Some(&b':') && is_first;
    (is_upper || is_bracketed || is_assigned || is_labelled || is_first).then_some(number)
}

/// True when two numbers stand before `at`, as logcat's process and thread do.
fn digits_before(bytes: &[u8], at: usize) -> bool {
    let mut words = bytes[..at].split(|byte| *byte == b' ').rev().filter(|word| !word.is_empty());
    (0..2).all(|_| words.next().is_some_and(|word| word.iter().all(u8::is_ascii_digit)))
}

/// The severity in a syslog priority: `<34>` is facility 4, severity 2.
fn priority(line: &str) -> Option<i16> {
    let rest = line.strip_prefix('<')?;
    let (digits, _) = rest.split_once('>')?;
    let priority: u32 = digits.parse().ok().filter(|_| digits.len() <= 3)?;
    (priority < 192).then(|| severity::of_level(priority % 8))?
}

/// The severity in a klog header: `I0102 15:04:05.000000`.
fn klog(line: &str, time_end: usize) -> Option<i16> {
    let [letter @ (b'I' | b'W' | b'E' | b'F'), digits @ ..] = line.as_bytes().first_chunk::<5>()? else {
        return None;
    };
    let is_header = digits.iter().all(u8::is_ascii_digit) && time_end > 5;
    is_header.then(|| severity::of_letter(*letter))?
}

/// Runs of letters, with the colours of terminals left out.
struct Words<'a> {
    line: &'a str,
    at: usize,
}

struct Word {
    start: usize,
    end: usize,
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let bytes = self.line.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            if byte == 0x1b {
                let colour = bytes[self.at..].iter().take_while(|byte| **byte != b'm').count();
                self.at += colour + 1;
            } else if byte.is_ascii_alphanumeric() || byte >= 0x80 {
                break;
            } else {
                self.at += 1;
            }
        }
        let start = self.at;
        let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte >= 0x80 || **byte == b'_';
        self.at += bytes[start..].iter().take_while(is_word).count();
        Some(Word { start, end: self.at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::time;
    use super::*;

    fn found(line: &str) -> Option<Found<'_>> {
        let time = time::read_start(line, 1_773_144_000_000_000);
        severity(line.lines().next().unwrap_or_default(), time.map_or(0, |reading| reading.length))
    }

    #[test]
    fn severities_of_plain_lines() {
        let check = |line: &str, number: i16, text: &str| {
            let text = (!text.is_empty()).then_some(text);
            assert_eq!(found(line), Some(Found { number, text }), "{line}");
        };
        check("2015-07-29 17:41:41,536 - INFO  [main:QuorumPeer]", 9, "INFO");
        check("2016-09-28 04:30:30, Info                  CBS    Loaded", 9, "Info");
        check("[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok", 10, "notice");
        check("[Sun Dec 04 04:47:44 2005] [error] mod_jk", 17, "error");
        check("081109 203615 148 INFO dfs.DataNode$PacketResponder: x", 9, "INFO");
        check("17/06/09 20:10:40 WARN executor.Backend: x", 13, "WARN");
        check("03-17 16:13:38.811  1702  2395 D WindowManager: x", 5, "D");
        check("nova-api.log 2017-05-16 00:00:00.008 25746 INFO nova.osapi", 9, "INFO");
        check(
            "- 1117838570 2005.06.03 R02-M1-N0 2005-06-03-15.42.50.363779 R02-M1 RAS KERNEL INFO x",
            9,
            "INFO",
        );
        check("I0102 15:04:05.000000   1 file.go:12] x", 9, "I");
        check("E0102 15:04:05.000000   1 file.go:12] x", 17, "E");
        check("<34>Oct 11 22:14:15 host su: x", 18, "");
        check("<191>x", 5, "");
        check("error: cannot open", 17, "error");
        check("WARNING: old", 13, "WARNING");
        check("\x1b[33mWARN\x1b[0m[0001] x", 13, "WARN");
        check("2024-01-02 15:04:05 \x1b[32m INFO\x1b[0m app: x", 9, "INFO");
        check("2024-01-02T15:04:05Z level=warn msg=two words", 13, "warn");
        check("2023/10/11 14:32:52 [crit] 7#7: x", 18, "crit");
        check("[Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 7] x", 17, "error");
    }

    #[test]
    fn ordinary_words_are_no_severities() {
        for line in [
            "",
            "the error was handled",
            "no information here",
            "fine, thanks",
            "log in at once",
            "a D b",
            "2024-01-02 15:04:05 the panic button",
            "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failed",
            "I am 0102",
            "<999>x",
            "x\nERROR",
            "INFORMATIONS",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(line in any::<String>(), near in "[\x1bmE<>\\[\\]0-9 =:INFOé]{0,40}", end in 0usize..60) {
            for line in [line, near] {
                severity(&line, end);
            }
        }
    }
}
