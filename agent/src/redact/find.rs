//! Finds what rules are on for. One pass over the text looks for literals,
//! another for the `@` of addresses, a third probes every 13th byte for what may
//! be a long number; what they find is looked at closely. A text in which they
//! find nothing is not touched otherwise.
//!
//! Every finder is linear: what it took as a part of something is not looked at
//! again by it.

use globset::GlobSet;
use regex::bytes::Regex;

use super::edge::{Quote, Strings, byte, is_json, look, unsplit};
use super::hit::Hit;
use super::literal::{Literals, spellings};
use super::pair::{self, Kind, Pair};
use super::rule::BuiltIn;
use super::vendor::VENDORS;
use super::{address, card, email, iban, pem, replace, token};

/// Which rules are on, by their place among a redactor's rules.
#[derive(Debug)]
pub(super) struct Finder {
    on: [Option<usize>; BuiltIn::ALL.len()],
    literals: Option<Literals<What>>,
    keys: Option<(usize, Keys)>,
    patterns: Vec<(usize, Regex)>,
}

/// Names of which the values go.
#[derive(Debug)]
pub(super) struct Keys {
    literals: Option<Literals<()>>,
    globs: GlobSet,
}

/// What a literal may be a part of.
#[derive(Clone, Copy, Debug)]
enum What {
    Name,
    Authorization,
    Bearer,
    Basic,
    Jwt,
    Url,
    Vendor(usize),
    Pem,
    /// `%40`
    Sign,
}

/// Parts of the names of secrets.
const NAMES: [&str; 17] = [
    "pass",
    "Pass",
    "PASS",
    "pwd",
    "Pwd",
    "PWD",
    "ecret",
    "ECRET",
    "oken",
    "OKEN",
    "redential",
    "REDENTIAL",
    "_key",
    "-key",
    "Key",
    "KEY",
    "apikey",
];

impl Keys {
    /// `words` are parts that the globs want.
    pub(super) fn new(globs: GlobSet, words: &[String]) -> Self {
        let mut literals: Vec<_> = words.iter().flat_map(|word| spellings(word)).collect();
        literals.sort_unstable();
        literals.dedup();
        Self { literals: Literals::new(literals.into_iter().map(|word| (word, ())).collect()), globs }
    }

    fn hold(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| self.globs.is_match(name))
    }
}

impl Finder {
    /// A finder for built-in rules, names and patterns, each with its place
    /// among the rules.
    pub(super) fn new(
        on: [Option<usize>; BuiltIn::ALL.len()],
        keys: Option<(usize, Keys)>,
        patterns: Vec<(usize, Regex)>,
    ) -> Self {
        let is_on = |rule: BuiltIn| on.get(rule as usize).is_some_and(Option::is_some);
        let mut literals: Vec<(String, What)> = Vec::new();
        let mut add = |words: &[&str], what: What| {
            literals.extend(words.iter().map(|word| ((*word).to_owned(), what)));
        };
        if is_on(BuiltIn::Password) {
            add(&NAMES, What::Name);
        } else if is_on(BuiltIn::CloudKey) {
            add(&["ecret", "ECRET"], What::Name);
        }
        if is_on(BuiltIn::Bearer) || is_on(BuiltIn::Basic) {
            add(&["uthorization", "UTHORIZATION"], What::Authorization);
        }
        if is_on(BuiltIn::Bearer) {
            add(&["earer", "EARER"], What::Bearer);
        }
        if is_on(BuiltIn::Basic) {
            add(&["asic", "ASIC"], What::Basic);
            add(&["://"], What::Url);
        }
        if is_on(BuiltIn::Jwt) {
            add(&["eyJ"], What::Jwt);
        }
        if is_on(BuiltIn::PrivateKey) {
            add(&[pem::BEGIN], What::Pem);
        }
        if is_on(BuiltIn::Email) {
            add(&["%40"], What::Sign);
        }
        if is_on(BuiltIn::CloudKey) {
            for (place, vendor) in VENDORS.iter().enumerate() {
                add(&[vendor.literal], What::Vendor(place));
            }
        }
        Self { on, literals: Literals::new(literals), keys, patterns }
    }

    /// Appends what is found, in no order; hits may overlap.
    pub(super) fn find(&self, text: &[u8], hits: &mut Vec<Hit>) {
        if let Some(rule) = self.rule(BuiltIn::Email) {
            let mut floor = 0;
            for sign in memchr::memchr_iter(b'@', text) {
                let Some((start, end)) = email::around(text, sign, sign + 1, floor) else { continue };
                floor = end;
                // Of `user:password@host` in a URL another rule takes the password alone.
                if self.rule(BuiltIn::Basic).is_none() || !token::is_userinfo(text, sign) {
                    hits.push(Hit::plain(rule, start, end));
                }
            }
            look(text.len());
        }
        self.numbers(text, hits);
        if let Some(literals) = &self.literals {
            let mut state = State::new(text);
            let mut headers = State::new(text);
            literals.each(text, |what, start, end| match what {
                What::Authorization => self.authorization(&mut headers, start, hits),
                _ => self.literal(&mut state, what, start, end, hits),
            });
        }
        if let Some((rule, keys)) = &self.keys
            && let Some(literals) = &keys.literals
        {
            let mut state = State::new(text);
            literals.each(text, |(), start, _| {
                let Some(name) = state.name(start) else { return };
                if keys.hold(text.get(name.0..name.1).unwrap_or_default())
                    && let Some(pair) = state.value(name, true)
                {
                    hits.push(Hit::of(*rule, &pair));
                }
            });
        }
        if let Some(rule) = self.rule(BuiltIn::Ip) {
            address::each(text, |start, end| hits.push(Hit::plain(rule, start, end)));
        }
        for (rule, pattern) in &self.patterns {
            for found in pattern.captures_iter(text) {
                let whole = found.get(0);
                let Some(part) = found.get(1).or(whole) else { continue };
                if part.is_empty() || replace::is_masked(text, part.start(), part.end()) {
                    continue;
                }
                if let Some((start, end)) = unsplit(text, part.start(), part.end()) {
                    hits.push(Hit::plain(*rule, start, end));
                }
            }
        }
    }

    /// The rule by which a whole value goes that is known by its name alone.
    pub(super) fn rule_of_name(&self, name: &str) -> Option<usize> {
        let named = self.keys.as_ref().filter(|(_, keys)| keys.globs.is_match(name)).map(|(rule, _)| *rule);
        named.or_else(|| self.secret_of(name.as_bytes()))
    }

    /// True when the operator named it.
    pub(super) fn is_key(&self, name: &str) -> bool {
        self.keys.as_ref().is_some_and(|(_, keys)| keys.globs.is_match(name))
    }

    /// Appends what a value is known for by its name.
    pub(super) fn find_named(&self, name: &str, text: &[u8], hits: &mut Vec<Hit>) {
        if replace::mask_end(text, 0).is_some() {
            return;
        }
        match self.rule_of_name(name) {
            Some(rule) => hits.push(Hit::plain(rule, 0, text.len())),
            None if is_header(name.as_bytes()) => hits.extend(self.credentials(text, (0, text.len()))),
            None => {}
        }
    }

    fn rule(&self, rule: BuiltIn) -> Option<usize> {
        self.on.get(rule as usize).copied().flatten()
    }

    fn secret_of(&self, name: &[u8]) -> Option<usize> {
        let cloud = self.rule(BuiltIn::CloudKey).filter(|_| pair::is_cloud_name(name));
        cloud.or_else(|| self.rule(BuiltIn::Password).filter(|_| pair::is_secret_name(name)))
    }

    fn numbers(&self, text: &[u8], hits: &mut Vec<Hit>) {
        let (card, iban) = (self.rule(BuiltIn::Card), self.rule(BuiltIn::Iban));
        if card.is_none() && iban.is_none() {
            return;
        }
        let wanted = (u8::from(card.is_some()) * CARD) | (u8::from(iban.is_some()) * IBAN);
        let (mut card_floor, mut iban_floor) = (0, 0);
        let mut at = STRIDE - 1;
        while let Some(&probe) = text.get(at) {
            look(1);
            let long = long(text, at, probe) & wanted;
            if let Some(rule) = card
                && long & CARD > 0
                && at >= card_floor
            {
                card_floor = card::around(text, at, card_floor, |start, end| {
                    // The digits of a hash may look like one.
                    if !replace::is_masked(text, start, end) {
                        hits.push(Hit::plain(rule, start, end));
                    }
                });
            }
            if let Some(rule) = iban
                && long & IBAN > 0
                && at >= iban_floor
            {
                iban_floor =
                    iban::around(text, at, iban_floor, |start, end| hits.push(Hit::plain(rule, start, end)));
            }
            at += STRIDE;
        }
    }

    fn literal(&self, state: &mut State<'_>, what: What, start: usize, end: usize, hits: &mut Vec<Hit>) {
        let text = state.text;
        let (rule, found) = match what {
            What::Name => return self.secret(state, start, hits),
            What::Authorization => return,
            What::Bearer => (BuiltIn::Bearer, token::bearer(text, end)),
            What::Basic => (BuiltIn::Basic, token::basic(text, end)),
            What::Jwt if start < state.jwt => return,
            What::Jwt => {
                let found = token::jwt(text, start);
                state.jwt = found.map_or(state.jwt, |(_, end)| end);
                (BuiltIn::Jwt, found)
            }
            What::Url => (BuiltIn::Basic, token::userinfo(text, end)),
            What::Vendor(_) if start < state.vendor => return,
            What::Vendor(place) => {
                let found = VENDORS.get(place).and_then(|vendor| vendor.around(text, start));
                state.vendor = found.map_or(state.vendor, |(_, end)| end);
                (BuiltIn::CloudKey, found)
            }
            What::Pem if start < state.pem => return,
            What::Pem => {
                let found = pem::around(text, start);
                state.pem = found.map_or(state.pem, |(_, end)| end);
                (BuiltIn::PrivateKey, found)
            }
            What::Sign => {
                let found = email::around(text, start, end, state.email);
                state.email = found.map_or(state.email, |(_, end)| end);
                (BuiltIn::Email, found)
            }
        };
        if let (Some(rule), Some((start, end))) = (self.rule(rule), found) {
            // What a rule left behind is not found again.
            if !replace::is_masked(text, start, end) {
                hits.push(Hit::plain(rule, start, end));
            }
        }
    }

    fn secret(&self, state: &mut State<'_>, at: usize, hits: &mut Vec<Hit>) {
        let Some(name) = state.name(at) else { return };
        let word = state.text.get(name.0..name.1).unwrap_or_default();
        let Some(rule) = self.secret_of(word) else { return };
        let Some(pair) = state.value(name, false) else { return };
        let value = state.text.get(pair.value.0..pair.value.1).unwrap_or_default();
        // A flag is no secret.
        let is_secret = pair.kind != Kind::Flag;
        // `PWD=/home/app` is a directory; stars were put there by somebody else.
        let is_directory = word.eq_ignore_ascii_case(b"pwd") || word.eq_ignore_ascii_case(b"oldpwd");
        let is_known = (is_directory && value.starts_with(b"/")) || value.iter().all(|byte| *byte == b'*');
        if is_secret && !is_known {
            hits.push(Hit::of(rule, &pair));
        }
    }

    /// The value of an `Authorization` header; its scheme stays.
    fn authorization(&self, state: &mut State<'_>, at: usize, hits: &mut Vec<Hit>) {
        let Some(name) = state.name(at) else { return };
        if !state.text.get(name.0..name.1).is_some_and(is_header) {
            return;
        }
        let pair = state.value(name, false).filter(|pair| pair.kind == Kind::Text);
        hits.extend(pair.and_then(|pair| self.credentials(state.text, pair.value)));
    }

    /// What of an `Authorization` header's value goes.
    fn credentials(&self, text: &[u8], (from, end): (usize, usize)) -> Option<Hit> {
        let value = text.get(from..end).unwrap_or_default();
        let scheme = value.iter().position(|byte| *byte == b' ').unwrap_or(0);
        let word = value.get(..scheme).unwrap_or_default();
        let built_in = if word.eq_ignore_ascii_case(b"basic") { BuiltIn::Basic } else { BuiltIn::Bearer };
        let rule = self.rule(built_in)?;
        let has_scheme = pair::is_scheme(word);
        let start = if has_scheme { from + scheme + 1 } else { from };
        let rest = text.get(start..end).unwrap_or_default();
        let looks_secret = rest.iter().any(u8::is_ascii_digit) || rest.len() >= 16;
        let is_new = !rest.is_empty() && memchr::memmem::find(value, super::MASK_BEGIN).is_none();
        (is_new && (has_scheme || looks_secret)).then(|| Hit::plain(rule, start, end))
    }
}

/// The shortest of what probes are made for: one probe each so many bytes
/// misses none.
const STRIDE: usize = if card::DIGITS_MIN < iban::LENGTH_MIN { card::DIGITS_MIN } else { iban::LENGTH_MIN };

/// What a byte may be a part of: one bit for a card's number, one for an
/// account's.
const CARD: u8 = 1;
const IBAN: u8 = 2;
const PARTS: [u8; 256] = {
    let mut parts = [0; 256];
    let mut byte = 0_u8;
    loop {
        parts[byte as usize] = (card::is_part(byte) as u8 * CARD) | (iban::is_part(byte) as u8 * IBAN);
        if byte == u8::MAX {
            break parts;
        }
        byte += 1;
    }
};

/// Of which numbers a run of [`STRIDE`] bytes may go through `at`: such a run
/// has all seven bytes up to it, or all seven from it on. Most probes end here,
/// without a branch.
fn long(text: &[u8], at: usize, probe: u8) -> u8 {
    let part = |byte: u8| PARTS.get(usize::from(byte)).copied().unwrap_or(0);
    let around =
        text.get(at - STRIDE / 2..=at + STRIDE / 2).and_then(|around| <&[u8; STRIDE]>::try_from(around).ok());
    match around {
        Some([a, _, b, _, c, _, at, _, d, _, e, _, f]) => {
            part(*at) & ((part(*a) & part(*b) & part(*c)) | (part(*d) & part(*e) & part(*f)))
        }
        None => part(probe),
    }
}

/// True for the names of headers with credentials.
fn is_header(name: &[u8]) -> bool {
    const HEADER: &[u8] = b"authorization";
    let tail = name.len().checked_sub(HEADER.len()).and_then(|from| name.get(from..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(HEADER))
}

/// How far finders of one pass have come.
struct State<'a> {
    text: &'a [u8],
    is_json: Option<bool>,
    strings: Strings,
    /// Names and values before this were taken.
    pairs: usize,
    /// The ends of the last of each kind that was found.
    jwt: usize,
    vendor: usize,
    pem: usize,
    email: usize,
}

impl<'a> State<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            is_json: None,
            strings: Strings::default(),
            pairs: 0,
            jwt: 0,
            vendor: 0,
            pem: 0,
            email: 0,
        }
    }

    /// The name around `at`, the first time that it is asked for.
    fn name(&mut self, at: usize) -> Option<(usize, usize)> {
        if at < self.pairs {
            return None;
        }
        let name = pair::name(self.text, at, self.pairs);
        self.pairs = name.1;
        Some(name)
    }

    /// The value of a name, unless it was redacted before.
    fn value(&mut self, name: (usize, usize), objects: bool) -> Option<Pair> {
        let is_json = *self.is_json.get_or_insert_with(|| is_json(self.text));
        let in_json = is_json && self.strings.hold(self.text, name.0);
        let pair = pair::value(self.text, name, in_json, objects)?;
        let (start, end) = pair.value;
        if let Some(after) = replace::mask_end(self.text, start) {
            // What follows in the same value may be another name.
            self.pairs = self.pairs.max(after);
            return None;
        }
        // `password: token: x`, `password= "token": "x"`: what was taken may be a name itself.
        let value = self.text.get(start..end).unwrap_or_default();
        let is_sign = |byte: &u8| matches!(byte, b':' | b'=');
        let is_name =
            value.split_last().is_some_and(|(last, rest)| is_sign(last) && !rest.iter().any(is_sign));
        let is_quoted_name =
            Quote::at(self.text, end).is_some_and(|(_, after)| byte(self.text, after) == b':');
        if !is_name && !is_quoted_name {
            self.pairs = self.pairs.max(end);
        }
        Some(pair)
    }
}
