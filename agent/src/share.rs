//! A share of a whole.

use serde::{Deserialize, Serialize};

/// A part of what there is, from 0 (nothing) to 1 (all of it).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

/// It is always a number.
impl Eq for Share {}

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// True when nothing is left out.
    pub fn is_all(self) -> bool {
        self.0 >= 1.0
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        let is_share = (0.0..=1.0).contains(&number);
        is_share
            .then_some(Self(number))
            .ok_or_else(|| format!("{number} is no share: write a number from 0 to 1"))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.0
    }
}
