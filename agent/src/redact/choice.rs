//! What the configuration means, and which redactor is whose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use prometheus_client::metrics::counter::Counter;
use regex::bytes::{Regex, RegexBuilder};

use super::find::{Finder, Keys};
use super::replace::Hasher;
use super::rule::{BuiltIn, Rule};
use super::{RedactAction, RedactConfig, Redactor};
use crate::StartError;

/// The rule of names, as it is called.
const KEYS: &str = "keys";

/// All built-in rules but `ip`.
const DEFAULT: &str = "default";

/// What one expression may take once compiled, bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Expressions and globs, at most: each costs every line.
const PATTERNS_MAX: usize = 100;

/// Bytes of a pattern's name.
const NAME_BYTES_MAX: usize = 32;

/// Letters that a glob needs, so that it means something.
const GLOB_LETTERS_MIN: usize = 2;

/// A configuration of redaction, as it works.
#[derive(Debug, Default)]
pub struct Redaction {
    rules: Vec<Made>,
    hasher: Option<Hasher>,
    everywhere: BTreeSet<usize>,
    allowed: BTreeSet<usize>,
    base: Option<Arc<Redactor>>,
    /// Redactors by their rules: many sources ask for the same.
    made: Mutex<BTreeMap<BTreeSet<usize>, Arc<Redactor>>>,
}

/// A rule and how it finds.
#[derive(Debug)]
struct Made {
    rule: Arc<Rule>,
    means: Means,
}

#[derive(Debug)]
enum Means {
    BuiltIn(BuiltIn),
    Keys(GlobSet, Vec<String>),
    Pattern(Regex),
}

impl Redaction {
    /// Reads what the configuration says, the secret's file included.
    ///
    /// # Errors
    /// [`StartError::Redact`].
    pub fn open(config: &RedactConfig) -> Result<Self, StartError> {
        Self::counted(config, |_| Counter::default())
    }

    /// The same; `counter` gives the one in which a rule's finds are counted.
    pub(crate) fn counted(
        config: &RedactConfig,
        counter: impl Fn(&str) -> Counter,
    ) -> Result<Self, StartError> {
        let mut redaction = Self::checked(config, counter)?;
        if redaction.hashes() {
            redaction.hasher = hasher(config)?;
        }
        redaction.base = redaction.redactor(&redaction.everywhere);
        Ok(redaction)
    }

    /// Says what of a configuration makes no sense, without reading the secret.
    pub(crate) fn check(config: &RedactConfig) -> Result<(), StartError> {
        let redaction = Self::checked(config, |_| Counter::default())?;
        if redaction.hashes() && config.secret_file.is_none() {
            return Err(no_secret());
        }
        Ok(())
    }

    /// What holds for everything that asks for nothing. None: nothing is replaced.
    pub fn base(&self) -> Option<Arc<Redactor>> {
        self.base.clone()
    }

    /// Instead of what the configuration wants everywhere: these rules.
    ///
    /// # Errors
    /// One of them is not known; the text says which are.
    pub fn only(&self, names: &[String]) -> Result<Option<Arc<Redactor>>, String> {
        self.named(names.iter().map(String::as_str)).map(|rules| self.redactor(&rules))
    }

    /// What holds for a source that asks for rules, separated by commas: those
    /// and what holds everywhere.
    ///
    /// # Errors
    /// One of them is not known or not allowed. What holds everywhere is to be
    /// taken then.
    pub(crate) fn asked(&self, names: &str) -> Result<Option<Arc<Redactor>>, String> {
        let mut rules = self.named(names.split(',').map(str::trim).filter(|name| !name.is_empty()))?;
        if let Some(refused) =
            rules.iter().find(|rule| !self.allowed.contains(rule) && !self.everywhere.contains(rule))
        {
            let name = self.rules.get(*refused).map_or("", |made| made.rule.name.as_str());
            return Err(format!(
                "{name} is not among those that agent.redact.allow has: {}",
                self.list(&self.allowed)
            ));
        }
        rules.extend(&self.everywhere);
        Ok(self.redactor(&rules))
    }

    /// The rules that names stand for.
    fn named<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<BTreeSet<usize>, String> {
        let mut rules = BTreeSet::new();
        for name in names {
            let is_named = |made: &Made| match &made.means {
                Means::BuiltIn(rule) if name == DEFAULT => rule.is_default(),
                Means::BuiltIn(_) | Means::Keys(..) | Means::Pattern(_) => made.rule.name == name,
            };
            let found: Vec<_> =
                (0..).zip(&self.rules).filter(|(_, made)| is_named(made)).map(|(at, _)| at).collect();
            if found.is_empty() {
                let all = self.list(&(0..self.rules.len()).collect());
                return Err(format!("{name:?} is no rule: use {DEFAULT}, {all}"));
            }
            rules.extend(found);
        }
        Ok(rules)
    }

    fn list(&self, rules: &BTreeSet<usize>) -> String {
        let names: Vec<_> =
            rules.iter().filter_map(|rule| Some(self.rules.get(*rule)?.rule.name.as_str())).collect();
        names.join(", ")
    }

    fn redactor(&self, rules: &BTreeSet<usize>) -> Option<Arc<Redactor>> {
        if rules.is_empty() {
            return None;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(made.entry(rules.clone()).or_insert_with(|| Arc::new(self.make(rules)))))
    }

    fn make(&self, rules: &BTreeSet<usize>) -> Redactor {
        let chosen: Vec<_> = rules.iter().filter_map(|rule| self.rules.get(*rule)).collect();
        let mut on = [None; BuiltIn::ALL.len()];
        let (mut keys, mut patterns) = (None, Vec::new());
        for (place, made) in chosen.iter().enumerate() {
            match &made.means {
                Means::BuiltIn(rule) => {
                    if let Some(slot) = on.get_mut(*rule as usize) {
                        *slot = Some(place);
                    }
                }
                Means::Keys(globs, words) => keys = Some((place, Keys::new(globs.clone(), words))),
                Means::Pattern(regex) => patterns.push((place, regex.clone())),
            }
        }
        let rules: Vec<_> = chosen.iter().map(|made| Arc::clone(&made.rule)).collect();
        let drops = rules.iter().any(|rule| rule.action == RedactAction::Drop);
        Redactor { rules, finder: Finder::new(on, keys, patterns), hasher: self.hasher.clone(), drops }
    }

    fn hashes(&self) -> bool {
        self.rules.iter().any(|made| made.rule.action == RedactAction::Hash)
    }

    fn checked(config: &RedactConfig, counter: impl Fn(&str) -> Counter) -> Result<Self, StartError> {
        let mut rules = Vec::new();
        let mut add = |name: &str, means: Means| {
            let action = config.actions.get(name).copied().unwrap_or(config.action);
            rules.push(Made {
                rule: Arc::new(Rule { name: name.to_owned(), action, found: counter(name) }),
                means,
            });
        };
        for rule in BuiltIn::ALL {
            add(rule.name(), Means::BuiltIn(rule));
        }
        if !config.keys.is_empty() {
            let (globs, words) = globs(&config.keys)?;
            add(KEYS, Means::Keys(globs, words));
        }
        if config.patterns.len() > PATTERNS_MAX {
            let reason = format!("{} are too many: {PATTERNS_MAX} at most", config.patterns.len());
            return Err(wrong("patterns", reason));
        }
        for (place, pattern) in config.patterns.iter().enumerate() {
            let key = |field: &str| format!("patterns[{place}].{field}");
            check_name(&pattern.name).map_err(|reason| wrong(&key("name"), reason))?;
            if config.patterns.iter().take(place).any(|other| other.name == pattern.name) {
                return Err(wrong(
                    &key("name"),
                    format!("{:?} is there twice: give each a name of its own", pattern.name),
                ));
            }
            add(
                &pattern.name,
                Means::Pattern(regex(&pattern.regex).map_err(|reason| wrong(&key("regex"), reason))?),
            );
        }
        let mut redaction = Self {
            rules,
            hasher: None,
            everywhere: BTreeSet::new(),
            allowed: BTreeSet::new(),
            base: None,
            made: Mutex::default(),
        };
        for name in config.actions.keys() {
            if !redaction.rules.iter().any(|made| made.rule.name == *name) {
                let all = redaction.list(&(0..redaction.rules.len()).collect());
                return Err(wrong("actions", format!("{name:?} is no rule: use {all}")));
            }
        }
        let named = |key: &str, names: &[String]| {
            redaction.named(names.iter().map(String::as_str)).map_err(|reason| wrong(key, reason))
        };
        let (mut everywhere, allowed) = (named("rules", &config.rules)?, named("allow", &config.allow)?);
        for (place, made) in redaction.rules.iter().enumerate() {
            let is_own = !matches!(made.means, Means::BuiltIn(_));
            if is_own && !allowed.contains(&place) {
                everywhere.insert(place);
            }
        }
        (redaction.everywhere, redaction.allowed) = (everywhere, allowed);
        Ok(redaction)
    }
}

fn wrong(key: &str, reason: String) -> StartError {
    StartError::Redact { key: format!("agent.redact.{key}"), reason, source: None }
}

fn no_secret() -> StartError {
    let reason = "is not set, and an action is `hash`: name a file with 16 bytes or more that nobody can guess, \
                  the same on every host; without it a hash would say what it stands for";
    wrong("secret_file", reason.to_owned())
}

fn hasher(config: &RedactConfig) -> Result<Option<Hasher>, StartError> {
    let path = config.secret_file.as_ref().ok_or_else(no_secret)?;
    Hasher::read(path).map(Some).map_err(|source| StartError::Redact {
        key: "agent.redact.secret_file".to_owned(),
        reason: format!("{} cannot be used", path.display()),
        source: Some(source),
    })
}

fn check_name(name: &str) -> Result<(), String> {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_part) {
        return Err(format!("{name:?} is no name: use 1 to {NAME_BYTES_MAX} of a-z, 0-9, _ and -"));
    }
    let is_taken = name == DEFAULT || name == KEYS || BuiltIn::ALL.iter().any(|rule| rule.name() == name);
    if is_taken { Err(format!("{name:?} is the name of a rule of Weir's: choose another")) } else { Ok(()) }
}

fn regex(text: &str) -> Result<Regex, String> {
    let regex =
        RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build().map_err(|error| error.to_string())?;
    if regex.is_match(b"") {
        return Err(format!("{text:?} fits where nothing stands: have it want something"));
    }
    Ok(regex)
}

/// The globs, and of each a word that a name must have.
fn globs(all: &[String]) -> Result<(GlobSet, Vec<String>), StartError> {
    if all.len() > PATTERNS_MAX {
        return Err(wrong(KEYS, format!("{} are too many: {PATTERNS_MAX} at most", all.len())));
    }
    let mut set = GlobSetBuilder::new();
    let mut words = Vec::new();
    for (place, text) in all.iter().enumerate() {
        let key = format!("{KEYS}[{place}]");
        let glob = GlobBuilder::new(text).case_insensitive(true).build();
        set.add(glob.map_err(|error| wrong(&key, format!("{text:?} is no glob: {error}")))?);
        let runs =
            text.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | '-' | '.'));
        let word = if text.contains(['[', '{', '\\']) { None } else { runs.max_by_key(|run| run.len()) };
        let word = word.filter(|word| word.len() >= GLOB_LETTERS_MIN).ok_or_else(|| {
            let reason = format!(
                "{text:?} names nothing in particular: write {GLOB_LETTERS_MIN} letters or more together, with only * and ? beside them"
            );
            wrong(&key, reason)
        })?;
        words.push(word.to_owned());
    }
    let set = set.build().map_err(|error| wrong(KEYS, error.to_string()))?;
    Ok((set, words))
}
