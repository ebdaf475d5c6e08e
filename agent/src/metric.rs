//! What the agent counts. Every name is here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use weir_runtime::Metrics;

type Named = Family<[(&'static str, String); 1], Counter>;
type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// The agent's metrics. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Bytes of files that became records or drops.
    pub(crate) bytes: Counter,
    /// Lines put into batches.
    pub(crate) lines: Counter,
    /// Batches handed to the event log.
    pub(crate) batches: Counter,
    /// Batches that it acknowledged.
    pub(crate) batches_acknowledged: Counter,
    /// Their size, compressed.
    pub(crate) batch_bytes: Counter,
    /// Appends that failed and were repeated.
    pub(crate) retries: Counter,
    /// Records ended by time and not by content.
    pub(crate) cuts: Counter,
    /// Files renamed or deleted while they were read.
    pub(crate) rotations: Counter,
    /// Files that shrank or were replaced in place.
    pub(crate) truncations: Counter,
    /// Rotated files that are copies: only what their original had left is read.
    pub(crate) copies: Counter,
    /// Files known.
    pub(crate) files: Gauge,
    /// Files held open.
    pub(crate) files_open: Gauge,
    /// As many may be.
    pub(crate) files_open_max: Gauge,
    /// Files that gave their descriptor up for another's.
    pub(crate) files_parked: Gauge,
    /// Directories that the kernel does not watch: their files are polled.
    pub(crate) unwatched_directories: Gauge,
    /// How often more happened than the kernel could note.
    pub(crate) watch_overflows: Counter,
    /// Deleted files held open.
    pub(crate) open_deleted_files: Gauge,
    /// Their bytes on disk, which nobody else can see.
    pub(crate) open_deleted_bytes: Gauge,
    /// Bytes of kept copies.
    pub(crate) kept_bytes: Gauge,
    /// Unread bytes of files that were renamed, deleted or compressed.
    pub(crate) rotated_unread_bytes: Gauge,
    redacted: Named,
    /// Pods known, those that were deleted of late too.
    pub(crate) kubernetes_pods: Gauge,
    /// Files that were read before their pod was known.
    pub(crate) metadata_missed: Counter,
    /// What the API server told, bookmarks too.
    pub(crate) kubernetes_events: Counter,
    /// How often something was listed anew.
    pub(crate) kubernetes_lists: Counter,
    drops: Labelled,
    dropped_bytes: Labelled,
    errors: Labelled,
}

impl Measured {
    /// Metrics that `/metrics` shows.
    pub(crate) fn new(registry: &Metrics) -> Self {
        let all = Self::default();
        registry.register("agent_bytes", "bytes of files settled", all.bytes.clone());
        registry.register("agent_lines", "lines put into batches", all.lines.clone());
        registry.register("agent_batches", "batches handed to the event log", all.batches.clone());
        registry.register(
            "agent_batches_acknowledged",
            "batches that the event log made durable",
            all.batches_acknowledged.clone(),
        );
        registry.register("agent_batch_bytes", "compressed bytes of batches", all.batch_bytes.clone());
        registry.register("agent_append_retries", "appends repeated after a failure", all.retries.clone());
        registry.register("agent_cuts", "records ended by time-out", all.cuts.clone());
        registry.register("agent_rotations", "files renamed or deleted while read", all.rotations.clone());
        registry.register("agent_truncations", "files that shrank or were replaced", all.truncations.clone());
        registry.register(
            "agent_copies",
            "rotated files that are copies, of which only the unread rest is read",
            all.copies.clone(),
        );
        registry.register("agent_files", "files known", all.files.clone());
        registry.register("agent_files_open", "files held open", all.files_open.clone());
        registry.register("agent_files_open_max", "files that may be held open", all.files_open_max.clone());
        registry.register(
            "agent_files_parked",
            "files closed while quiet because there are more than may be open",
            all.files_parked.clone(),
        );
        registry.register(
            "agent_unwatched_directories",
            "directories that the kernel does not watch and scanning alone looks at",
            all.unwatched_directories.clone(),
        );
        registry.register(
            "agent_watch_overflows",
            "times that more happened than the kernel could note, each followed by a full scan",
            all.watch_overflows.clone(),
        );
        registry.register(
            "agent_open_deleted_files",
            "deleted files held open until they are sent",
            all.open_deleted_files.clone(),
        );
        registry.register(
            "agent_open_deleted_bytes",
            "disk space that deleted files take until they are sent",
            all.open_deleted_bytes.clone(),
        );
        registry.register(
            "agent_kept_bytes",
            "copies kept of files that were gone before they were sent",
            all.kept_bytes.clone(),
        );
        registry.register(
            "agent_rotated_unread_bytes",
            "unread bytes of rotated files",
            all.rotated_unread_bytes.clone(),
        );
        registry.register("agent_redacted", "texts redacted, by rule", all.redacted.clone());
        registry.register(
            "agent_metadata_missed",
            "files whose first lines went before their pod was known",
            all.metadata_missed.clone(),
        );
        registry.register("agent_kubernetes_pods", "pods known", all.kubernetes_pods.clone());
        registry.register(
            "agent_kubernetes_events",
            "events of the API server's watches, bookmarks too",
            all.kubernetes_events.clone(),
        );
        registry.register(
            "agent_kubernetes_lists",
            "lists asked of the API server: one each at the start, more after a long absence",
            all.kubernetes_lists.clone(),
        );
        registry.register("agent_drops", "events dropped, by reason", all.drops.clone());
        registry.register("agent_dropped_bytes", "bytes dropped, by reason", all.dropped_bytes.clone());
        registry.register("agent_errors", "failures survived, by kind", all.errors.clone());
        all
    }

    /// Bytes that will never be rows; `reason` is one of the words of
    /// [`weir_proto::model::drop_reason`].
    pub(crate) fn dropped(&self, reason: &'static str, bytes: u64) {
        self.drops.get_or_create(&[("reason", reason)]).inc();
        self.dropped_bytes.get_or_create(&[("reason", reason)]).inc_by(bytes);
    }

    /// What counts the finds of a rule of redaction.
    pub(crate) fn redacted(&self, rule: &str) -> Counter {
        self.redacted.get_or_create(&[("rule", rule.to_owned())]).clone()
    }

    /// A failure of a kind: `directory`, `file`, `link`, `archive`,
    /// `keep`, `watch`, `descriptors`, `checkpoint`, `append`, `spool`,
    /// `kubernetes`, `kubernetes_event`, `kubernetes_object`, `annotation`.
    pub(crate) fn failed(&self, kind: &'static str) {
        self.errors.get_or_create(&[("kind", kind)]).inc();
    }
}
