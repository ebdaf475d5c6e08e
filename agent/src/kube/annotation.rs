//! What a pod's or a namespace's annotations ask for, read word by word. They
//! are input from people who are not the operator: a value that makes no sense
//! is told and passed over, and none can reach beyond the pod's own lines.

use serde::{Deserialize, Serialize};
use weir_proto::model::parser;
use weir_runtime::{ByteSize, HumanDuration};

use crate::Share;
use crate::join::Multiline;
use crate::limit::{Rate, RateLimit};

/// What every annotation begins with.
pub(super) const PREFIX: &str = "weir.dev/";

/// What annotations of OpenTelemetry begin with; what follows is the attribute.
pub(super) const RESOURCE_PREFIX: &str = "resource.opentelemetry.io/";

/// Severity numbers of OpenTelemetry: the lowest of each level.
const LEVELS: [(&str, i16); 8] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("warn", 13),
    ("warning", 13),
    ("error", 17),
    ("fatal", 21),
    ("critical", 21),
];

/// The longest name of a service, and of a rule.
const NAME_BYTES_MAX: usize = 255;

/// What pods may ask for, and their namespaces for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Annotation {
    /// `weir.dev/exclude: "true"`: the container's lines are not read.
    Exclude,
    /// `weir.dev/service: cart`: what the service is called.
    Service,
    /// `weir.dev/parser: json`: how lines are parsed.
    Parser,
    /// `weir.dev/multiline: none`: whether stack traces are joined.
    Multiline,
    /// `weir.dev/min-level: info`: lines below are left out.
    MinLevel,
    /// `weir.dev/sample: "0.1"`: the share of lines that is kept.
    Sample,
    /// `weir.dev/rate-limit: 200/s`: how much may pass.
    RateLimit,
    /// `weir.dev/redact: email,ipv4`: rules of redaction, beside the operator's.
    Redact,
    /// `resource.opentelemetry.io/NAME: VALUE`: more attributes.
    Resource,
}

/// A value that made sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    Exclude(bool),
    Service(String),
    Parser(&'static str),
    Multiline(Multiline),
    MinLevel(i16),
    Sample(Share),
    RateLimit(Rate),
    Redact(Vec<String>),
}

impl Annotation {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Exclude,
        Self::Service,
        Self::Parser,
        Self::Multiline,
        Self::MinLevel,
        Self::Sample,
        Self::RateLimit,
        Self::Redact,
        Self::Resource,
    ];

    /// Those that are written `weir.dev/WORD`.
    pub(super) fn words() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|annotation| *annotation != Self::Resource)
    }

    /// As it is written behind [`PREFIX`].
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Exclude => "exclude",
            Self::Service => "service",
            Self::Parser => "parser",
            Self::Multiline => "multiline",
            Self::MinLevel => "min-level",
            Self::Sample => "sample",
            Self::RateLimit => "rate-limit",
            Self::Redact => "redact",
            Self::Resource => "resource",
        }
    }

    /// Reads a value; the error says what would be one.
    pub(super) fn read(self, text: &str) -> Result<Wish, String> {
        let text = text.trim();
        let allowed = |what: &str| format!("write {what}");
        match self {
            Self::Exclude => match text {
                "true" => Ok(Wish::Exclude(true)),
                "false" => Ok(Wish::Exclude(false)),
                _ => Err(allowed("\"true\" or \"false\"")),
            },
            Self::Service | Self::Resource => match is_name(text) {
                true => Ok(Wish::Service(text.to_owned())),
                false => Err(allowed("a name of 1 to 255 bytes, without control characters")),
            },
            Self::Parser => match parser::NAMES.iter().find(|name| **name == text) {
                Some(name) => Ok(Wish::Parser(name)),
                None => Err(allowed(&format!("one of {}", parser::NAMES.join(", ")))),
            },
            Self::Multiline => match text {
                "auto" => Ok(Wish::Multiline(Multiline::Auto)),
                "none" => Ok(Wish::Multiline(Multiline::None)),
                _ => Err(allowed("auto or none")),
            },
            Self::MinLevel => {
                let level = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
                level
                    .map(|(_, number)| Wish::MinLevel(*number))
                    .ok_or_else(|| allowed(&format!("one of {}", LEVELS.map(|(name, _)| name).join(", "))))
            }
            Self::Sample => {
                let share = text.parse().ok().and_then(|number: f64| Share::try_from(number).ok());
                share.map(Wish::Sample).ok_or_else(|| allowed("a number from 0 to 1, for example \"0.1\""))
            }
            Self::RateLimit => rate(text).map(Wish::RateLimit).ok_or_else(|| {
                allowed("lines in a second, bytes in a second or both: 200/s, 1MiB/s, or \"200/s, 1MiB/s\"")
            }),
            Self::Redact => {
                let rules: Vec<_> = text.split(',').map(|rule| rule.trim().to_owned()).collect();
                match rules.iter().all(|rule| is_rule(rule)) {
                    true => Ok(Wish::Redact(rules)),
                    false => Err(allowed("names of rules with commas between, for example email,ipv4")),
                }
            }
        }
    }
}

impl Wish {
    /// The value, for people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Exclude(is) => is.to_string(),
            Self::Service(name) => name.clone(),
            Self::Parser(name) => (*name).to_owned(),
            Self::Multiline(Multiline::Auto) => "auto".to_owned(),
            Self::Multiline(Multiline::None) => "none".to_owned(),
            Self::MinLevel(number) => level(*number).to_owned(),
            Self::Sample(share) => share.get().to_string(),
            Self::RateLimit(rate) => rate.describe(),
            Self::Redact(rules) => rules.join(","),
        }
    }
}

/// What a lowest severity number is called.
pub(super) fn level(number: i16) -> &'static str {
    LEVELS.iter().find(|(_, held)| *held == number).map_or("none", |(name, _)| name)
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_rule(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// `200`, `200/s`, `1MiB/s`, or one of lines and one of bytes.
fn rate(text: &str) -> Option<Rate> {
    let mut limit = RateLimit { burst: HumanDuration(RateLimit::default().burst.0), ..RateLimit::default() };
    for part in text.split(',') {
        let part = part.trim();
        let number = part.strip_suffix("/s").unwrap_or(part).trim();
        if let Ok(lines) = number.parse::<u64>() {
            if limit.lines_per_second.replace(lines).is_some() {
                return None;
            }
        } else if limit.bytes_per_second.replace(number.parse::<ByteSize>().ok()?).is_some() {
            return None;
        }
    }
    Rate::new(&limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let check = |annotation: Annotation, text: &str, expected: Option<&str>| {
            let read = annotation.read(text).ok().map(|wish| wish.describe());
            assert_eq!(read.as_deref(), expected, "{annotation:?} {text:?}");
        };
        check(Annotation::Exclude, "true", Some("true"));
        check(Annotation::Exclude, "yes", None);
        check(Annotation::Service, " cart ", Some("cart"));
        check(Annotation::Service, "", None);
        check(Annotation::Service, "a\nb", None);
        check(Annotation::Parser, "json", Some("json"));
        check(Annotation::Parser, "regex:.*", None);
        check(Annotation::Multiline, "none", Some("none"));
        check(Annotation::MinLevel, "WARNING", Some("warn"));
        check(Annotation::MinLevel, "9", None);
        check(Annotation::Sample, "0.25", Some("0.25"));
        check(Annotation::Sample, "25", None);
        check(Annotation::Sample, "NaN", None);
        check(Annotation::RateLimit, "200", Some("200 lines/s"));
        check(Annotation::RateLimit, "200/s", Some("200 lines/s"));
        check(Annotation::RateLimit, "1MiB/s", Some("1048576 bytes/s"));
        check(Annotation::RateLimit, "200/s, 1MiB/s", Some("200 lines/s and 1048576 bytes/s"));
        check(Annotation::RateLimit, "200/s, 300/s", None);
        check(Annotation::RateLimit, "0", None);
        check(Annotation::RateLimit, "fast", None);
        check(Annotation::Redact, "email, ipv4", Some("email,ipv4"));
        check(Annotation::Redact, "a b", None);
    }
}
