//! How large a statement is, counted on its tokens.
//!
//! Chains such as `1+1+1` or `a OR b OR c` become trees as deep as they are
//! long, and whatever walks a tree recurses. So every operator counts, flat or
//! not; commas do not, for lists stay lists. The tables of a list are counted
//! after parsing.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use crate::QueryError;

/// How deep parentheses and brackets may nest.
pub(super) const DEPTH_MAX: usize = 64;

/// How many operators, conditions and branches a statement may have.
const TERMS_MAX: usize = 1_000;

/// How many tables a statement may join or unite.
pub(super) const RELATIONS_MAX: usize = 64;

/// How many names may be joined by dots.
const CHAIN_MAX: usize = 16;

/// Refuses what is nested too deep or has too many parts.
pub(super) fn check(tokens: &[Token]) -> Result<(), QueryError> {
    let mut depth: usize = 0;
    let mut terms: usize = 0;
    let mut relations: usize = 0;
    let mut dots: usize = 0;
    let mut after_dot = false;
    for token in tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))) {
        dots = match token {
            Token::Period => dots + 1,
            _ if after_dot => dots,
            _ => 0,
        };
        after_dot = *token == Token::Period;
        match token {
            Token::LParen | Token::LBrace => depth += 1,
            Token::LBracket => {
                depth += 1;
                terms += 1;
            }
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Word(word) if joins(word) => relations += 1,
            Token::Word(word) if branches(word) => terms += 1,
            Token::Word(_) | Token::Comma | Token::Period | Token::SemiColon => {}
            Token::Number(..) | Token::SingleQuotedString(_) | Token::EOF => {}
            _ => terms += 1,
        }
        if depth > DEPTH_MAX {
            return Err(too_many("is nested deeper than", DEPTH_MAX, "levels"));
        }
        if dots >= CHAIN_MAX {
            return Err(too_many("has a name of more than", CHAIN_MAX, "parts"));
        }
    }
    if terms > TERMS_MAX {
        return Err(QueryError::refused_with(
            too_many("has more than", TERMS_MAX, "operators").to_string(),
            "x IN (a, b, c) is one operator however long the list is",
        ));
    }
    if relations > RELATIONS_MAX {
        return Err(too_many("joins more than", RELATIONS_MAX, "tables"));
    }
    Ok(())
}

pub(super) fn too_many(what: &str, limit: usize, unit: &str) -> QueryError {
    QueryError::refused(format!("the query {what} {limit} {unit}"))
}

/// EXPLAIN joins nothing, but DataFusion reads a row of them by recursion.
fn joins(word: &Word) -> bool {
    use Keyword::{EXCEPT, EXPLAIN, INTERSECT, JOIN, MINUS, UNION};
    matches!(word.keyword, JOIN | UNION | INTERSECT | EXCEPT | MINUS | EXPLAIN)
}

fn branches(word: &Word) -> bool {
    use Keyword::{
        AND, AT, BETWEEN, CASE, COLLATE, DIV, EXISTS, ILIKE, IN, INTERVAL, IS, LIKE, NOT, NOTNULL, OR,
        OVERLAPS, PRIOR, REGEXP, RLIKE, SIMILAR, WHEN, XOR,
    };
    matches!(
        word.keyword,
        AND | AT
            | BETWEEN
            | CASE
            | COLLATE
            | DIV
            | EXISTS
            | ILIKE
            | IN
            | INTERVAL
            | IS
            | LIKE
            | NOT
            | NOTNULL
            | OR
            | OVERLAPS
            | PRIOR
            | REGEXP
            | RLIKE
            | SIMILAR
            | WHEN
            | XOR
    )
}
