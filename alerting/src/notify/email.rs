//! By mail: a text and an HTML part. Mails of one alert make one thread, and
//! each attempt has the same Message-ID, so that a mailbox may drop the second.

use async_trait::async_trait;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailboxes, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use minijinja::Environment;
use serde_json::json;
use weir_runtime::telemetry::error_chain;

use super::{Notify, NotifyError};
use crate::config::{EmailConfig, SmtpConfig, SmtpTls};
use crate::harmless::one_line;
use crate::outgoing::{Status, Webhook};

/// Alerts that a mail has room for.
const ALERTS_MAX: usize = 20;

const TEXT: &str = include_str!("email/mail.txt");
const HTML: &str = include_str!("email/mail.html");

/// Mails one list of recipients.
pub(super) struct Mailer {
    from: Mailboxes,
    to: Mailboxes,
    host: String,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    templates: Environment<'static>,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Mailer {
    pub(super) fn new(smtp: &SmtpConfig, config: &EmailConfig) -> Result<Self, String> {
        let boxes = |text: &str| text.parse::<Mailboxes>().map_err(|error| format!("{text:?}: {error}"));
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
            .port(smtp.port)
            .timeout(Some(std::time::Duration::from_secs(30)))
            .tls(tls(smtp)?);
        if !smtp.username.is_empty() {
            let password = smtp
                .password()
                .map_err(|error| format!("alerting.smtp.password_file cannot be read: {error}"))?;
            transport = transport.credentials(Credentials::new(smtp.username.clone(), password));
        }
        let mut templates = Environment::new();
        for (name, source) in [("mail.txt", TEXT), ("mail.html", HTML)] {
            templates.add_template(name, source).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            from: boxes(&smtp.from)?,
            to: boxes(&config.to)?,
            host: smtp.host.clone(),
            transport: transport.build(),
            templates,
        })
    }

    fn message(&self, id: &str, body: &Webhook) -> Result<Message, String> {
        let context = json!({
            "subject": subject(body),
            "body": body,
            "alerts": body.alerts.iter().take(ALERTS_MAX).collect::<Vec<_>>(),
            "more": body.alerts.len().saturating_sub(ALERTS_MAX),
        });
        let render = |name: &str| {
            let template = self.templates.get_template(name).map_err(|error| error.to_string())?;
            template.render(minijinja::value::Serde(&context)).map_err(|error| error.to_string())
        };
        let thread = thread(body);
        let mut message = Message::builder()
            .subject(subject(body))
            .message_id(Some(format!("<{id}@weir>")))
            .in_reply_to(thread.clone())
            .references(thread)
            .header(AutoSubmitted);
        for from in self.from.iter() {
            message = message.from(from.clone());
        }
        for to in self.to.iter() {
            message = message.to(to.clone());
        }
        message
            .multipart(MultiPart::alternative_plain_html(render("mail.txt")?, render("mail.html")?))
            .map_err(|error| error_chain(&error))
    }
}

#[async_trait]
impl Notify for Mailer {
    async fn send(&self, id: &str, body: &Webhook) -> Result<(), NotifyError> {
        let message = self.message(id, body).map_err(NotifyError::Refused)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(NotifyError::Refused(error_chain(&error))),
            Err(error) => Err(NotifyError::Retry(error_chain(&error))),
        }
    }
}

fn tls(smtp: &SmtpConfig) -> Result<Tls, String> {
    let parameters = || {
        let mut parameters = TlsParameters::builder(smtp.host.clone());
        if !smtp.ca_file.as_os_str().is_empty() {
            let file = smtp.ca_file.display();
            let pem = std::fs::read(&smtp.ca_file)
                .map_err(|error| format!("alerting.smtp.ca_file {file} cannot be read: {error}"))?;
            let certificate = Certificate::from_pem(&pem)
                .map_err(|error| format!("alerting.smtp.ca_file {file} is no certificate: {error}"))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        parameters.build_rustls().map_err(|error| error_chain(&error))
    };
    Ok(match smtp.tls {
        SmtpTls::Starttls => Tls::Required(parameters()?),
        SmtpTls::Tls => Tls::Wrapper(parameters()?),
        SmtpTls::None => Tls::None,
    })
}

/// `[FIRING:2] PaymentDeclined: payment: card issuer unavailable`.
fn subject(body: &Webhook) -> String {
    let status = body.status.as_str().to_uppercase();
    let count = body.alerts.iter().filter(|alert| alert.status == body.status).count();
    let name = body.group_labels.get("alertname").map_or("", String::as_str);
    let summary = body.alerts.first().and_then(|alert| alert.annotations.get("summary"));
    let summary = summary.map(|summary| format!(": {summary}")).unwrap_or_default();
    let head = match body.status {
        Status::Firing => format!("[{status}:{count}]"),
        Status::Resolved => format!("[{status}]"),
    };
    let line = one_line(&format!("{head} {name}{summary}"));
    line.chars().take(200).collect()
}

/// The thread's name: the alert and when it began.
fn thread(body: &Webhook) -> String {
    let first = body.alerts.first();
    let begun = first.map_or("", |alert| alert.starts_at.as_str());
    let fingerprint = first.map_or("", |alert| alert.fingerprint.as_str());
    let begun: String = begun.chars().filter(char::is_ascii_digit).collect();
    format!("<{fingerprint}.{begun}@weir>")
}

/// Says that nobody waits for an answer (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests;
