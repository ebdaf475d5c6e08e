//! What an operator may choose: where rules lie, whom to ask, whom to tell.
//! Names and meanings of routes and receivers are Alertmanager's.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_runtime::HumanDuration;

use crate::route::Matcher;

/// Configuration of alerting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Files with rules, as paths or globs. Ingesters need them, too: they
    /// look for the lines that log rules name.
    pub rules: Vec<String>,
    /// The query service that rules ask, `http://HOST:PORT`. Empty: the one of
    /// the same process.
    pub query_url: String,
    /// Where the alerting role serves, `http://HOST:PORT`: a query service
    /// passes questions about alerts on to it.
    pub url: String,
    /// The address of Weir's page as people reach it, for links in messages.
    /// Empty: the query service that rules ask.
    pub external_url: String,
    /// The mail server.
    pub smtp: SmtpConfig,
    /// Who is told of what.
    pub route: Route,
    /// Who can be told: a list, see [alerts](alerting.md).
    pub receivers: Vec<Receiver>,
}

/// The server that takes mail.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpConfig {
    /// The mail server's name. Empty: no mail can be sent.
    pub host: String,
    /// The mail server's port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// PEM file of the authority that signed the server's certificate; empty:
    /// those that the host trusts.
    pub ca_file: PathBuf,
    /// The sender.
    pub from: String,
    /// The user; empty: without signing in.
    pub username: String,
    /// The password; better in a file.
    pub password: String,
    /// File that holds the password and nothing else.
    pub password_file: PathBuf,
}

/// How a connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// From the command STARTTLS on, and not without it.
    #[default]
    Starttls,
    /// From the beginning.
    Tls,
    /// Not at all.
    None,
}

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// The receiver of what no other route takes. Empty: nobody.
    pub receiver: String,
    /// How long until an alert that still fires is told again.
    pub repeat_interval: HumanDuration,
    /// Receivers for some alerts, tried in order; the first that matches takes
    /// the alert: a list, see [alerts](alerting.md).
    pub routes: Vec<SubRoute>,
}

/// A receiver for some alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubRoute {
    /// All must hold: `name="value"`, `!=`, `=~` and `!~`.
    pub matchers: Vec<String>,
    /// Who is told.
    pub receiver: String,
    /// Try the routes after this one, too.
    #[serde(rename = "continue")]
    pub goes_on: bool,
}

/// Who can be told, by a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Receiver {
    /// Its name in routes.
    pub name: String,
    /// Told by HTTP.
    pub webhook_configs: Vec<WebhookConfig>,
    /// Told by mail.
    pub email_configs: Vec<EmailConfig>,
}

/// An address that Alertmanager's webhook body, version 4, is posted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to post.
    pub url: String,
    /// Tell also when an alert is over.
    pub send_resolved: bool,
    /// How long an answer may take.
    pub timeout: HumanDuration,
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmailConfig {
    /// The recipients, with commas between.
    pub to: String,
    /// Tell also when an alert is over.
    pub send_resolved: bool,
}

impl Default for SmtpConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            tls: SmtpTls::default(),
            ca_file: PathBuf::new(),
            from: "weir@localhost".to_owned(),
            username: String::new(),
            password: String::new(),
            password_file: PathBuf::new(),
        }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self {
            receiver: String::new(),
            repeat_interval: HumanDuration(Duration::from_secs(4 * 3600)),
            routes: Vec::new(),
        }
    }
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self { url: String::new(), send_resolved: true, timeout: HumanDuration(Duration::from_secs(10)) }
    }
}

impl Default for EmailConfig {
    fn default() -> Self {
        Self { to: String::new(), send_resolved: true }
    }
}

/// The password is not shown.
impl fmt::Debug for SmtpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("from", &self.from)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Says which key has a value that cannot work, if one has.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn validate(&self) -> Result<(), String> {
        for (key, url) in
            [("query_url", &self.query_url), ("url", &self.url), ("external_url", &self.external_url)]
        {
            if !url.is_empty() {
                http_url(url).map_err(|why| format!("alerting.{key} is {url:?}: {why}"))?;
            }
        }
        let mut names = std::collections::BTreeSet::new();
        for receiver in &self.receivers {
            if receiver.name.is_empty() {
                return Err("alerting.receivers: a receiver has no name".to_owned());
            }
            if !names.insert(receiver.name.as_str()) {
                return Err(format!("alerting.receivers: there are two of the name {:?}", receiver.name));
            }
            self.validate_receiver(receiver)?;
        }
        let is_known = |key: &str, name: &str| match name.is_empty() || names.contains(name) {
            true => Ok(()),
            false => Err(format!("alerting.{key} is {name:?}, which is none of alerting.receivers")),
        };
        is_known("route.receiver", &self.route.receiver)?;
        if self.route.repeat_interval.0 < Duration::from_secs(1) {
            return Err("alerting.route.repeat_interval must be at least 1s".to_owned());
        }
        for route in &self.route.routes {
            is_known("route.routes.receiver", &route.receiver)?;
            for matcher in &route.matchers {
                Matcher::parse(matcher).map_err(|why| format!("alerting.route.routes.matchers: {why}"))?;
            }
        }
        Ok(())
    }

    fn validate_receiver(&self, receiver: &Receiver) -> Result<(), String> {
        let of = |what: String| format!("alerting.receivers, {}: {what}", receiver.name);
        for webhook in &receiver.webhook_configs {
            http_url(&webhook.url)
                .map_err(|why| of(format!("webhook_configs.url is {:?}: {why}", webhook.url)))?;
        }
        if receiver.email_configs.is_empty() {
            return Ok(());
        }
        if self.smtp.host.is_empty() {
            return Err(of("mail needs a server: set alerting.smtp.host".to_owned()));
        }
        let mailbox = |key: &str, text: &str| {
            text.parse::<lettre::message::Mailboxes>()
                .map_err(|error| of(format!("{key} is {text:?}: {error}")))
                .and_then(|boxes| match boxes.iter().next() {
                    Some(_) => Ok(()),
                    None => Err(of(format!("{key} is empty"))),
                })
        };
        mailbox("alerting.smtp.from", &self.smtp.from)?;
        receiver.email_configs.iter().try_for_each(|email| mailbox("email_configs.to", &email.to))
    }
}

impl SmtpConfig {
    /// The password, from where it is kept.
    pub(crate) fn password(&self) -> std::io::Result<String> {
        if self.password_file.as_os_str().is_empty() {
            return Ok(self.password.clone());
        }
        let text = std::fs::read_to_string(&self.password_file)?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn http_url(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        _ => Err("it must begin with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        let check = |json: &str, expected: &str| {
            let config: Config = serde_json::from_str(json).expect("the shape is right");
            let said = config.validate().err().unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{json}: {said:?}");
        };
        check("{}", "");
        check(r#"{"query_url":"weir:9700"}"#, "alerting.query_url");
        check(r#"{"route":{"receiver":"ops"}}"#, "alerting.route.receiver is \"ops\"");
        check(r#"{"receivers":[{"name":"ops"}],"route":{"receiver":"ops"}}"#, "");
        check(r#"{"receivers":[{"name":"ops"},{"name":"ops"}]}"#, "two of the name");
        check(r#"{"receivers":[{"name":"a","webhook_configs":[{"url":"ftp://x"}]}]}"#, "http://");
        check(r#"{"receivers":[{"name":"a","email_configs":[{"to":"a@b.c"}]}]}"#, "alerting.smtp.host");
        check(
            r#"{"smtp":{"host":"h"},"receivers":[{"name":"a","email_configs":[{"to":"no address"}]}]}"#,
            "email_configs.to",
        );
        check(r#"{"route":{"routes":[{"matchers":["severity page"]}]}}"#, "matchers");
        assert!(serde_json::from_str::<Config>(r#"{"receiver":[]}"#).is_err(), "unknown keys are refused");
    }

    #[test]
    fn a_password_is_not_shown() {
        let smtp = SmtpConfig { password: "secret".to_owned(), ..SmtpConfig::default() };
        assert!(!format!("{smtp:?}").contains("secret"));
    }
}
