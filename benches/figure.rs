//! Figures: what is measured, in which unit, what is to be reached, and how
//! they are asked for and told.

use std::io::Write;

use anyhow::{Result, bail};
use serde_json::json;

/// A figure: what is measured, in which unit, and what is to be reached.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: f64,
    /// True when more is better.
    pub(crate) more: bool,
}

/// The figures that were asked for on the command line, by the start of their
/// names; all without a name.
pub(crate) struct Wanted {
    figures: &'static [Figure],
    names: Vec<String>,
    json: bool,
}

impl Wanted {
    /// Reads the command line; nothing is left to do if it only asked for the
    /// list.
    pub(crate) fn from_arguments(figures: &'static [Figure]) -> Result<Option<Self>> {
        let arguments: Vec<String> =
            std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        if arguments.iter().any(|argument| argument == "--list") {
            for figure in figures {
                say(&format!("{:<20} {} (goal {})", figure.name, figure.unit, figure.goal));
            }
            return Ok(None);
        }
        let json = arguments.iter().any(|argument| argument == "--json");
        let names = arguments.into_iter().filter(|argument| !argument.starts_with("--")).collect();
        let wanted = Self { figures, names, json };
        if !wanted.has_any(figures.iter().map(|figure| figure.name)) {
            bail!("no such figure: --list names them");
        }
        Ok(Some(wanted))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wish| name.starts_with(wish.as_str()))
    }

    pub(crate) fn has_any<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|name| self.has(name))
    }

    /// Tells a figure, if it was asked for.
    pub(crate) fn report(&self, name: &str, value: f64) {
        let figure = self.figures.iter().find(|figure| figure.name == name).expect("a listed figure");
        if !self.has(name) {
            return;
        }
        let met = if figure.more { value >= figure.goal } else { value <= figure.goal };
        let value = (value * 10.0).round() / 10.0;
        if self.json {
            let line =
                json!({"name": name, "value": value, "unit": figure.unit, "goal": figure.goal, "met": met});
            say(&line.to_string());
        } else {
            let mark = if met { "met" } else { "short" };
            say(&format!("{name:<20} {value:>9} {:<20} goal {:>5}  {mark}", figure.unit, figure.goal));
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
