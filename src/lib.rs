//! Weir, put together: the command line, the configuration tree, and the node
//! that wires roles into a process. It composes and decides nothing.

pub mod cli;
pub mod command;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "agent")]
mod doctor;
pub mod http;
pub mod node;
#[cfg(feature = "query")]
pub mod page;
pub mod reload;
pub mod role;
#[cfg(feature = "agent")]
mod shell;
