//! Of commands beside an agent: it is watched, explained, given lines.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::NodeArgs;

/// The agent's role, or a question to a running one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AgentArgs {
    /// How the role runs.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Something else than to run it.
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
}

/// What can be done with an agent beside running it.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Show lines as a running agent reads or sends them.
    #[command(
        before_help = "Example:\n  weir agent tap --service cart\n  weir agent tap --stage framed --contains timeout --for 1m"
    )]
    Tap(TapArgs),
    /// Show what applies to a pod's containers, and where each of it comes from.
    #[command(
        before_help = "Example:\n  weir agent explain shop/cart-7d9f\n  weir agent explain 'cart-*' --json --url http://10.0.3.7:9701"
    )]
    Explain(ExplainArgs),
}

/// Which pods of which agent.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The pod, as `NAME` or `NAMESPACE/NAME`; the name may be a glob.
    pub pod: String,
    /// Where the agent of the pod's node serves; without it, this host's: 9701,
    /// then 9700.
    #[arg(long, env = "WEIR_URL", value_name = "URL")]
    pub url: Option<String>,
    /// Print JSON, as the agent sends it.
    #[arg(long)]
    pub json: bool,
}

/// Which lines of which agent.
#[derive(Debug, Args)]
pub struct TapArgs {
    /// Where the agent serves; without it, this host's: 9701, then 9700.
    #[arg(long, env = "WEIR_URL", value_name = "URL")]
    pub url: Option<String>,
    /// `framed`: as they stand in the file, dropped ones too; `batched`: as they
    /// are sent.
    #[arg(long, value_enum, default_value_t = TapStage::Batched)]
    pub stage: TapStage,
    /// Only of pods with such a name.
    #[arg(long, value_name = "GLOB")]
    pub pod: Option<String>,
    /// Only of services with such a name.
    #[arg(long, value_name = "GLOB")]
    pub service: Option<String>,
    /// Only with this text.
    #[arg(long, value_name = "TEXT")]
    pub contains: Option<String>,
    /// At most so many in a second, for example `20` or `20/s`.
    #[arg(long, default_value = "100/s", value_name = "N/s")]
    pub sample: String,
    /// How long to watch.
    #[arg(long = "for", default_value = "10s", value_name = "DURATION")]
    pub watch_for: String,
    /// Print JSON, a line each, as the agent sends it.
    #[arg(long)]
    pub json: bool,
}

/// Where lines are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TapStage {
    /// As they stand in the file.
    Framed,
    /// As they are sent.
    Batched,
}

/// What is shown of which agent.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Where the agent serves; without it, this host's: 9701, then 9700.
    #[arg(long, env = "WEIR_URL", value_name = "URL")]
    pub url: Option<String>,
    /// What a row is.
    #[arg(long, value_enum, default_value_t = TopBy::Pod)]
    pub by: TopBy,
    /// What stands first.
    #[arg(long, value_enum, default_value_t = TopSort::Bytes)]
    pub sort: TopSort,
    /// How many rows.
    #[arg(long, default_value_t = 20)]
    pub rows: usize,
    /// Look twice, an interval apart, print once, and end.
    #[arg(long)]
    pub once: bool,
    /// Print JSON, an object each time.
    #[arg(long)]
    pub json: bool,
    /// How often to look.
    #[arg(long, default_value = "2s", value_name = "DURATION")]
    pub interval: String,
}

/// What a row of `weir top` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TopBy {
    /// A pod; a service, where no pod writes.
    Pod,
    /// A Kubernetes namespace.
    Namespace,
    /// A service.
    Service,
    /// A file.
    File,
}

/// What `weir top` puts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TopSort {
    /// Who sends the most.
    Bytes,
    /// Who is the furthest behind.
    Lag,
}

/// What lines from a shell are sent with, and where to.
#[derive(Debug, Args)]
pub struct SentArgs {
    /// Another attribute of the lines; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub attribute: Vec<String>,
    /// The agent; without it, this host's: 9701, then 9700.
    #[arg(long, env = "WEIR_URL", value_name = "URL")]
    pub url: Option<String>,
}

/// What of standard input is sent where.
#[derive(Debug, Args)]
pub struct ShipArgs {
    /// `service.name` of the lines.
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub service: String,
    /// What they are sent with, and where to.
    #[command(flatten)]
    pub sent: SentArgs,
    /// When the input has ended: how long to wait until all is taken.
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    pub wait: String,
    /// Say how many lines were taken.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Which command is run, and where its output is sent.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// `service.name` of the lines; without it, the name of the command.
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub service: Option<String>,
    /// What they are sent with, and where to.
    #[command(flatten)]
    pub sent: SentArgs,
    /// What may wait for the agent, compressed. When it is full, lines are shown,
    /// and not sent.
    #[arg(long, default_value = "16MiB", value_name = "SIZE")]
    pub buffer: String,
    /// When the command has ended: how long to wait until all is taken.
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub wait: String,
    /// Say when the agent takes nothing, and how many lines it took.
    #[arg(long, short)]
    pub verbose: bool,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// What is looked at.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How an agent would run here.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Also compare the clock with Kafka's: creates a topic, writes a record,
    /// and deletes the topic.
    #[arg(long)]
    pub probe: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What is replaced, and what is shown.
#[derive(Debug, Args)]
pub struct RedactArgs {
    /// Show what would change, line by line, and how often each rule found
    /// something, instead of the lines.
    #[arg(long)]
    pub dry_run: bool,
    /// The configuration whose `agent.redact` holds; without it, every rule but
    /// `ip`.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only these rules, for example email,card; patterns of the file, too.
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    pub rules: Vec<String>,
}
