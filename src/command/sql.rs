//! `weir sql`: a question to a running Weir, printed for people or for pipes.

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cli::{SqlArgs, SqlFormat};
use crate::http::{Client, Response};

/// Asks, and prints the answer or the complaint.
pub fn sql(args: &SqlArgs) -> Result<ExitCode> {
    let query = match args.query.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the statement")?;
            text
        }
        text => text.to_owned(),
    };
    let client = Client::new(&args.url)?;
    let accept = match args.format {
        SqlFormat::Table | SqlFormat::Json => "application/json",
        SqlFormat::Ndjson => "application/x-ndjson",
        SqlFormat::Csv => "text/csv",
    };
    let response = super::block_on(client.sql(&query, accept))?;
    if !response.status.is_success() {
        bail!("{}", complaint(&response));
    }
    let mut out = std::io::stdout().lock();
    match args.format {
        SqlFormat::Table => print_table(&mut out, &response.json()?)?,
        SqlFormat::Json => writeln!(out, "{}", response.text().trim_end())?,
        SqlFormat::Ndjson | SqlFormat::Csv => out.write_all(&response.body)?,
    }
    super::DONE
}

/// What the server says is wrong, on one line.
pub(crate) fn complaint(response: &Response) -> String {
    let body: Value = response.json().unwrap_or_default();
    match (body["error"]["message"].as_str(), body["error"]["hint"].as_str()) {
        (Some(message), Some(hint)) => format!("{message} ({hint})"),
        (Some(message), None) => message.to_owned(),
        _ => format!("{}: {}", response.status, response.text().trim()),
    }
}

fn print_table(out: &mut impl Write, answer: &Value) -> Result<()> {
    let none = Vec::new();
    let names = answer["columns"].as_array().unwrap_or(&none);
    let names: Vec<_> = names.iter().map(|column| cell(&column["name"])).collect();
    let rows: Vec<Vec<String>> = answer["rows"]
        .as_array()
        .unwrap_or(&none)
        .iter()
        .map(|row| row.as_array().unwrap_or(&none).iter().map(cell).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([names[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..names.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(&names))?;
    writeln!(out, "{}", widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  "))?;
    for row in &rows {
        writeln!(out, "{}", line(row))?;
    }
    let plural = if rows.len() == 1 { "row" } else { "rows" };
    write!(out, "({} {plural}", rows.len())?;
    if answer["truncated"] == true {
        write!(out, ", cut at the limit")?;
    }
    match answer["complete_until"].as_str() {
        Some(until) => writeln!(out, ", complete until {until})")?,
        None => writeln!(out, ", completeness unknown)")?,
    }
    let held_by = answer["held_by"].as_array().unwrap_or(&none);
    if !held_by.is_empty() {
        writeln!(out, "held back by: {}", held_by.iter().map(cell).collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

/// A value on one line: control characters must not reach the terminal.
pub(super) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    harmless(&text)
}

/// Text without what steers a terminal.
pub(super) fn harmless(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = |c: char| if c.is_control() || turns(c) { c.escape_default().collect() } else { vec![c] };
    text.chars().flat_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_harmless() {
        let answer = serde_json::json!({
            "columns": [{"name": "a"}, {"name": "long name"}],
            "rows": [["x\u{1b}[31m\n\u{202e}", 1], [null, "y"]],
            "complete_until": "2026-01-01T00:00:00Z",
            "held_by": ["agent 7"],
        });
        let mut out = Vec::new();
        print_table(&mut out, &answer).unwrap();
        let expected = "\
a                      long name
---------------------  ---------
x\\u{1b}[31m\\n\\u{202e}  1
                       y
(2 rows, complete until 2026-01-01T00:00:00Z)
held back by: agent 7
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
