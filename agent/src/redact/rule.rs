//! The rules that are built in, and those of a configuration.

use prometheus_client::metrics::counter::Counter;

use super::RedactAction;

/// A rule that Weir brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuiltIn {
    Email,
    Card,
    Iban,
    Jwt,
    Bearer,
    Basic,
    CloudKey,
    PrivateKey,
    Password,
    Ip,
}

impl BuiltIn {
    pub(super) const ALL: [Self; 10] = [
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::Jwt,
        Self::Bearer,
        Self::Basic,
        Self::CloudKey,
        Self::PrivateKey,
        Self::Password,
        Self::Ip,
    ];

    /// Its name in the configuration, in annotations and in what is written
    /// instead.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Jwt => "jwt",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::CloudKey => "cloud_key",
            Self::PrivateKey => "private_key",
            Self::Password => "password",
            Self::Ip => "ip",
        }
    }

    /// Part of `default`: all but addresses of hosts, of which access logs are made.
    pub(super) const fn is_default(self) -> bool {
        !matches!(self, Self::Ip)
    }
}

/// A rule of a configuration.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) action: RedactAction,
    /// What it found.
    pub(super) found: Counter,
}
