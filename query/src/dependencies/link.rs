//! From the spans of a trace to calls between services, as Zipkin's
//! `DependencyLinker` goes about it: down from the root, level by level.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Calls;

/// What of a span matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    pub(super) shared: bool,
    pub(super) kind: Option<Kind>,
    pub(super) service: Option<String>,
    pub(super) remote: Option<String>,
    pub(super) is_error: bool,
    /// When it began, microseconds.
    pub(super) micros: i64,
}

/// Which side of what a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Client,
    Server,
    Producer,
    Consumer,
}

impl Kind {
    pub(super) fn of(text: &str) -> Option<Self> {
        match text {
            "CLIENT" => Some(Self::Client),
            "SERVER" => Some(Self::Server),
            "PRODUCER" => Some(Self::Producer),
            "CONSUMER" => Some(Self::Consumer),
            _ => None,
        }
    }
}

/// The spans as a tree, by their places in the list.
struct Tree<'a> {
    spans: &'a [Span],
    parent: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    root: Option<usize>,
}

/// Tells `found` each call of the trace, with the span that says so.
pub(super) fn link(spans: &[Span], mut found: impl FnMut(&Span, &str, &str, bool)) {
    let tree = Tree::grow(spans);
    for at in tree.level_by_level() {
        let span = &spans[at];
        // Whoever was called says it better.
        if span.kind == Some(Kind::Client) && !tree.children[at].is_empty() {
            continue;
        }
        let (service, remote) = (span.service.as_deref(), span.remote.as_deref());
        let kind = match (span.kind, service, remote) {
            (Some(kind), ..) => kind,
            // Who knows both sides has called.
            (None, Some(_), Some(_)) => Kind::Client,
            (None, ..) => continue,
        };
        let (mut parent, child) = match kind {
            Kind::Server | Kind::Consumer => (remote, service),
            Kind::Client | Kind::Producer => (service, remote),
        };
        if matches!(kind, Kind::Server | Kind::Consumer) && tree.root == Some(at) && parent.is_none() {
            continue;
        }
        let mut is_error = span.is_error;
        if matches!(kind, Kind::Producer | Kind::Consumer) {
            // Between them is a broker, which must have a name.
            if let (Some(parent), Some(child)) = (parent, child) {
                found(span, parent, child, is_error);
            }
            continue;
        }
        let ancestor = tree.ancestor(at);
        if let Some(ancestor) = ancestor
            && let Some(name) = ancestor.service.as_deref()
        {
            if kind == Kind::Client && service.is_some_and(|service| service != name) {
                found(span, name, service.unwrap_or_default(), false);
            }
            if kind == Kind::Server || parent.is_none() {
                parent = Some(name);
            }
            let is_of_parent =
                ancestor.kind == Some(Kind::Client) && span.parent.as_ref() == Some(&ancestor.id);
            is_error |= is_of_parent && ancestor.is_error;
        }
        if let (Some(parent), Some(child)) = (parent, child) {
            found(span, parent, child, is_error);
        }
    }
}

/// Adds the calls of a trace to the minutes in which they began.
pub(super) fn by_minute(spans: &[Span], is_wanted: impl Fn(i64) -> bool, minutes: &mut BTreeMap<i64, Calls>) {
    link(spans, |span, parent, child, is_error| {
        if is_wanted(span.micros) {
            let minute = minutes.entry(super::floor(span.micros)).or_default();
            minute.add(parent, child, 1, u64::from(is_error));
        }
    });
}

impl<'a> Tree<'a> {
    fn grow(spans: &'a [Span]) -> Self {
        let mut own: HashMap<&str, usize> = HashMap::new();
        let mut shared: HashMap<(&str, Option<&str>), usize> = HashMap::new();
        let mut any_shared: HashMap<&str, usize> = HashMap::new();
        for (at, span) in spans.iter().enumerate() {
            if span.shared {
                shared.entry((&span.id, span.service.as_deref())).or_insert(at);
                any_shared.entry(&span.id).or_insert(at);
            } else {
                own.entry(&span.id).or_insert(at);
            }
        }
        let of = |span: &Span| {
            // The server's half of a call hangs below the client's.
            if span.shared
                && let Some(client) = own.get(span.id.as_str())
            {
                return Some(*client);
            }
            let id = span.parent.as_deref()?;
            let same = shared.get(&(id, span.service.as_deref()));
            same.or_else(|| own.get(id)).or_else(|| any_shared.get(id)).copied()
        };
        let mut parent: Vec<Option<usize>> =
            spans.iter().enumerate().map(|(at, span)| of(span).filter(|parent| *parent != at)).collect();
        // The root says that it has no parent; a first orphan will not do.
        let root = (0..spans.len()).find(|at| parent[*at].is_none() && spans[*at].parent.is_none());
        for (at, above) in parent.iter_mut().enumerate() {
            if above.is_none() && root != Some(at) {
                *above = root;
            }
        }
        let mut children = vec![Vec::new(); spans.len()];
        for (at, above) in parent.iter().enumerate() {
            if let Some(above) = above {
                children[*above].push(at);
            }
        }
        Self { spans, parent, children, root }
    }

    /// Spans that are in a circle are in no tree, and are left out.
    fn level_by_level(&self) -> Vec<usize> {
        let tops = (0..self.spans.len()).filter(|at| self.parent[*at].is_none());
        let mut waiting: VecDeque<usize> = tops.collect();
        let mut order = Vec::with_capacity(self.spans.len());
        while let Some(at) = waiting.pop_front() {
            order.push(at);
            waiting.extend(&self.children[at]);
        }
        order
    }

    /// The nearest span above that is a side of something.
    fn ancestor(&self, at: usize) -> Option<&'a Span> {
        let mut above = self.parent[at];
        while let Some(at) = above {
            if self.spans[at].kind.is_some() {
                return Some(&self.spans[at]);
            }
            above = self.parent[at];
        }
        None
    }
}

#[cfg(test)]
mod tests;
