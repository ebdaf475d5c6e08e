//! The log as a whole: the conformance suite on a real disk, and what it
//! promises about crashes on a simulated one.

mod conformance;
