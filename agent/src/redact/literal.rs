//! Finds all places in a text at which one of some literals stands, in one pass.

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, Span};

use super::edge::look;

/// Literals, and what each stands for.
#[derive(Debug)]
pub(super) struct Literals<T> {
    search: Search,
    means: Vec<T>,
}

/// Vector instructions look for up to 64 literals at once; without them, or
/// with more, an automaton does, some times slower.
#[derive(Debug)]
enum Search {
    Packed(Searcher),
    Automaton(AhoCorasick),
}

impl<T: Copy> Literals<T> {
    /// None if there is nothing to look for. Of literals that begin alike, the
    /// first is found.
    pub(super) fn new(literals: Vec<(String, T)>) -> Option<Self> {
        if literals.is_empty() {
            return None;
        }
        let (words, means): (Vec<_>, Vec<_>) = literals.into_iter().unzip();
        let packed = Config::new().match_kind(MatchKind::LeftmostFirst).builder().extend(&words).build();
        let search = match packed {
            Some(searcher) => Search::Packed(searcher),
            None => {
                let kind = aho_corasick::MatchKind::LeftmostFirst;
                let automaton = AhoCorasick::builder().match_kind(kind).build(&words).ok()?;
                Search::Automaton(automaton)
            }
        };
        Some(Self { search, means })
    }

    /// Gives every literal that begins in the text: what it stands for, where it
    /// begins, and where it ends.
    #[inline]
    pub(super) fn each(&self, text: &[u8], mut found: impl FnMut(T, usize, usize)) {
        let mut at = 0;
        while at < text.len() {
            let span = Span::from(at..text.len());
            let hit = match &self.search {
                Search::Packed(searcher) => searcher.find_in(text, span),
                Search::Automaton(automaton) => automaton.find(aho_corasick::Input::new(text).span(span)),
            };
            let Some(hit) = hit else {
                look(text.len() - at);
                return;
            };
            look(hit.end() - at);
            if let Some(means) = self.means.get(hit.pattern().as_usize()) {
                found(*means, hit.start(), hit.end());
            }
            // Literals may overlap.
            at = hit.start() + 1;
        }
    }
}

/// A word as it is mostly written: small, Capital, CAPITALS.
pub(super) fn spellings(word: &str) -> Vec<String> {
    let lower = word.to_ascii_lowercase();
    let mut capital = lower.clone();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let mut all = vec![word.to_owned(), lower, capital, word.to_ascii_uppercase()];
    all.sort_unstable();
    all.dedup();
    all
}
