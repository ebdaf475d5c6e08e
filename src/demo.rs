//! A simulated shop. Its services call each other for real, over loopback, and
//! print and send what real ones do: into container logs laid out as Kubernetes
//! lays them out, as spans and as metrics. Beside them replicas chatter, as
//! loud as wished. Seeded: the same seed makes the same choices.

mod chatter;
mod container;
pub mod corpus;
mod inbox;
mod shop;
mod workload;

pub use container::{Emitted, cri_time};
pub use inbox::Inbox;
pub use shop::{Shop, Sold};
pub use workload::Workload;
