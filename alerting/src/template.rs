//! Text with holes: annotations of rules. What is filled in is never read as a
//! template again.

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// A checked template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(String);

impl Template {
    /// Checks the text.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        environment().template_from_str(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }

    /// The text with its holes filled; what cannot be filled says why.
    pub(crate) fn render(&self, context: &impl Serialize) -> String {
        match environment().render_str(&self.0, minijinja::value::Serde(context)) {
            Ok(text) => text,
            Err(error) => format!("(the template {:?} failed: {error})", self.0),
        }
    }
}

/// What is not there is empty; loops end.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(50_000));
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn holes_are_filled_once() {
        let check = |text: &str, expected: &str| {
            let context =
                json!({"labels": {"service_name": "cart"}, "value": 7, "sample": {"body": "{{7*7}}"}});
            assert_eq!(Template::parse(text).expect("a template").render(&context), expected);
        };
        check("plain", "plain");
        check("{{ labels.service_name }} has {{ value }}", "cart has 7");
        check("{{ sample.body }}", "{{7*7}}");
        check("{{ labels.none }}|{{ none.none }}|", "||");
        assert!(Template::parse("{{ labels.").is_err());
    }
}
