//! The log as a whole: the conformance suite on a real disk, and what it
//! promises about crashes and damage on a simulated one.

mod conformance;
mod corruption;
mod cuts;
mod fsync;
mod full;
mod golden;
mod harness;
mod life;
mod model;
mod power;
mod processes;
mod retention;
