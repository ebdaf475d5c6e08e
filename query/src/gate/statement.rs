//! Which statements pass: those that only read Weir's tables.
//!
//! What passes is listed; everything else is refused, known or not.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, ObjectName, ObjectNamePart, Query, Select, SetExpr, Statement as Sql,
    TableFactor, Visit, Visitor,
};

use super::measure::{RELATIONS_MAX, too_many};
use crate::QueryError;
use crate::engine::SWITCHED_OFF;

/// Functions that stand where a table stands.
const TABLE_FUNCTIONS: [&str; 3] = ["generate_series", "range", "unnest"];

/// What cannot be read as SQL.
pub(super) fn syntax(error: &DataFusionError) -> QueryError {
    let text = match error.find_root() {
        DataFusionError::SQL(parse, _) => parse.to_string(),
        other => other.message().into_owned(),
    };
    if text.contains("recursion limit exceeded") {
        return QueryError::refused("the query is nested too deep");
    }
    QueryError::Syntax { message: text.strip_prefix("sql parser error: ").unwrap_or(&text).to_owned() }
}

/// Refuses everything that does not only read.
pub(super) fn check(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(sql) => check_sql(sql),
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(sql) => check_sql(sql),
            _ => Err(only_questions("this")),
        },
        Statement::CreateExternalTable(_) => Err(only_questions("CREATE EXTERNAL TABLE")),
        Statement::CopyTo(_) => Err(only_questions("COPY")),
        Statement::Reset(_) => Err(only_questions("RESET")),
    }
}

fn check_sql(sql: &Sql) -> Result<(), QueryError> {
    match sql {
        Sql::Query(query) => walk(query),
        Sql::Explain { statement, query_plan: false, estimate: false, .. } => match statement.as_ref() {
            Sql::Query(query) => walk(query),
            other => Err(only_questions(&first_word(other))),
        },
        Sql::ExplainTable { .. } => Err(QueryError::refused_with(
            "DESCRIBE is not allowed",
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'logs'",
        )),
        Sql::ShowTables { .. } | Sql::ShowColumns { .. } | Sql::ShowVariable { .. } => {
            Err(QueryError::refused_with("SHOW is not allowed", "SELECT * FROM information_schema.tables"))
        }
        other => Err(only_questions(&first_word(other))),
    }
}

fn walk(query: &Query) -> Result<(), QueryError> {
    match query.visit(&mut Walk { tables: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refused) => Err(refused),
    }
}

fn only_questions(what: &str) -> QueryError {
    QueryError::refused_with(
        format!("{what} is not allowed: queries only read"),
        "a query begins with SELECT, WITH or EXPLAIN",
    )
}

/// The statement's first word, for the message.
fn first_word(sql: &Sql) -> String {
    let text = sql.to_string();
    text.split_whitespace().next().unwrap_or("this").to_uppercase()
}

/// Looks at every part of a query.
struct Walk {
    tables: usize,
}

type Flow = ControlFlow<QueryError>;

impl Visitor for Walk {
    type Break = QueryError;

    fn pre_visit_statement(&mut self, statement: &Sql) -> Flow {
        match statement {
            Sql::Query(_) => Flow::Continue(()),
            other => Flow::Break(only_questions(&first_word(other))),
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        let writes = match query.body.as_ref() {
            SetExpr::Insert(_) => Some("INSERT"),
            SetExpr::Update(_) => Some("UPDATE"),
            SetExpr::Delete(_) => Some("DELETE"),
            SetExpr::Merge(_) => Some("MERGE"),
            SetExpr::Select(_)
            | SetExpr::Query(_)
            | SetExpr::SetOperation { .. }
            | SetExpr::Values(_)
            | SetExpr::Table(_) => None,
        };
        if let Some(writes) = writes {
            return Flow::Break(only_questions(writes));
        }
        if query.settings.is_some() || query.format_clause.is_some() || !query.locks.is_empty() {
            let message = "SETTINGS, FORMAT and FOR UPDATE are not allowed";
            return Flow::Break(QueryError::refused_with(message, "the header Accept chooses the format"));
        }
        Flow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        match select.into {
            Some(_) => Flow::Break(only_questions("SELECT INTO")),
            None => Flow::Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        match relation.0.iter().all(is_name) {
            true => Flow::Continue(()),
            false => Flow::Break(files()),
        }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> Flow {
        self.tables += 1;
        if self.tables > RELATIONS_MAX {
            return Flow::Break(too_many("joins more than", RELATIONS_MAX, "tables"));
        }
        match table {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                table_function(&name.to_string())
            }
            TableFactor::Table { args: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::NestedJoin { .. } => Flow::Continue(()),
            TableFactor::TableFunction { expr, .. } => table_function(&expr.to_string()),
            _ => Flow::Break(QueryError::refused("this kind of table is not allowed")),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        let Expr::Function(function) = expr else { return Flow::Continue(()) };
        let name = function.name.to_string().to_lowercase().replace('"', "");
        if SWITCHED_OFF.contains(&name.as_str()) && !matches!(function.args, FunctionArguments::None) {
            let message = format!("the function {name} is switched off: one call could fill the memory");
            return Flow::Break(QueryError::refused(message));
        }
        Flow::Continue(())
    }
}

fn files() -> QueryError {
    QueryError::refused_with(
        "files and URLs cannot be queried",
        "the tables are logs, log_lines, spans, metrics, metric_samples, metric_series, and those of weir: \
         files, gaps, delivery, lanes",
    )
}

/// A plain or double-quoted name. In single quotes, DataFusion reads a path.
fn is_name(part: &ObjectNamePart) -> bool {
    match part {
        ObjectNamePart::Identifier(name) => {
            name.quote_style != Some('\'') && !name.value.contains(['/', '\\', ':', '\0'])
        }
        ObjectNamePart::Function(_) => false,
    }
}

fn table_function(name: &str) -> Flow {
    let name = name.split('(').next().unwrap_or_default().to_lowercase();
    if TABLE_FUNCTIONS.contains(&name.trim_matches('"')) {
        return Flow::Continue(());
    }
    let hint = format!("these functions give a table: {}", TABLE_FUNCTIONS.join(", "));
    Flow::Break(QueryError::refused_with(format!("the table function {name} is not allowed"), hint))
}
