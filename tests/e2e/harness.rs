//! What every test needs: a node to talk to, files to write, conditions to
//! wait for.

mod files;
mod node;
mod wait;

pub use files::{Scratch, append};
pub use node::{Node, Role, weir};
pub use wait::{eventually, seed};
