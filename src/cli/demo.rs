//! Of the demo.

use clap::Args;

/// How the demo runs.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Stop after this long, count, and say what was lost; without it, run
    /// until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION")]
    pub run_for: Option<String>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Lines per second that the services chatter, beside what the shop's calls
    /// make them print.
    #[arg(long, default_value_t = 300)]
    pub rate: u32,
    /// The same seed gives the same workload.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The address to serve on; a free port is taken when it is in use.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9700")]
    pub listen: String,
    /// Run an agent, two ingesters, two query services and alerting as processes
    /// of their own, on the Kafka and the Postgres given.
    #[arg(long, requires = "kafka", requires = "postgres")]
    pub split: bool,
    /// With --split: Kafka's brokers.
    #[arg(long, value_name = "HOST:PORT", requires = "split")]
    pub kafka: Option<String>,
    /// With --split: the catalog's database, for example
    /// postgres://user@127.0.0.1/weir.
    #[arg(long, value_name = "URL", requires = "split")]
    pub postgres: Option<String>,
}
