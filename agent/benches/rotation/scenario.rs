//! What is done to files while they are read.

#[path = "scenario/copytruncate.rs"]
mod copytruncate;
#[path = "scenario/crowd.rs"]
mod crowd;
#[path = "scenario/giant.rs"]
mod giant;
#[path = "scenario/leaving.rs"]
mod leaving;
#[path = "scenario/rename.rs"]
mod rename;
#[path = "scenario/reuse.rs"]
mod reuse;

use anyhow::Result;

pub(crate) use copytruncate::copytruncate;
pub(crate) use crowd::crowd;
pub(crate) use giant::{fragments, giant};
pub(crate) use leaving::{deleted, pods};
pub(crate) use rename::{Renames, down, killed, rotation};
pub(crate) use reuse::reuse;

/// What a scenario found: for people. What must not be is an error.
pub(crate) type Outcome = Result<String>;
