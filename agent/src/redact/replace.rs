//! What is written instead.

use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::rule::{BuiltIn, Rule};
use super::{MASK_BEGIN, RedactAction};

/// The shortest secret, bytes. What is shorter can be guessed.
pub(super) const SECRET_BYTES_MIN: usize = 16;

/// Digits of a hash: 64 bits, of which some billion values share none by chance.
const HASH_DIGITS: usize = 16;

/// The longest mask: the beginning, a name, a hash.
const MASK_BYTES_MAX: usize = 64;

/// Hashes what is found, with a secret. `HMAC-SHA256` (RFC 2104), its first 64 bits.
#[derive(Clone)]
pub(super) struct Hasher(Hmac<Sha256>);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(..)")
    }
}

impl Hasher {
    /// A hasher with the secret in a file, line endings at its end left out.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let held = std::fs::read(path)?;
        let length = held.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        let secret = held.get(..length).unwrap_or_default();
        if secret.len() < SECRET_BYTES_MIN {
            let reason = format!("it holds {} bytes, {SECRET_BYTES_MIN} are needed", secret.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Self::new(secret))
    }

    pub(super) fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("a secret may have any length"))
    }

    /// How a value is spelled must not matter.
    fn digest(&self, rule: &str, value: &[u8]) -> [u8; HASH_DIGITS / 2] {
        let mut mac = self.0.clone();
        if rule == BuiltIn::Email.name() {
            let text = String::from_utf8_lossy(value).replace("%40", "@").to_lowercase();
            mac.update(text.as_bytes());
        } else if rule == BuiltIn::Card.name() || rule == BuiltIn::Iban.name() {
            let plain: Vec<u8> = value.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
            mac.update(&plain);
        } else {
            mac.update(value);
        }
        let mut digest = [0; HASH_DIGITS / 2];
        digest.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(place, byte)| *place = byte);
        digest
    }
}

/// Writes what stands for a value.
pub(super) fn write(out: &mut Vec<u8>, rule: &Rule, hasher: Option<&Hasher>, value: &[u8]) {
    out.extend_from_slice(MASK_BEGIN);
    out.extend_from_slice(rule.name.as_bytes());
    if let (RedactAction::Hash, Some(hasher)) = (rule.action, hasher) {
        out.push(b':');
        for byte in hasher.digest(&rule.name, value) {
            for digit in [byte >> 4, byte & 0xf] {
                out.push(b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or(b'0'));
            }
        }
    }
    out.push(b']');
}

/// Where a mask ends that begins at `at`.
pub(super) fn mask_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?.strip_prefix(MASK_BEGIN)?;
    let length = rest.iter().take(MASK_BYTES_MAX).position(|byte| *byte == b']')?;
    let inside = rest.get(..length)?;
    let (name, hash) = match inside.iter().position(|byte| *byte == b':') {
        Some(colon) => (inside.get(..colon)?, Some(inside.get(colon + 1..)?)),
        None => (inside, None),
    };
    let is_name =
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
    let is_hash = hash.is_none_or(|hash| hash.len() == HASH_DIGITS && hash.iter().all(u8::is_ascii_hexdigit));
    (is_name && is_hash).then_some(at + MASK_BEGIN.len() + length + 1)
}

/// True when `start..end` lies in a mask.
pub(super) fn is_masked(text: &[u8], start: usize, end: usize) -> bool {
    let from = start.saturating_sub(MASK_BYTES_MAX);
    let near = text.get(from..(start + MASK_BEGIN.len()).min(text.len())).unwrap_or_default();
    let begins = memchr::memmem::rfind(near, MASK_BEGIN);
    begins.is_some_and(|begin| {
        from + begin <= start && mask_end(text, from + begin).is_some_and(|stop| stop >= end)
    })
}
