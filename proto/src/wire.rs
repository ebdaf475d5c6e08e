//! How events travel.
//!
//! On the event log: lines ([`batch`]), rows of tables ([`rows`]), and what
//! foreign producers write; [`message`] reads them all. From clients: [`otlp`]
//! and [`zipkin`], which become columns here. [`layout`] turns a stored row back
//! into its line.

pub mod batch;
#[cfg(test)]
mod cells;
mod codec;
mod columns;
mod decoded;
mod header;
mod ipc;
pub mod layout;
pub mod message;
pub mod otlp;
pub mod rows;
mod sample;
mod sources;
pub mod zipkin;

pub use codec::Codec;
pub use decoded::Decoded;
pub use header::{BatchHeader, header_name};
