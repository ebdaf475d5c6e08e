//! The whole pipeline as a user sees it: real processes, public ports, a module
//! per promise. Every test has a directory of its own, kept when it fails.

#![expect(clippy::print_stdout, reason = "seeds, figures and kept directories are for whoever reads the run")]

mod alerts;
mod bad_input;
mod clients;
mod cluster;
mod command;
mod completeness;
mod crash;
mod delivery;
mod demo;
mod deploy;
mod docs;
mod grafana;
mod harness;
mod layers;
mod limits;
mod losses;
mod operation;
mod page;
mod poison;
mod receive;
mod replaced;
mod roles;
mod search;
mod shell;
