//! Replaces sensitive text before it reaches a disk or the network.
//!
//! ```text
//! file -> record -> Redactor -> batch -> event log
//! body -> message -> Redactor -> columns -> spool
//! ```
//!
//! `config` is what the operator writes, `choice` makes redactors of it: one for
//! everything, others for sources that ask for more. `find` finds, with a module
//! for each kind of thing, `replace` says what is written instead, `pushed`
//! walks through what clients send.
//!
//! A redactor knows nothing but the text: the same text becomes the same,
//! whenever it is read again. A line's place is that of its bytes in the file,
//! whatever they become here.
//!
//! What is not redacted: kept copies (`crate::keep`), which are the bytes of
//! files that were deleted before they were sent. They lie on the host that the
//! files lay on, readable by the agent's user alone, and are removed once their
//! lines, redacted, are sent.
//!
//! Cost of a line in which nothing is found: one pass of vector instructions for
//! some fifty literals, one for `@`, and a look at every 13th byte. Nothing is
//! allocated and nothing is copied.

mod address;
mod card;
mod choice;
mod config;
mod edge;
mod email;
mod find;
mod fit;
mod hit;
mod iban;
mod literal;
mod pair;
mod pem;
pub(crate) mod pushed;
mod replace;
mod rule;
mod token;
mod vendor;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

pub use choice::Redaction;
pub use config::{RedactAction, RedactConfig, RedactPattern};
pub use pem::KeyLine;

use edge::Quote;
use find::Finder;
pub(crate) use fit::rewritten;
use hit::Hit;
use replace::Hasher;
use rule::Rule;

/// How everything begins that is written instead.
const MASK_BEGIN: &[u8] = b"[redacted:";

/// Finds and replaces by some rules. Cheap to ask, from any thread.
#[derive(Debug)]
pub struct Redactor {
    rules: Vec<Arc<Rule>>,
    finder: Finder,
    hasher: Option<Hasher>,
    drops: bool,
}

/// Memory that a redactor works in, to be used again.
#[derive(Debug, Default)]
pub struct Scratch {
    hits: Vec<Hit>,
    text: Vec<u8>,
}

/// Something found, and what stands instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// Where it stood in the text.
    pub found: Range<usize>,
    /// What is written instead.
    pub written: Vec<u8>,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Nothing was found.
    Clean,
    /// What stands instead of it.
    Changed(&'a [u8]),
    /// The event is to be left out.
    Dropped,
}

impl Redactor {
    /// True when an event may be left out for what is in it.
    pub fn drops(&self) -> bool {
        self.drops
    }

    /// Redacts a text and counts what was found. Where `may_drop` is false, what
    /// would have the event left out is masked.
    #[inline]
    pub fn redact<'a>(&self, text: &[u8], may_drop: bool, scratch: &'a mut Scratch) -> Outcome<'a> {
        scratch.hits.clear();
        self.finder.find(text, &mut scratch.hits);
        if scratch.hits.is_empty() {
            return Outcome::Clean;
        }
        self.rewrite(text, may_drop, scratch)
    }

    /// Redacts a text that is the value of something with a name: all of it goes
    /// where the name says so.
    pub(crate) fn redact_named<'a>(
        &self,
        name: &str,
        text: &[u8],
        may_drop: bool,
        scratch: &'a mut Scratch,
    ) -> Outcome<'a> {
        scratch.hits.clear();
        if !name.is_empty() && !text.is_empty() {
            self.finder.find_named(name, text, &mut scratch.hits);
        }
        if scratch.hits.is_empty() {
            self.finder.find(text, &mut scratch.hits);
        }
        if scratch.hits.is_empty() {
            return Outcome::Clean;
        }
        self.rewrite(text, may_drop, scratch)
    }

    /// True when the value of such a name goes for its name alone.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.finder.rule_of_name(name).is_some()
    }

    /// The same, whatever kind of value it is.
    pub(crate) fn takes_all_of(&self, name: &str) -> bool {
        self.finder.is_key(name)
    }

    #[cold]
    fn rewrite<'a>(&self, text: &[u8], may_drop: bool, scratch: &'a mut Scratch) -> Outcome<'a> {
        let Scratch { hits, text: out } = scratch;
        let is_dropped = may_drop && hits.iter().any(|hit| self.action(hit) == RedactAction::Drop);
        hit::settle(text, hits);
        for rule in hits.iter().filter_map(|hit| self.rules.get(hit.rule)) {
            rule.found.inc();
        }
        if is_dropped {
            return Outcome::Dropped;
        }
        out.clear();
        self.write(text, hits, out);
        Outcome::Changed(out)
    }

    /// What was found in the text last redacted with `scratch`, in order.
    pub fn changes<'a>(&'a self, text: &'a [u8], scratch: &'a Scratch) -> impl Iterator<Item = Change<'a>> {
        scratch.hits.iter().filter_map(|hit| {
            let rule = self.rules.get(hit.rule)?;
            let mut written = Vec::new();
            self.replace(text, hit, rule, &mut written);
            Some(Change { rule: &rule.name, found: hit.start..hit.end, written })
        })
    }

    /// The names of its rules, and how often each found something.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.iter().map(|rule| (rule.name.as_str(), rule.found.get()))
    }

    fn action(&self, hit: &Hit) -> RedactAction {
        self.rules.get(hit.rule).map_or(RedactAction::Mask, |rule| rule.action)
    }

    fn write(&self, text: &[u8], hits: &[Hit], out: &mut Vec<u8>) {
        let mut from = 0;
        for hit in hits {
            let Some(rule) = self.rules.get(hit.rule) else { continue };
            out.extend_from_slice(text.get(from..hit.start).unwrap_or_default());
            self.replace(text, hit, rule, out);
            from = hit.end;
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
    }

    fn replace(&self, text: &[u8], hit: &Hit, rule: &Rule, out: &mut Vec<u8>) {
        let quote = |out: &mut Vec<u8>| {
            if let Some(Quote { slashes, mark }) = hit.quoting {
                out.extend(std::iter::repeat_n(b'\\', slashes));
                out.push(mark);
            }
        };
        quote(out);
        replace::write(out, rule, self.hasher.as_ref(), text.get(hit.start..hit.end).unwrap_or_default());
        quote(out);
    }
}
