//! `weir dead-letter`: messages that could not be decoded are looked at, and sent
//! again.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::DeadLetterCommand;

/// Lists, shows or replays.
#[cfg(feature = "ingest")]
pub fn dead_letter(command: &DeadLetterCommand) -> Result<ExitCode> {
    match command {
        DeadLetterCommand::List(args) => letters::list(args),
        DeadLetterCommand::Show(args) => letters::show(args),
        DeadLetterCommand::Replay(args) => letters::replay(args),
    }
}

/// This build has no ingester, whose dead letters they are.
#[cfg(not(feature = "ingest"))]
pub fn dead_letter(_: &DeadLetterCommand) -> Result<ExitCode> {
    anyhow::bail!("this build has no ingester, to which `weir dead-letter` belongs")
}

#[cfg(feature = "ingest")]
mod letters {
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Write;
    use std::process::ExitCode;
    use std::time::Duration;

    use anyhow::{Context, Result, bail};
    use serde_json::json;
    use weir_ingest::{Found, Letter, letters_in, letters_on};
    use weir_proto::model::{ByteRange, TenantId, drop_reason};
    use weir_proto::wire::header_name;
    use weir_runtime::Handles;
    use weir_storage::catalog::Catalog;

    use crate::cli::{DeadLetterListArgs, DeadLetterReplayArgs, DeadLetterShowArgs};
    use crate::command::{DONE, block_on, config_with_catalog};
    use crate::config::Config;
    use crate::role::log::Log;
    use crate::role::stores;

    /// How many bytes of a message are shown where it is no text.
    const SHOWN_BYTES: usize = 256;

    /// How long the log may take to close.
    const CLOSE_WAIT: Duration = Duration::from_secs(10);

    pub(super) fn list(args: &DeadLetterListArgs) -> Result<ExitCode> {
        let config = config_with_catalog(&args.stores)?;
        let mut lost = Lost::default();
        let (letters, unreadable) = block_on(async {
            let catalog = stores::catalog_read_only(&config).await?;
            let (letters, unreadable) = look_through(&config, |_| true).await?;
            lost.read(&*catalog, &letters).await?;
            Ok((letters, unreadable))
        })?;
        let mut out = std::io::stdout().lock();
        for letter in &letters {
            let id = letter.id().to_string();
            let (tenant, is_lost) = (tenant(letter), lost.holds(letter));
            let (bytes, at) = (letter.record.payload.len(), letter.kept_micros);
            if args.json {
                let object = json!({
                    "id": id,
                    "tenant": tenant.as_str(),
                    "kept_at": at,
                    "bytes": bytes,
                    "is_lost": is_lost,
                    "reason": letter.reason,
                });
                writeln!(out, "{object}")?;
            } else {
                let state = if is_lost { "lost" } else { "replayed" };
                writeln!(out, "{id}  {}  {state}  {bytes} bytes  {}", time(at), letter.reason)?;
            }
        }
        if !args.json {
            writeln!(out, "{} dead letters, {} of them lost", letters.len(), lost.count(&letters))?;
        }
        end(&unreadable)
    }

    pub(super) fn show(args: &DeadLetterShowArgs) -> Result<ExitCode> {
        let config = config_with_catalog(&args.stores)?;
        let (letters, _) = block_on(look_through(&config, |letter| letter.id() == *args.id.as_str()))?;
        let Some(letter) = letters.last() else { return Err(unknown(&args.id)) };
        let mut out = std::io::stdout().lock();
        let payload = &letter.record.payload;
        if args.raw {
            out.write_all(payload)?;
            return DONE;
        }
        writeln!(out, "{}, put away {}", letter.id(), time(letter.kept_micros))?;
        writeln!(out, "reason: {}", letter.reason)?;
        writeln!(out, "appended: {}", time(letter.record.timestamp_micros))?;
        for (name, value) in &letter.record.headers {
            writeln!(out, "{name}: {}", value.escape_ascii())?;
        }
        let shown = &payload[..payload.len().min(SHOWN_BYTES)];
        writeln!(out, "{} bytes, --raw writes them; they begin:\n{}", payload.len(), shown.escape_ascii())?;
        DONE
    }

    pub(super) fn replay(args: &DeadLetterReplayArgs) -> Result<ExitCode> {
        let config = config_with_catalog(&args.stores)?;
        block_on(async {
            let catalog = stores::catalog(&config).await?;
            let is_meant =
                |letter: &Letter| args.all || args.ids.iter().any(|id| letter.id() == *id.as_str());
            let (letters, unreadable) = look_through(&config, is_meant).await?;
            for id in &args.ids {
                if !letters.iter().any(|letter| letter.id() == *id.as_str()) {
                    return Err(unknown(id));
                }
            }
            let mut lost = Lost::default();
            lost.read(&*catalog, &letters).await?;
            let handles = Handles::new("dead-letter");
            let away = |why| {
                let _ = writeln!(std::io::stderr(), "waiting for the event log: {why}");
            };
            let log = Log::open(&config, true, true, &handles, away).await?;
            let append = log.append.as_deref().context("the event log is not open for writing")?;
            let mut replayed = 0;
            for letter in &letters {
                // Kept twice, or named though it was sent again already.
                if !lost.holds(letter) {
                    continue;
                }
                let offset = letter.replay(append).await.with_context(|| letter.id().to_string())?;
                // Only then: should this fail, it is sent twice and not lost.
                let offsets = ByteRange::new(letter.offset.0, letter.offset.0 + 1);
                catalog.close_gaps(&letter.partition.to_string(), offsets).await?;
                lost.forget(letter);
                replayed += 1;
                writeln!(std::io::stdout(), "{} lies at offset {offset} again", letter.id())?;
            }
            handles.shutdown.begin();
            handles.tasks.join(CLOSE_WAIT).await;
            let rest = letters.len() - replayed;
            writeln!(std::io::stdout(), "{replayed} dead letters replayed, {rest} were already")?;
            end(&unreadable)
        })
    }

    /// The letters that are wanted, by where they came from and oldest first, and
    /// what is none.
    async fn look_through(
        config: &Config,
        is_wanted: impl Fn(&Letter) -> bool,
    ) -> Result<(Vec<Letter>, Vec<String>)> {
        let (mut letters, mut unreadable) = (Vec::new(), Vec::new());
        let mut each = |found| match found {
            Found::Letter(letter) if is_wanted(&letter) => letters.push(letter),
            Found::Letter(_) => {}
            Found::Unreadable(place, error) => unreadable.push(format!("{place}: {error}")),
        };
        if config.log.kafka.brokers.is_empty() {
            letters_in(&config.paths().dead_letters(), &mut each)?;
        } else {
            let handles = Handles::new("dead-letter");
            let log = Log::open(config, false, true, &handles, |_| ()).await?;
            if let (Some(log), Some(topic)) = (&log.subscribe, &log.dead_letters) {
                letters_on(&**log, topic, &mut each).await?;
            }
            handles.shutdown.begin();
            handles.tasks.join(CLOSE_WAIT).await;
        }
        letters.sort_by_key(|letter| (letter.partition.clone(), letter.offset, letter.kept_micros));
        Ok((letters, unreadable))
    }

    /// Offsets that the catalog calls lost because they could not be decoded.
    #[derive(Default)]
    struct Lost(BTreeMap<String, BTreeSet<u64>>);

    impl Lost {
        /// As the catalog has them for the tenants of these letters.
        async fn read(&mut self, catalog: &dyn Catalog, letters: &[Letter]) -> Result<()> {
            let tenants: BTreeSet<TenantId> = letters.iter().map(tenant).collect();
            for tenant in tenants {
                for gap in catalog.gaps(&tenant).await? {
                    if gap.reason == drop_reason::UNDECODABLE {
                        self.0.entry(gap.source).or_default().extend(gap.range.start..gap.range.end);
                    }
                }
            }
            Ok(())
        }

        fn holds(&self, letter: &Letter) -> bool {
            self.0.get(&letter.partition.to_string()).is_some_and(|lost| lost.contains(&letter.offset.0))
        }

        fn forget(&mut self, letter: &Letter) {
            if let Some(lost) = self.0.get_mut(&letter.partition.to_string()) {
                lost.remove(&letter.offset.0);
            }
        }

        fn count(&self, letters: &[Letter]) -> usize {
            let lost: BTreeSet<_> =
                letters.iter().filter(|letter| self.holds(letter)).map(Letter::id).collect();
            lost.len()
        }
    }

    /// Whose message it is, if its headers say so.
    fn tenant(letter: &Letter) -> TenantId {
        let said = letter.record.headers.iter().find(|(name, _)| name == header_name::TENANT);
        let said = said.and_then(|(_, value)| std::str::from_utf8(value).ok());
        said.and_then(|name| TenantId::new(name).ok()).unwrap_or_default()
    }

    fn time(micros: i64) -> String {
        jiff::Timestamp::from_microsecond(micros)
            .map_or_else(|_| micros.to_string(), |time| format!("{time:.3}"))
    }

    fn unknown(id: &str) -> anyhow::Error {
        anyhow::anyhow!("there is no dead letter {id:?}: `weir dead-letter list` has their names")
    }

    fn end(unreadable: &[String]) -> Result<ExitCode> {
        if unreadable.is_empty() {
            return DONE;
        }
        bail!("{} are no dead letters:\n{}", unreadable.len(), unreadable.join("\n"))
    }
}
