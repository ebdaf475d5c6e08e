//! From text to terms: words, phrases, fields, `-`, `OR`, parentheses.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::QueryError;

/// How deep parentheses and negations may nest.
const DEPTH_MAX: usize = 32;

/// The longest search. Far above what people type, far below what would make
/// a plan slow.
const BYTES_MAX: usize = 8 << 10;

/// What a search asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// A word or phrase, in the body or in an attribute's value.
    Text(String),
    /// A comparison of a field.
    Field {
        /// As it was written.
        name: String,
        /// How it is compared.
        op: Op,
        /// With what.
        value: Value,
    },
    /// Not this.
    Not(Box<Term>),
    /// All of these.
    All(Vec<Term>),
    /// One of these.
    Any(Vec<Term>),
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `field:value`.
    Is,
    /// `field!=value`.
    IsNot,
    /// `field<value`.
    Less,
    /// `field<=value`.
    LessOrEqual,
    /// `field>value`.
    Greater,
    /// `field>=value`.
    GreaterOrEqual,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `*`: any value at all.
    Present,
    /// `abc*`: begins with.
    Prefix(String),
    /// The value itself.
    Exact(String),
}

/// Two letters first, so that `>=` is not read as `>`.
const OPS: [(&str, Op); 6] = [
    ("!=", Op::IsNot),
    ("<=", Op::LessOrEqual),
    (">=", Op::GreaterOrEqual),
    (":", Op::Is),
    ("<", Op::Less),
    (">", Op::Greater),
];

/// Reads a search; none when it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Term>, QueryError> {
    if text.len() > BYTES_MAX {
        return Err(QueryError::TooLong { limit: BYTES_MAX });
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { text, letters: text.char_indices().peekable(), depth: 0 };
    let term = parser.any()?;
    match parser.peek() {
        None => Ok(Some(term)),
        Some((at, _)) => Err(wrong(at, "a closing parenthesis without an opening one")),
    }
}

fn wrong(at: usize, what: &str) -> QueryError {
    QueryError::Syntax { message: format!("at byte {at}: {what}") }
}

struct Parser<'a> {
    text: &'a str,
    letters: Peekable<CharIndices<'a>>,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// `a b OR c`: `OR` binds less than standing side by side.
    fn any(&mut self) -> Result<Term, QueryError> {
        let mut terms = vec![self.all()?];
        while self.keyword("OR") {
            terms.push(self.all()?);
        }
        Ok(one_or(terms, Term::Any))
    }

    fn all(&mut self) -> Result<Term, QueryError> {
        let mut terms = vec![self.negated()?];
        loop {
            self.keyword("AND");
            match self.peek() {
                None | Some((_, ')')) => break,
                Some(_) if self.at_keyword("OR") => break,
                Some(_) => terms.push(self.negated()?),
            }
        }
        Ok(one_or(terms, Term::All))
    }

    fn negated(&mut self) -> Result<Term, QueryError> {
        self.depth += 1;
        let (at, letter) = self.peek().ok_or_else(|| wrong(self.text.len(), "a word is missing"))?;
        if self.depth > DEPTH_MAX {
            return Err(wrong(at, "nested too deep"));
        }
        let term = if letter == '-' || self.keyword("NOT") {
            if letter == '-' {
                self.letters.next();
            }
            Term::Not(Box::new(self.negated()?))
        } else {
            self.single()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn single(&mut self) -> Result<Term, QueryError> {
        match self.peek() {
            Some((at, '(')) => {
                self.letters.next();
                let inner = self.any()?;
                match self.peek() {
                    Some((_, ')')) => {
                        self.letters.next();
                        Ok(inner)
                    }
                    _ => Err(wrong(at, "this parenthesis is not closed")),
                }
            }
            Some((at, ')')) => Err(wrong(at, "a word is missing before this parenthesis")),
            Some((_, '"')) => Ok(Term::Text(self.quoted()?)),
            Some((at, _)) if self.at_keyword("OR") => {
                Err(wrong(at, "a word is missing before OR; quote it to search for it"))
            }
            _ => self.word_or_field(),
        }
    }

    fn word_or_field(&mut self) -> Result<Term, QueryError> {
        let word = self.word();
        let Some((name, op, rest)) = split(word) else { return Ok(Term::Text(word.to_owned())) };
        let name = name.to_owned();
        let value = match self.letters.peek() {
            Some((_, '"')) if rest.is_empty() => Value::Exact(self.quoted()?),
            Some((at, _)) if rest.is_empty() => return Err(wrong(*at, "a value is missing after the field")),
            None if rest.is_empty() => {
                return Err(wrong(self.text.len(), "a value is missing after the field"));
            }
            _ => unquoted(rest),
        };
        Ok(Term::Field { name, op, value })
    }

    /// A run of letters up to a space, a quote or a parenthesis.
    fn word(&mut self) -> &'a str {
        let start = self.letters.peek().map_or(self.text.len(), |(at, _)| *at);
        let ends = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '(' | ')');
        while self.letters.next_if(|(_, letter)| !ends(*letter)).is_some() {}
        let end = self.letters.peek().map_or(self.text.len(), |(at, _)| *at);
        &self.text[start..end]
    }

    /// A text in quotes; `\"` and `\\` stand for themselves.
    fn quoted(&mut self) -> Result<String, QueryError> {
        let start = self.letters.next().map_or(self.text.len(), |(at, _)| at);
        let mut text = String::new();
        while let Some((_, letter)) = self.letters.next() {
            match letter {
                '"' => return Ok(text),
                '\\' => match self.letters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(wrong(start, "this quote is not closed"))
    }

    /// The next letter that is no space.
    fn peek(&mut self) -> Option<(usize, char)> {
        while self.letters.next_if(|(_, letter)| letter.is_whitespace()).is_some() {}
        self.letters.peek().copied()
    }

    fn at_keyword(&mut self, keyword: &str) -> bool {
        let Some((at, _)) = self.peek() else { return false };
        let rest = &self.text[at..];
        let after = rest.strip_prefix(keyword).map(|after| after.chars().next());
        after.is_some_and(|next| {
            next.is_none_or(|next| next.is_whitespace() || matches!(next, '(' | ')' | '"'))
        })
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            for _ in keyword.chars() {
                self.letters.next();
            }
        }
        found
    }
}

fn one_or(mut terms: Vec<Term>, many: fn(Vec<Term>) -> Term) -> Term {
    if terms.len() == 1 { terms.remove(0) } else { many(terms) }
}

/// `name`, operator and the rest, when the word is a comparison. A name begins
/// with a letter, so `10:30:15` stays a word; and so does `https://...`.
fn split(word: &str) -> Option<(&str, Op, &str)> {
    let named = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-' | '@' | '/');
    let end = word.find(|letter| !named(letter))?;
    let (name, rest) = word.split_at(end);
    let begins = |letter: char| letter.is_alphabetic() || matches!(letter, '_' | '@');
    let (op, value) = OPS.iter().find_map(|(sign, op)| Some((*op, rest.strip_prefix(sign)?)))?;
    (name.starts_with(begins) && !value.starts_with("//")).then_some((name, op, value))
}

fn unquoted(value: &str) -> Value {
    match value.strip_suffix('*') {
        Some("") => Value::Present,
        Some(prefix) => Value::Prefix(prefix.to_owned()),
        None => Value::Exact(value.to_owned()),
    }
}

#[cfg(test)]
mod tests;
