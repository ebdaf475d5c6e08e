//! Events that say who they are. The whole text follows from the run's seed, the
//! feed and the number, so that whoever finds one knows what it must look like
//! without having kept it. Nothing here writes or sends.

use std::fmt::Write;

/// What marks an identity in a text: `ev.FEED.NUMBER.`.
const MARK: &str = "ev.";

/// The shortest and the longest that is written behind an identity.
const PAD: std::ops::Range<u64> = 1..120;

/// What a feed's events look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// JSON, logfmt and plain text in turn, as the number decides: what is taken
    /// apart must be put together again.
    Mixed,
    /// Plain text, for inputs whose events are one field.
    Plain,
    /// The identity alone, for points of metrics: its number is their value.
    Number,
    /// Stack traces of eight lines, each line an event of its own: they may come
    /// to lie in one row or in several, and the lines are the same.
    Trace,
}

impl Style {
    /// True where each event is a row of its own.
    pub(crate) const fn is_one_row(self) -> bool {
        matches!(self, Self::Plain | Self::Number)
    }
}

/// Lines of one stack trace.
pub(crate) const TRACE_LINES: u64 = 8;

/// The text of an event.
pub(crate) fn text(seed: u64, feed: &str, style: Style, number: u64) -> String {
    let mut random = Mix::of(seed, feed, number);
    let id = format!("{MARK}{feed}.{number}.");
    let pad = pad(&mut random);
    match (style, random.next() % 4, number % TRACE_LINES) {
        (Style::Mixed, 0, _) => {
            format!(r#"{{"level":"info","msg":"{id} {pad}","n":{number},"user":"u{}"}}"#, number % 97)
        }
        (Style::Mixed, 1, _) => format!(r#"level=warn msg="{id} {pad}" took={}ms"#, number % 1000),
        (Style::Mixed, 2, _) => format!("INFO [worker-{}] {id} {pad}", number % 7),
        (Style::Mixed | Style::Plain, ..) => format!("{id} {pad}"),
        (Style::Number, ..) => id,
        (Style::Trace, _, 0) => format!("ERROR order - cannot place {id} {pad}"),
        (Style::Trace, _, 1) => format!("java.lang.IllegalStateException: {id} {pad}"),
        (Style::Trace, ..) => format!("\tat oracle.{id}run(Load.java:{})", 1 + number % 900),
    }
}

/// Who a text says that it is: feed and number.
pub(crate) fn id_of(text: &str) -> Option<(&str, u64)> {
    text.match_indices(MARK).find_map(|(at, _)| {
        let mut words = text.get(at + MARK.len()..)?.splitn(3, '.');
        let (feed, number) = (words.next()?, words.next()?);
        words.next()?;
        let is_feed = !feed.is_empty() && feed.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Some((feed, number.parse().ok()?)).filter(|_| is_feed)
    })
}

fn pad(random: &mut Mix) -> String {
    let length = PAD.start + random.next() % (PAD.end - PAD.start);
    let mut pad = String::new();
    while (pad.len() as u64) < length {
        // Writing to a string cannot fail.
        let _ = write!(pad, "{:x}", random.next());
    }
    pad.truncate(usize::try_from(length).unwrap_or(pad.len()));
    pad
}

/// SplitMix64: the same numbers in every version of every library.
struct Mix(u64);

impl Mix {
    fn of(seed: u64, feed: &str, number: u64) -> Self {
        let mut mix = Self(seed);
        for byte in feed.bytes() {
            mix.0 ^= u64::from(byte);
            mix.next();
        }
        mix.0 ^= number;
        mix
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_says_who_it_is() {
        for style in [Style::Mixed, Style::Plain, Style::Number, Style::Trace] {
            for number in 0..200 {
                let text = text(7, "p0", style, number);
                assert_eq!(id_of(&text), Some(("p0", number)), "{text}");
                assert!(!text.contains('\n'));
            }
        }
    }

    #[test]
    fn seed_feed_and_number_make_the_text() {
        let first = text(1, "p0", Style::Plain, 1);
        assert_eq!(first, text(1, "p0", Style::Plain, 1));
        for other in
            [text(2, "p0", Style::Plain, 1), text(1, "p1", Style::Plain, 1), text(1, "p0", Style::Plain, 2)]
        {
            assert_ne!(first.rsplit(' ').next(), other.rsplit(' ').next());
        }
    }

    #[test]
    fn what_is_no_identity_is_none() {
        for text in ["", "ev.", "ev.p0", "ev.p0.12", "ev..12.", "ev.p0.x.", "even ev.p 0.1."] {
            assert_eq!(id_of(text), None, "{text}");
        }
        assert_eq!(id_of("ev.x ev.p0.3. y"), Some(("p0", 3)));
    }
}
