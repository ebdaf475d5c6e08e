//! Identifiers, each a type of its own so that two never swap places.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use twox_hash::XxHash64;
use ulid::Ulid;

use crate::limit::TENANT_BYTES_MAX;

macro_rules! ulid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// Draws a new identifier, never used before.
            pub fn generate() -> Self {
                Self(Ulid::generate())
            }

            /// From the 128-bit value, for tests and golden bytes.
            pub const fn from_u128(value: u128) -> Self {
                Self(Ulid(value))
            }

            /// The 128-bit value.
            pub const fn as_u128(self) -> u128 {
                self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ulid::DecodeError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text).map(Self)
            }
        }
    };
}

ulid_type! {
    /// One agent's durable state: a lost checkpoint directory is a new agent.
    AgentId
}
ulid_type! {
    /// One stream of one incarnation of one file, drawn at first sight and
    /// made durable before its first batch.
    SourceId
}
ulid_type! {
    /// One object in a table. Unique and never reused, so that a deleted name
    /// can never come back with other content.
    FileId
}

impl SourceId {
    /// The same identifier where a client drew it: with the highest bit, which
    /// no time has before the year 6429. So no client can speak for a file.
    #[must_use]
    pub const fn of_client(self) -> Self {
        Self::from_u128(self.as_u128() | 1 << 127)
    }

    /// The source of a partition that a foreign producer writes: every process
    /// derives the same one. XXH64 of `kafka:topic/partition` with seed 0 is the
    /// upper half, with seed 1 the lower.
    pub fn foreign(topic: &str, partition: u32, generation: u64) -> Self {
        let mut name = format!("kafka:{topic}/{partition}");
        if generation > 0 {
            name.push_str(&format!("@{generation}"));
        }
        let half = |seed| u128::from(XxHash64::oneshot(seed, name.as_bytes()));
        Self::from_u128(half(0) << 64 | half(1))
    }
}

/// The hash of a line layout's content: equal layouts have equal ids in every
/// process, so files merge without translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayoutId(pub i64);

/// Whose events these are. Part of every batch, file, key and object path, so
/// its alphabet is what is safe in all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

/// A tenant name that could not be part of an object path.
#[derive(Debug, Error)]
#[error(
    "tenant {0:?} is not allowed: use 1 to {TENANT_BYTES_MAX} characters of a-z, 0-9, '-' and '_', not starting with '-'"
)]
pub struct TenantIdError(String);

impl TenantId {
    /// Accepts 1 to 64 characters of `a-z 0-9 - _`, not starting with `-`.
    pub fn new(name: impl Into<String>) -> Result<Self, TenantIdError> {
        let name = name.into();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let fits = (1..=TENANT_BYTES_MAX).contains(&name.len());
        if fits && !name.starts_with('-') && name.bytes().all(allowed) {
            Ok(Self(name))
        } else {
            Err(TenantIdError(name))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = TenantIdError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_partition_is_the_same_source_everywhere() {
        let source = SourceId::foreign("weir.spans", 3, 0);
        assert_eq!(source.to_string(), "63F5AYK03FPC8VSYRNAG0955XB");
        assert_ne!(source, SourceId::foreign("weir.spans", 4, 0));
        assert_ne!(source, SourceId::foreign("weir.spans", 3, 1));
        assert_eq!(source.to_string().parse::<SourceId>().unwrap(), source);
    }

    #[test]
    fn a_client_cannot_name_the_source_of_a_file() {
        let file = SourceId::generate();
        assert_ne!(file.of_client(), file);
        assert_eq!(file.of_client().of_client(), file.of_client());
        assert_eq!(file.of_client().to_string().parse::<SourceId>().unwrap(), file.of_client());
    }

    #[test]
    fn a_tenant_is_safe_in_a_path() {
        for good in ["default", "team-a", "0", "a_b"] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "A", "-a", "ä", "a\0", &"x".repeat(65)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }
}
