//! The configuration changes while files are read.
//!
//! What did not change goes on as it was: a file that the new patterns mean,
//! too, is the same source at the same place. A file that they no longer mean
//! is *dismissed*: what was read of it is sent, it is closed, and its place
//! stays in the checkpoint, so that a later pattern goes on there. One that was
//! renamed before is not: it is read to its end, as always.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::time::Duration;

use super::Reader;
use crate::checkpoint::FileKey;
use crate::find::Patterns;
use crate::identity::Identity;
use crate::limit::Limiter;
use crate::tail::{Moment, Tail};
use crate::{Config, StartError};

/// How often it is looked whether a dismissed file is still there. It is only
/// forgotten then.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// A new configuration, understood.
#[derive(Debug)]
pub(crate) struct Change {
    config: Config,
    patterns: Patterns,
    limiter: Limiter,
}

impl Change {
    /// Understands what the reader is told. Nothing below `excluded` is read.
    ///
    /// # Errors
    /// As those of [`Config::validate`].
    pub(crate) fn new(config: Config, excluded: &std::path::Path) -> Result<Self, StartError> {
        let patterns = Patterns::new(&config.tail, &config.roots, excluded)?;
        let limiter = Limiter::new(&config.limits)?;
        Ok(Self { config, patterns, limiter })
    }
}

impl Reader {
    /// Goes on by another configuration.
    pub(crate) fn reconfigure(&mut self, change: Change) {
        let Change { config, patterns, limiter } = change;
        if config.multiline != self.config.multiline {
            let keys: Vec<_> = self.files.iter().map(|tail| tail.key).collect();
            for key in keys {
                if let Some(tail) = self.files.get_mut(key) {
                    tail.set_multiline(config.multiline);
                }
                self.framed(key);
            }
        }
        if config.limits != self.config.limits {
            self.limiter.adopt(limiter);
            self.files.iter_mut().for_each(Tail::limits_changed);
        }
        self.keep.set_limit(config.keep_bytes.0);
        if config.tail != self.config.tail || config.roots != self.config.roots {
            let before = std::mem::replace(&mut self.patterns, patterns);
            self.patterns_before.get_or_insert(before);
        }
        // Also for a shorter interval.
        (self.scan_wished, self.scan_from) = (true, Duration::ZERO);
        self.config = config;
    }

    /// Lets go of what the new patterns do not mean, after a scan with them.
    pub(super) fn dismiss(&mut self, matched: &BTreeSet<FileKey>, now: Moment) {
        let Some(mut before) = self.patterns_before.take() else { return };
        // One that the old patterns do not find either was renamed or deleted.
        let meant: HashSet<_> = before.walk().files.iter().map(|file| place(&file.identity)).collect();
        let is_out = |tail: &&Tail| {
            let was_meant = tail.matched && !matched.contains(&tail.key);
            was_meant && !tail.ended && !tail.archive && meant.contains(&place(&tail.identity))
        };
        let keys: Vec<_> = self.files.iter().filter(is_out).map(|tail| tail.key).collect();
        for key in keys {
            self.lane.set_mark(self.marks.value());
            let Some((tail, mut bench)) = self.workplace(key) else { continue };
            tail.dismiss(&mut bench, now);
            tracing::info!(path = %tail.last_path.display(), "no pattern means this file any more, it is not read on");
            self.framed(key);
            self.marks.forget(key);
            self.unfinished.remove(key);
            self.resting.remove(key);
        }
    }

    /// Takes note of dismissed files that are gone, so that they are forgotten
    /// in time.
    pub(super) fn look_for_dismissed(&mut self, now: Moment) {
        if now.steady < self.next_dismissed_look {
            return;
        }
        self.next_dismissed_look = now.steady + LOOK_INTERVAL;
        for tail in self.files.iter_mut().filter(|tail| tail.dismissed) {
            let is_gone = !stands(tail);
            if is_gone != tail.gone.is_some() {
                tail.gone = is_gone.then_some(now.wall);
                self.dirty.insert(tail.key);
            }
        }
    }
}

fn place(identity: &Identity) -> (u64, u64) {
    (identity.device, identity.inode)
}

/// True while the file is where it was last seen.
fn stands(tail: &Tail) -> bool {
    let there = fs::symlink_metadata(&tail.last_path);
    there.is_ok_and(|metadata| tail.identity.may_equal(&Identity::of(&metadata)))
}
