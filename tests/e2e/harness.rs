//! What every test needs: a node to talk to, files to write, conditions to
//! wait for.

mod cluster;
mod demo;
mod files;
mod inbox;
mod node;
mod observer;
mod producer;
mod pushes;
mod sdk;
mod wait;

pub(crate) use cluster::Cluster;
pub(crate) use demo::Demo;
pub(crate) use files::{Scratch, append};
pub(crate) use inbox::{Hook, MailServer};
pub(crate) use node::{Node, Place, Role, weir};
pub(crate) use observer::{Lines, Observer};
pub(crate) use producer::{Found, add_partitions, delete_records, messages, produce, recreate_topic, topics};
pub(crate) use pushes::Pushes;
pub(crate) use sdk::{Sdk, browser, python};
pub(crate) use wait::{eventually, seed};
