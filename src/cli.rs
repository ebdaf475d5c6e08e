//! Commands and flags. What they mean is in [`crate::command`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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

/// Where the dead letters are.
#[derive(Debug, Args)]
pub struct DeadLetterPlace {
    /// The configuration of an ingester: it names Kafka.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, where they are in it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// How they are listed.
#[derive(Debug, Args)]
pub struct DeadLetterListArgs {
    /// Print a JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// Where they are.
    #[command(flatten)]
    pub place: DeadLetterPlace,
}

/// Which one is shown, and how.
#[derive(Debug, Args)]
pub struct DeadLetterShowArgs {
    /// Where it came from, as the list has it, for example weir.logs/3@42.
    pub id: String,
    /// Write the message's bytes, and nothing else.
    #[arg(long)]
    pub raw: bool,
    /// Where they are.
    #[command(flatten)]
    pub place: DeadLetterPlace,
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
    /// Where they are.
    #[command(flatten)]
    pub place: DeadLetterPlace,
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

/// What of standard input is sent where.
#[derive(Debug, Args)]
pub struct ShipArgs {
    /// `service.name` of the lines.
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub service: String,
    /// Another attribute of the lines; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub attribute: Vec<String>,
    /// The agent; without it, this host's: 9701, then 9700.
    #[arg(long, env = "WEIR_URL", value_name = "URL")]
    pub url: Option<String>,
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
    /// Another attribute of the lines; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub attribute: Vec<String>,
    /// The agent; without it, this host's: 9701, then 9700.
    #[arg(long, env = "WEIR_URL", value_name = "URL")]
    pub url: Option<String>,
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
    /// The configuration of an ingester or a query service: it names the
    /// catalog and the object store.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, where they are in it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Which catalog, and which objects.
#[derive(Debug, Args)]
pub struct RebuildCatalogArgs {
    /// The configuration of an ingester or a query service: it names the
    /// catalog and the object store.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, where they are in it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
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
    /// The configuration of an ingester or a query service: it names the
    /// catalog.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, where the catalog is in it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Which agent or partition, and in which catalog.
#[derive(Debug, Args)]
pub struct DismissArgs {
    /// The agent, as `weir.lanes` has it; or the partition, for example
    /// old.logs/3.
    #[arg(value_name = "AGENT|TOPIC/PARTITION")]
    pub what: String,
    /// The configuration of an ingester or a query service: it names the
    /// catalog.
    #[arg(long, env = "WEIR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, where the catalog is in it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// A question to a running Weir.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The statement; `-` reads it from standard input.
    pub query: String,
    /// Where Weir serves.
    #[arg(long, default_value = "http://127.0.0.1:9700", env = "WEIR_URL")]
    pub url: String,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = SqlFormat::Table)]
    pub format: SqlFormat,
}

/// Which Weir, and how much of it.
#[derive(Debug, Args)]
pub struct DeliveryArgs {
    /// Where Weir serves.
    #[arg(long, default_value = "http://127.0.0.1:9700", env = "WEIR_URL")]
    pub url: String,
    /// Show this many sources, those of which something is missing first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rows: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How `weir sql` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SqlFormat {
    /// Aligned columns.
    Table,
    /// One JSON object with columns and rows.
    Json,
    /// One JSON object per row.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

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
