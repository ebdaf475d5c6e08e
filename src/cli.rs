//! Commands and flags. What they mean is in [`crate::command`].

mod agent;
mod ask;
mod demo;
mod operate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use self::agent::{
    AgentArgs, AgentCommand, DoctorArgs, ExplainArgs, RedactArgs, RunArgs, SentArgs, ShipArgs, TapArgs,
    TapStage, TopArgs, TopBy, TopSort,
};
pub use self::ask::{DeliveryArgs, SqlArgs, SqlFormat};
pub use self::demo::DemoArgs;
pub use self::operate::{
    CheckArgs, DeadLetterCommand, DeadLetterListArgs, DeadLetterReplayArgs, DeadLetterShowArgs, DismissArgs,
    RebuildCatalogArgs, ResetOffsetsArgs, StoresArgs,
};
use crate::command;

/// An event-driven pipeline for logs, metrics and traces: nothing lost silently.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    before_help = "Example:\n  weir all --tail '/var/log/*.log'\n  weir sql \"SELECT count(*) FROM logs\"",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every role in one process, on the disk event log.
    #[command(before_help = "Example:\n  weir all --data /var/lib/weir --tail '/var/log/*.log'")]
    All(NodeArgs),
    /// Tail files and append them to the event log.
    #[command(before_help = "Example:\n  weir agent --data /var/lib/weir --tail '/var/log/pods/*/*/*.log'")]
    Agent(AgentArgs),
    /// Store the event log as Parquet files.
    #[command(before_help = "Example:\n  weir ingest --data /var/lib/weir")]
    Ingest(NodeArgs),
    /// Answer SQL and log search over HTTP.
    #[command(before_help = "Example:\n  weir query --data /var/lib/weir --listen 127.0.0.1:9700")]
    Query(NodeArgs),
    /// Evaluate rules and tell people.
    #[command(before_help = "Example:\n  weir alerting --config /etc/weir/weir.yaml --data /var/lib/weir")]
    Alerting(NodeArgs),
    /// Ask a running Weir in SQL.
    #[command(
        before_help = "Example:\n  weir sql \"SELECT service_name, count(*) FROM logs GROUP BY 1\"\n  weir sql --format csv \"SELECT * FROM weir.gaps\""
    )]
    Sql(SqlArgs),
    /// How far every source is stored, and every loss, of a running Weir.
    #[command(
        before_help = "Example:\n  weir delivery\n  weir delivery --rows 1000 --json --url http://127.0.0.1:9700"
    )]
    Delivery(DeliveryArgs),
    /// Watch a running agent: lines and bytes a second, lag, loss and spools.
    #[command(
        before_help = "Example:\n  weir top\n  weir top --by namespace --sort lag\n  weir top --once --json --url http://127.0.0.1:9701"
    )]
    Top(TopArgs),
    /// Send the lines of standard input.
    #[command(
        before_help = "Example:\n  make 2>&1 | weir ship --service build\n  journalctl -f -o cat | weir ship --service journal --url http://127.0.0.1:9701"
    )]
    Ship(ShipArgs),
    /// Run a command, show its output as it is, and send it, too.
    #[command(
        before_help = "Example:\n  weir run -- ./nightly.sh --full\n  weir run --service api -- node server.js"
    )]
    Run(RunArgs),
    /// Look for what keeps Weir from working here, and say what to do about it.
    #[command(before_help = "Example:\n  weir doctor\n  weir doctor --config /etc/weir/weir.yaml --json")]
    Doctor(DoctorArgs),
    /// Replace sensitive text in the lines of standard input, as an agent would.
    #[command(
        before_help = "Example:\n  weir redact --dry-run < app.log\n  weir redact --dry-run --config /etc/weir/weir.yaml < app.log\n  weir redact --rules email,card < app.log > clean.log"
    )]
    Redact(RedactArgs),
    /// Stop waiting for a retired agent, or for a partition that the event log
    /// does not have any more: nothing more will come of it.
    #[command(
        before_help = "Example:\n  weir sql \"SELECT agent, partition FROM weir.lanes WHERE status = 'retired'\"\n  weir dismiss 01J9ZQ4W8E3T7Y2N5M6K1H0BCD --config /etc/weir/weir.yaml"
    )]
    Dismiss(DismissArgs),
    /// Look at messages that could not be decoded, and send them again.
    #[command(
        before_help = "Example:\n  weir dead-letter list --config /etc/weir/weir.yaml\n  weir dead-letter show weir.logs/3@42 --config /etc/weir/weir.yaml\n  weir dead-letter replay --all --config /etc/weir/weir.yaml"
    )]
    DeadLetter {
        /// What to do with them.
        #[command(subcommand)]
        command: DeadLetterCommand,
    },
    /// Have a topic that is another one now read from its start.
    ///
    /// An ingester stops where a topic was deleted and made anew, or another
    /// cluster stands where it was: reading on would pass over messages in
    /// silence. Nothing is stored twice by this: what is known of each source
    /// stays. What the former log held unread is lost, and becomes a row of
    /// `weir.gaps`.
    #[command(
        before_help = "Example:\n  weir reset-offsets weir.logs --config /etc/weir/weir.yaml\n  weir reset-offsets weir.logs --partition 3 --execute --config /etc/weir/weir.yaml"
    )]
    ResetOffsets(ResetOffsetsArgs),
    /// Check that every stored file is there and whole, as the catalog says.
    #[command(before_help = "Example:\n  weir check\n  weir check --rows --config /etc/weir/weir.yaml")]
    Check(CheckArgs),
    /// Make a lost catalog again, from the objects.
    ///
    /// Files say of themselves which rows of which sources they hold; what else the
    /// catalog knew comes from the state that ingesters keep among the objects
    /// (`ingest.state_interval`). The catalog that the configuration names must be
    /// empty, and no ingester may run meanwhile.
    #[command(
        before_help = "Example:\n  mkdir damaged; mv /var/lib/weir/catalog.db* damaged/\n  weir rebuild-catalog --data /var/lib/weir\n  weir check --rows --data /var/lib/weir"
    )]
    RebuildCatalog(RebuildCatalogArgs),
    /// Check a configuration file without starting anything.
    #[command(before_help = "Example:\n  weir validate /etc/weir/weir.yaml")]
    Validate {
        /// The file, or a directory of *.yaml.
        file: PathBuf,
    },
    /// Run everything on a temporary directory with a simulated shop as workload.
    #[command(
        before_help = "Example:\n  weir demo\n  weir demo --for 30s --json\n  weir demo --split --kafka 127.0.0.1:9092 --postgres postgres://weir@127.0.0.1/weir"
    )]
    Demo(DemoArgs),
    /// The query worker: started by `weir query` and `weir all`.
    #[command(hide = true)]
    QueryWorker {
        /// The configuration that its parent runs on.
        #[arg(long)]
        config: PathBuf,
    },
    /// Write a seeded corpus of log lines, for measurements.
    #[command(hide = true)]
    Corpus {
        /// The file to write.
        file: PathBuf,
        /// How many bytes, for example 1GB.
        #[arg(long, default_value = "256MB")]
        size: String,
        /// The same seed gives the same lines.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// What a node needs to know; each flag stands above the file and `WEIR_*`.
#[derive(Debug, Default, Args)]
pub struct NodeArgs {
    /// YAML configuration, a file or a directory of *.yaml; every setting has a
    /// default. A change is taken over while running, as far as that can be.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Files or directories to tail; may be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub tail: Vec<String>,
    /// The address to serve on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Allow an address that other hosts can reach, without credentials.
    #[arg(long)]
    pub insecure: bool,
    /// End when the process that started this one ends: for a parent that
    /// holds the other end of its standard input.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// Parses the command line, runs it, and says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::All(args) => command::node(&args, command::Roles::ALL),
        Command::Agent(AgentArgs { command: Some(AgentCommand::Tap(args)), .. }) => command::tap(&args),
        Command::Agent(AgentArgs { command: Some(AgentCommand::Explain(args)), .. }) => {
            command::explain(&args)
        }
        Command::Agent(args) => command::node(&args.node, command::Roles::AGENT),
        Command::Top(args) => command::top(&args),
        Command::Ship(args) => command::ship(&args),
        Command::Run(args) => command::run(&args),
        Command::Doctor(args) => command::doctor(&args),
        Command::Ingest(args) => command::node(&args, command::Roles::INGEST),
        Command::Query(args) => command::node(&args, command::Roles::QUERY),
        Command::Alerting(args) => command::node(&args, command::Roles::ALERTING),
        Command::Sql(args) => command::sql(&args),
        Command::Delivery(args) => command::delivery(&args),
        Command::Redact(args) => command::redact(&args),
        Command::Check(args) => command::check(&args),
        Command::DeadLetter { command } => command::dead_letter(&command),
        Command::ResetOffsets(args) => command::reset_offsets(&args),
        Command::RebuildCatalog(args) => command::rebuild_catalog(&args),
        Command::Dismiss(args) => command::dismiss(&args),
        Command::Validate { file } => command::validate(&file),
        Command::Demo(args) => command::demo(&args),
        Command::QueryWorker { config } => command::query_worker(&config),
        Command::Corpus { file, size, seed } => command::corpus(&file, &size, seed),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "weir: {error:#}");
            ExitCode::from(1)
        }
    }
}
