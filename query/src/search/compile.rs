//! From terms to a condition in SQL.

use weir_proto::schema::log::column;

use super::field::{Field, field};
use super::grammar::{Op, Term, Value};
use crate::QueryError;
use crate::engine::has_word;
use crate::literal;

/// The condition of a term. Every part stands in parentheses, so parts join
/// without thinking of precedence.
pub(super) fn sql(term: &Term) -> Result<String, QueryError> {
    match term {
        Term::Text(word) => Ok(text(word)),
        Term::Not(inner) => Ok(not(&sql(inner)?)),
        Term::All(terms) => joined(terms, " AND "),
        Term::Any(terms) => joined(terms, " OR "),
        Term::Field { name, op: Op::IsNot, value } => Ok(not(&comparison(name, Op::Is, value)?)),
        Term::Field { name, op, value } => comparison(name, *op, value),
    }
}

fn joined(terms: &[Term], word: &str) -> Result<String, QueryError> {
    let parts: Vec<String> = terms.iter().map(sql).collect::<Result<_, _>>()?;
    Ok(format!("({})", parts.join(word)))
}

/// A row without the field is not the value: `IS NOT TRUE` keeps it where
/// `NOT` would lose it.
fn not(condition: &str) -> String {
    format!("({condition} IS NOT TRUE)")
}

fn text(word: &str) -> String {
    let word = literal::text(word);
    let name = has_word::NAME;
    format!("({name}({}, {word}) OR {name}({}, {word}))", column::BODY, column::ATTRIBUTES)
}

fn comparison(name: &str, op: Op, value: &Value) -> Result<String, QueryError> {
    match field(name) {
        Field::Body => body(op, value),
        Field::Severity => severity(op, value),
        Field::Text(column) => compared(name, column, op, value),
        Field::Hex(column) => compared(name, column, op, &lower(value)),
        Field::Number(column) => number(name, &column, op, value),
        Field::Key(map, key) => compared(name, &entry(map, &key), op, value),
        Field::AnyKey(key) => {
            let own = compared(name, &entry(column::ATTRIBUTES, &key), op, value)?;
            let given = compared(name, &entry(column::RESOURCE_ATTRIBUTES, &key), op, value)?;
            Ok(format!("({own} OR {given})"))
        }
        Field::Time => Err(QueryError::refused_with(
            format!("{name} cannot be compared in a search"),
            "use the parameters start and end",
        )),
        Field::Opaque => Err(QueryError::refused_with(
            format!("{name} cannot be compared in a search"),
            "name a key of it, as in attributes.user:42, or use SQL",
        )),
    }
}

fn body(op: Op, value: &Value) -> Result<String, QueryError> {
    match (op, value) {
        (Op::Is, Value::Exact(word)) => {
            Ok(format!("{}({}, {})", has_word::NAME, column::BODY, literal::text(word)))
        }
        (Op::Is, Value::Prefix(prefix)) => {
            Ok(format!("starts_with({}, {})", column::BODY, literal::text(prefix)))
        }
        (Op::Is, Value::Present) => Ok(format!("({} <> '')", column::BODY)),
        _ => Err(QueryError::refused("the body has words; it is not smaller or greater than one")),
    }
}

/// A column or key of text. Order is that of numbers: as text, 9 would be
/// greater than 10.
fn compared(name: &str, column: &str, op: Op, value: &Value) -> Result<String, QueryError> {
    match (op, value) {
        (Op::Is, Value::Exact(value)) => Ok(format!("({column} = {})", literal::text(value))),
        (Op::Is, Value::Prefix(prefix)) => Ok(format!("starts_with({column}, {})", literal::text(prefix))),
        (Op::Is, Value::Present) => Ok(format!("({column} IS NOT NULL)")),
        (op, value) => {
            let number = exact::<f64>(value).filter(|number| number.is_finite());
            let number = number.ok_or_else(|| needs_number(name))?;
            Ok(format!("(TRY_CAST({column} AS DOUBLE) {} CAST('{number}' AS DOUBLE))", sign(op)))
        }
    }
}

fn number(name: &str, column: &str, op: Op, value: &Value) -> Result<String, QueryError> {
    if (op, value) == (Op::Is, &Value::Present) {
        return Ok(format!("({column} IS NOT NULL)"));
    }
    let number = exact::<i64>(value).ok_or_else(|| needs_number(name))?;
    Ok(format!("({column} {} {number})", sign(op)))
}

/// The names of OpenTelemetry's ranges and their usual other spellings.
const SEVERITIES: [(&str, i16); 10] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("information", 9),
    ("warn", 13),
    ("warning", 13),
    ("error", 17),
    ("err", 17),
    ("fatal", 21),
    ("critical", 21),
];

/// A name stands for the four numbers of its range.
fn severity(op: Op, value: &Value) -> Result<String, QueryError> {
    let column = column::SEVERITY_NUMBER;
    let value = match value {
        Value::Present => return Ok(format!("({column} IS NOT NULL)")),
        Value::Exact(value) | Value::Prefix(value) => value.to_lowercase(),
    };
    let named = SEVERITIES.iter().find(|(name, _)| *name == value).map(|(_, first)| (*first, first + 3));
    let Some((first, last)) = named.or_else(|| value.parse().ok().map(|number| (number, number))) else {
        return match op {
            Op::Is => Ok(format!("(lower({}) = {})", column::SEVERITY_TEXT, literal::text(&value))),
            _ => Err(QueryError::refused_with(
                format!("{value:?} is no severity that can be ordered"),
                "use trace, debug, info, warn, error, fatal or a number from 1 to 24",
            )),
        };
    };
    Ok(match op {
        Op::Is | Op::IsNot => format!("({column} BETWEEN {first} AND {last})"),
        Op::Less => format!("({column} < {first})"),
        Op::LessOrEqual => format!("({column} <= {last})"),
        Op::Greater => format!("({column} > {last})"),
        Op::GreaterOrEqual => format!("({column} >= {first})"),
    })
}

fn exact<T: std::str::FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::Exact(text) => text.parse().ok(),
        Value::Present | Value::Prefix(_) => None,
    }
}

fn needs_number(name: &str) -> QueryError {
    QueryError::refused(format!("{name} is compared with something that is no number"))
}

fn lower(value: &Value) -> Value {
    match value {
        Value::Present => Value::Present,
        Value::Prefix(text) => Value::Prefix(text.to_lowercase()),
        Value::Exact(text) => Value::Exact(text.to_lowercase()),
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Is => "=",
        Op::IsNot => "<>",
        Op::Less => "<",
        Op::LessOrEqual => "<=",
        Op::Greater => ">",
        Op::GreaterOrEqual => ">=",
    }
}

fn entry(map: &str, key: &str) -> String {
    format!("{map}[{}]", literal::text(key))
}
