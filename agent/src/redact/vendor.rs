//! Keys of clouds and services, known by how they begin. Formats are those that
//! the vendors document, or that their own secret scanners look for.

use super::edge::{before, begins_word, byte, ends_word, run, run_before};

/// A kind of key.
#[derive(Debug)]
pub(super) struct Vendor {
    /// How it begins, or what stands before it.
    pub(super) literal: &'static str,
    shape: Shape,
}

/// What follows the literal.
#[derive(Debug)]
enum Shape {
    /// So many characters of an alphabet, and it is all a key.
    Key { alphabet: Alphabet, min: usize, max: usize },
    /// The value of a setting, of at least so many characters of base64.
    Setting { min: usize },
    /// The signature of a URL.
    Signature,
    /// The path of an address that is a secret.
    Path,
    /// `sk_live_`, `rk_test_`: two letters stand before.
    Stripe,
    /// `xoxb-`, `xoxe.xoxp-`.
    Slack,
}

#[derive(Clone, Copy, Debug)]
enum Alphabet {
    /// A-Z and 2-7.
    Base32,
    Alphanumeric,
    /// Letters, digits, `-` and `_`.
    Url,
    /// The same and dots.
    Dotted,
}

impl Alphabet {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Base32 => byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte),
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
        }
    }
}

const fn key(literal: &'static str, alphabet: Alphabet, min: usize, max: usize) -> Vendor {
    Vendor { literal, shape: Shape::Key { alphabet, min, max } }
}

/// All of them.
pub(super) const VENDORS: [Vendor; 25] = [
    // AWS access key ids: of users, of sessions, of bearer tokens, of contexts.
    key("AKIA", Alphabet::Base32, 16, 16),
    key("ASIA", Alphabet::Base32, 16, 16),
    key("ABIA", Alphabet::Base32, 16, 16),
    key("ACCA", Alphabet::Base32, 16, 16),
    // Google: API keys, OAuth access tokens, OAuth client secrets.
    key("AIza", Alphabet::Url, 35, 35),
    key("ya29.", Alphabet::Dotted, 20, 4096),
    key("GOCSPX-", Alphabet::Url, 20, 64),
    // Azure: keys in connection strings, and signatures of shared access.
    Vendor { literal: "AccountKey=", shape: Shape::Setting { min: 40 } },
    Vendor { literal: "AccessKey=", shape: Shape::Setting { min: 40 } },
    Vendor { literal: "sig=", shape: Shape::Signature },
    // GitHub.
    key("ghp_", Alphabet::Alphanumeric, 36, 255),
    key("gho_", Alphabet::Alphanumeric, 36, 255),
    key("ghu_", Alphabet::Alphanumeric, 36, 255),
    key("ghs_", Alphabet::Alphanumeric, 36, 255),
    key("ghr_", Alphabet::Alphanumeric, 36, 255),
    key("github_pat_", Alphabet::Url, 22, 255),
    // GitLab: personal, deploy and runner tokens.
    key("glpat-", Alphabet::Dotted, 20, 255),
    key("gldt-", Alphabet::Dotted, 20, 255),
    key("glrt-", Alphabet::Dotted, 20, 255),
    // Slack: tokens, and addresses that take messages.
    Vendor { literal: "xox", shape: Shape::Slack },
    key("xapp-", Alphabet::Url, 20, 255),
    Vendor { literal: "hooks.slack.com/services/", shape: Shape::Path },
    // Stripe: secret and restricted keys, and secrets of webhooks.
    Vendor { literal: "k_live_", shape: Shape::Stripe },
    Vendor { literal: "k_test_", shape: Shape::Stripe },
    key("whsec_", Alphabet::Alphanumeric, 20, 255),
];

impl Vendor {
    /// The key whose literal stands at `start`.
    pub(super) fn around(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        let after = start + self.literal.len();
        match self.shape {
            Shape::Key { alphabet, min, max } => {
                let length = run(text, after, max + 1, |byte| alphabet.holds(byte));
                let end = after + trimmed(text, after, length);
                let fits = (min..=max).contains(&(end - after));
                (fits && begins_word(text, start) && ends_word(text, end)).then_some((start, end))
            }
            Shape::Setting { min } => {
                let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=%".contains(&byte);
                let length = run(text, after, 1024, is_part);
                (length >= min).then_some((after, after + length))
            }
            Shape::Signature => {
                if !matches!(before(text, start), b'?' | b'&' | b';') {
                    return None;
                }
                let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=%_-".contains(&byte);
                let length = run(text, after, 1024, is_part);
                (length >= 20).then_some((after, after + length))
            }
            Shape::Path => {
                let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'/';
                let length = run(text, after, 255, is_part);
                (length >= 20).then_some((after, after + length))
            }
            Shape::Stripe => {
                let start = start.checked_sub(1)?;
                let length = run(text, after, 255, |byte| byte.is_ascii_alphanumeric());
                let is_secret = matches!(byte(text, start), b's' | b'r') && length >= 10;
                (is_secret && begins_word(text, start)).then_some((start, after + length))
            }
            Shape::Slack => {
                let kind = byte(text, after);
                if !matches!(kind, b'a' | b'b' | b'e' | b'o' | b'p' | b'r' | b's') {
                    return None;
                }
                if !matches!(byte(text, after + 1), b'-' | b'.') || !begins_word(text, start) {
                    return None;
                }
                let length = run(text, after + 2, 511, |byte| Alphabet::Dotted.holds(byte));
                let length = trimmed(text, after + 2, length);
                // `xoxo-hugs` has none.
                let has_digit = text.get(after..after + 2 + length)?.iter().any(u8::is_ascii_digit);
                (length >= 10 && has_digit).then_some((start, after + 2 + length))
            }
        }
    }
}

/// Without dots at the end: they end a sentence.
fn trimmed(text: &[u8], start: usize, length: usize) -> usize {
    length - run_before(text, start + length, length, |byte| byte == b'.')
}
