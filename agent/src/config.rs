//! What an agent is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_proto::model::TenantId;
use weir_runtime::{ByteSize, HumanDuration};

use crate::StartError;
use crate::find::Patterns;
use crate::join::Multiline;
use crate::kube::KubernetesConfig;
use crate::limit::LimitsConfig;
use crate::parsers::Parsers;
use crate::receive::ReceiveConfig;
use crate::redact::{RedactConfig, Redaction};

/// The agent's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The files to read: paths and globs (`*` within a directory, `**` across
    /// directories). A directory means every file in it. Files that appear
    /// later are read from their beginning. Of rotated files that were
    /// compressed (`.gz`) what was not read before is read.
    ///
    /// A line's `service.name` is the container's name where the path is that
    /// of a pod's log, else the file's name without extension and without what
    /// rotation appends.
    pub tail: Vec<String>,
    /// A link that a pattern finds is followed only if it leads below one of
    /// these directories, or below the directory that a pattern begins with.
    /// Others are refused and counted: who may write there could else have the
    /// agent read what is not theirs.
    pub roots: Vec<PathBuf>,
    /// Whose events these are.
    pub tenant: TenantId,
    /// The cluster's name, sent as `k8s.cluster.name`.
    pub cluster: Option<String>,
    /// The node's name, sent as `k8s.node.name`, and as `host.name` instead of
    /// the host's own, which in a pod is the pod's.
    pub node: Option<String>,
    /// A last line without newline is sent after it did not grow for this
    /// long; so is a container's line whose last part does not come.
    pub line_timeout: HumanDuration,
    /// Whether the lines of a stack trace are joined into one event: `auto` for
    /// those of Java, Kotlin, Scala, .NET, Python, Go, Node, Ruby, PHP and Rust;
    /// `none` for one event per line. Lines of JSON are never joined.
    pub multiline: Multiline,
    /// An event that might have more lines is sent after it did not grow for
    /// this long.
    pub multiline_timeout: HumanDuration,
    /// How the lines of some files are parsed, where recognising them line by
    /// line is not wanted: a list of globs and parsers, for example
    /// `{ "/var/log/nginx/*.log": nginx }`. Parsers are `json`, `logfmt`,
    /// `klog`, `nginx`, `apache`, `envoy`, `istio`, `plain` and `auto`. Where
    /// several globs fit, the longest counts. A pod's annotation goes before.
    pub parsers: BTreeMap<String, String>,
    /// A batch that is not full is sent after this long.
    pub batch_delay: HumanDuration,
    /// How often the directories are walked for new, renamed and deleted
    /// files. What the kernel announces is seen at once; this finds the rest.
    pub scan_interval: HumanDuration,
    /// What may be kept in the state directory of files that were deleted or
    /// compressed before the event log took them. When it is used up, the
    /// oldest is dropped and told as `rotated_unread` in `weir.gaps`.
    pub keep_bytes: ByteSize,
    /// Say goodbye when told to end, so that no answer waits for this agent:
    /// for a host that is taken away. Without it the agent is expected back.
    pub goodbye: bool,
    /// How much of what is tailed may be sent.
    pub limits: LimitsConfig,
    /// What is asked about the pods of this node.
    pub kubernetes: KubernetesConfig,
    /// What clients push.
    pub receive: ReceiveConfig,
    /// What is replaced in what is tailed and pushed.
    pub redact: RedactConfig,
    /// Nothing below this directory is read, whatever the patterns say: where
    /// Weir keeps what it has read. Set by the process, not by the operator.
    #[serde(skip)]
    pub own_data: Option<PathBuf>,
    /// The API server of the cluster in which this process is a pod, as a URL.
    /// Set by the process, not by the operator.
    #[serde(skip)]
    pub own_cluster: Option<String>,
}

impl Config {
    /// The keys that [`crate::Agent::reconfigure`] looks at. Others are read at
    /// the start alone.
    pub const LIVE: [&str; 9] = [
        "tail",
        "roots",
        "line_timeout",
        "multiline",
        "multiline_timeout",
        "batch_delay",
        "scan_interval",
        "keep_bytes",
        "limits",
    ];

    /// Says which pattern cannot be understood, if one cannot.
    ///
    /// # Errors
    /// [`StartError::Glob`], [`StartError::Pattern`], [`StartError::Parser`],
    /// [`StartError::Limits`], [`StartError::Kubernetes`] or
    /// [`StartError::Redact`].
    pub fn validate(&self) -> Result<(), StartError> {
        self.limits.validate()?;
        self.kubernetes.validate()?;
        Redaction::check(&self.redact)?;
        Parsers::new(&self.parsers)?;
        Patterns::new(&self.tail, &self.roots, Path::new("")).map(drop)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tail: Vec::new(),
            roots: ["/var/log/pods", "/var/lib/docker/containers"].map(PathBuf::from).into(),
            tenant: TenantId::default(),
            cluster: None,
            node: None,
            line_timeout: HumanDuration(Duration::from_secs(1)),
            multiline: Multiline::Auto,
            multiline_timeout: HumanDuration(Duration::from_millis(300)),
            parsers: BTreeMap::new(),
            batch_delay: HumanDuration(Duration::from_millis(100)),
            scan_interval: HumanDuration(Duration::from_secs(1)),
            keep_bytes: ByteSize::mib(1024),
            goodbye: false,
            limits: LimitsConfig::default(),
            kubernetes: KubernetesConfig::default(),
            receive: ReceiveConfig::default(),
            redact: RedactConfig::default(),
            own_data: None,
            own_cluster: None,
        }
    }
}
