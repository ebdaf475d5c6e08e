//! Who is told of an alert, by its labels. Matchers are Alertmanager's.

use std::collections::BTreeSet;

use regex::Regex;

use crate::config::Route;
use crate::label::Labels;

/// A condition on one label.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    name: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Is(String),
    IsNot(String),
    Like(Regex),
    Unlike(Regex),
}

impl Matcher {
    /// Reads `name="value"`, with `=`, `!=`, `=~` or `!~`. Quotes may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no matcher: write name=\"value\", or !=, =~, !~");
        let at = text.find(['=', '!']).ok_or_else(wrong)?;
        let name = text[..at].trim();
        if name.is_empty() {
            return Err(wrong());
        }
        let sign = text.get(at..at + 2).filter(|sign| ["=~", "!~", "!="].contains(sign));
        let sign = sign.or_else(|| text.get(at..=at).filter(|sign| *sign == "=")).ok_or_else(wrong)?;
        let value = text[at + sign.len()..].trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        // As a whole: that is what Alertmanager means by a match.
        let regex = || Regex::new(&format!("^(?:{value})$")).map_err(|error| format!("{text:?}: {error}"));
        let test = match sign {
            "=" => Test::Is(value.to_owned()),
            "!=" => Test::IsNot(value.to_owned()),
            "=~" => Test::Like(regex()?),
            _ => Test::Unlike(regex()?),
        };
        Ok(Self { name: name.to_owned(), test })
    }

    /// A label that is not there is an empty one.
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        match &self.test {
            Test::Is(wanted) => value == wanted,
            Test::IsNot(unwanted) => value != unwanted,
            Test::Like(regex) => regex.is_match(value),
            Test::Unlike(regex) => !regex.is_match(value),
        }
    }
}

/// Routes, read and checked.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    default: String,
    routes: Vec<(Vec<Matcher>, String, bool)>,
}

impl Router {
    /// Reads the routes of a configuration.
    ///
    /// # Errors
    /// What is wrong with a matcher.
    pub(crate) fn new(route: &Route) -> Result<Self, String> {
        let routes = route.routes.iter().map(|route| {
            let matchers =
                route.matchers.iter().map(|text| Matcher::parse(text)).collect::<Result<_, _>>()?;
            Ok((matchers, route.receiver.clone(), route.goes_on))
        });
        Ok(Self { default: route.receiver.clone(), routes: routes.collect::<Result<_, String>>()? })
    }

    /// The receivers of an alert.
    pub(crate) fn receivers(&self, labels: &Labels) -> BTreeSet<&str> {
        let mut told = BTreeSet::new();
        for (matchers, receiver, goes_on) in &self.routes {
            if matchers.iter().all(|matcher| matcher.holds(labels)) {
                told.insert(receiver.as_str());
                if !goes_on {
                    break;
                }
            }
        }
        if told.is_empty() {
            told.insert(self.default.as_str());
        }
        // A route without a receiver is silence.
        told.remove("");
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SubRoute;

    #[test]
    fn the_first_route_that_matches_takes_an_alert() {
        let sub = |matcher: &str, receiver: &str, goes_on| SubRoute {
            matchers: vec![matcher.to_owned()],
            receiver: receiver.to_owned(),
            goes_on,
        };
        let route = Route {
            receiver: "ops".to_owned(),
            routes: vec![
                sub("team=\"pay\"", "pay", true),
                sub("severity =~ \"page|crit.*\"", "oncall", false),
                sub("severity!=info", "ticket", false),
                sub("quiet=yes", "", false),
            ],
            ..Route::default()
        };
        let router = Router::new(&route).expect("routes");
        let check = |labels: &[(&str, &str)], expected: &[&str]| {
            let labels: Labels =
                labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(router.receivers(&labels).into_iter().collect::<Vec<_>>(), expected, "{labels:?}");
        };
        check(&[("severity", "page")], &["oncall"]);
        check(&[("severity", "pages")], &["ticket"]);
        check(&[("severity", "critical"), ("team", "pay")], &["oncall", "pay"]);
        check(&[("severity", "info")], &["ops"]);
        check(&[("severity", "info"), ("quiet", "yes")], &[]);
        for text in ["severity", "=x", "a~b", "a=~(", "!"] {
            assert!(Matcher::parse(text).is_err(), "{text}");
        }
    }
}
