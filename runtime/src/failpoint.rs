//! Places where a test makes the process fail: before and after each step that
//! something durable depends on.
//!
//! ```sh
//! FAILPOINTS='ingest.put.before=error@3;storage.commit.after=exit%10' weir ingest
//! ```
//!
//! | action | the place |
//! |---|---|
//! | `panic` | panics |
//! | `error` | fails as its step would |
//! | `stall:500ms` | holds its thread for so long |
//! | `exit` | ends the process at once, as `kill -9` does |
//!
//! `@3` means the third time alone, `%10` every tenth; without either each time.
//! Only a build with the feature `failpoints` has them: in others a place is an
//! empty function, and the variable is not looked at.

use std::fmt;
use std::io;

/// A place failed because a test asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected(&'static str);

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failpoint {}", self.0)
    }
}

impl std::error::Error for Injected {}

impl From<Injected> for io::Error {
    fn from(injected: Injected) -> Self {
        Self::other(injected)
    }
}

/// The process comes by a place.
///
/// # Errors
/// A test asked for one here.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_name: &'static str) -> Result<(), Injected> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use on::reach;

/// How often each place was passed and each action was taken, as
/// `NAME PASSED TAKEN` lines: a test asks whether its fault happened.
#[cfg(feature = "failpoints")]
pub use on::counts;

#[cfg(feature = "failpoints")]
mod on;
