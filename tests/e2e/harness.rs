//! What every test needs: a node to talk to, files to write, conditions to
//! wait for.

mod files;
mod node;
mod wait;

pub(crate) use files::{Scratch, append};
pub(crate) use node::{Node, Role, weir};
pub(crate) use wait::{eventually, seed};
