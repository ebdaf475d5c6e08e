//! Of commands that work on what a node keeps.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where a node keeps what a command works on.
#[derive(Debug, Args)]
pub struct StoresArgs {
    /// The configuration of an ingester or a query service: it names the
    /// catalog, the object store and Kafka.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, where they are in it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Which catalog and store, and how closely to look.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Read and decode every row, rather than compare names and sizes.
    #[arg(long)]
    pub rows: bool,
    /// Remove objects that no commit names and that are an hour old: they are
    /// left over from processes that died.
    #[arg(long)]
    pub remove_orphans: bool,
    /// What it works on.
    #[command(flatten)]
    pub stores: StoresArgs,
}

/// Which catalog, and which objects.
#[derive(Debug, Args)]
pub struct RebuildCatalogArgs {
    /// What it works on.
    #[command(flatten)]
    pub stores: StoresArgs,
}

/// Which partitions, and in which catalog.
#[derive(Debug, Args)]
pub struct ResetOffsetsArgs {
    /// The topic, for example weir.logs.
    pub topic: String,
    /// Only these partitions; else all that were read.
    #[arg(long = "partition", value_name = "NUMBER", value_delimiter = ',')]
    pub partitions: Vec<u32>,
    /// Do it. Without it, only say what would be done.
    #[arg(long)]
    pub execute: bool,
    /// What it works on.
    #[command(flatten)]
    pub stores: StoresArgs,
}

/// Which agent or partition, and in which catalog.
#[derive(Debug, Args)]
pub struct DismissArgs {
    /// The agent, as `weir.lanes` has it; or the partition, for example
    /// old.logs/3.
    #[arg(value_name = "AGENT|TOPIC/PARTITION")]
    pub what: String,
    /// What it works on.
    #[command(flatten)]
    pub stores: StoresArgs,
}

/// What can be done with messages that could not be decoded.
#[derive(Debug, Subcommand)]
pub enum DeadLetterCommand {
    /// List them: where each came from, when it was put away, and why.
    List(DeadLetterListArgs),
    /// Show one, with its headers and its bytes.
    Show(DeadLetterShowArgs),
    /// Append them to the partition that they came from, as they were.
    ///
    /// After an upgrade that can read them, or once what was wrong is mended. An
    /// agent's lines and spans that are stored already are not stored again;
    /// messages of others, such as a Collector's, are new messages then.
    Replay(DeadLetterReplayArgs),
}

/// How they are listed.
#[derive(Debug, Args)]
pub struct DeadLetterListArgs {
    /// Print a JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// What it works on.
    #[command(flatten)]
    pub stores: StoresArgs,
}

/// Which one is shown, and how.
#[derive(Debug, Args)]
pub struct DeadLetterShowArgs {
    /// Where it came from, as the list has it, for example weir.logs/3@42.
    pub id: String,
    /// Write the message's bytes, and nothing else.
    #[arg(long)]
    pub raw: bool,
    /// What it works on.
    #[command(flatten)]
    pub stores: StoresArgs,
}

/// Which are sent again.
#[derive(Debug, Args)]
pub struct DeadLetterReplayArgs {
    /// Where they came from, as the list has it, for example weir.logs/3@42.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,
    /// All of them that were not sent again yet.
    #[arg(long)]
    pub all: bool,
    /// What it works on.
    #[command(flatten)]
    pub stores: StoresArgs,
}
