use super::*;
use crate::evaluate::{News, Transition};
use crate::instance::{Instance, Phase};
use crate::label::Labels;
use crate::outgoing::{About, Channel, message};

fn mail(body: &str, summary: &str) -> String {
    let labels = Labels::from([
        ("alertname".to_owned(), "PaymentDeclined".to_owned()),
        ("service_name".to_owned(), "<b>payment</b>".to_owned()),
    ]);
    let instance = Instance {
        labels,
        annotations: Labels::from([("summary".to_owned(), summary.to_owned())]),
        phase: Phase::Firing,
        active_micros: 1_700_000_000_000_000,
        fired_micros: Some(1_700_000_000_000_000),
        last_micros: 1_700_000_000_000_000,
        told_micros: None,
        value: 3.0,
        sample: Some(serde_json::json!({"body": body, "trace_id": "abc123"})),
        incomplete: false,
    };
    let transition = Transition { news: News::Fired, instance, ends_micros: None };
    let about = About {
        rule: "shop/PaymentDeclined",
        alertname: "PaymentDeclined",
        query: "\"payment declined\"",
        is_search: true,
        external_url: "http://weir.example",
    };
    let channel = Channel {
        name: "ops/email/0".to_owned(),
        receiver: "ops".to_owned(),
        integration: "email",
        send_resolved: true,
    };
    let outgoing = message(about, &channel, &[&transition]).expect("a message");
    let smtp = SmtpConfig { host: "localhost".to_owned(), tls: SmtpTls::None, ..SmtpConfig::default() };
    let config = EmailConfig { to: "Ops <ops@example.com>, b@example.com".to_owned(), send_resolved: true };
    let mailer = Mailer::new(&smtp, &config).expect("a mailer");
    let mail = mailer.message("01ID", &outgoing.body).expect("a mail");
    String::from_utf8_lossy(&mail.formatted()).replace("=\r\n", "")
}

#[test]
fn a_mail_has_both_parts_and_names_that_stay() {
    let mail = mail("payment declined: card issuer unavailable", "payment fails");
    for expected in [
        "Subject: [FIRING:1] PaymentDeclined: payment fails",
        "Message-ID: <01ID@weir>",
        "References: <",
        "Auto-Submitted: auto-generated",
        "Content-Type: multipart/alternative",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "payment declined: card issuer unavailable",
        "http://weir.example/trace/abc123",
    ] {
        assert!(mail.contains(expected), "{expected:?} is missing in\n{mail}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let mail = mail("<script>alert(1)</script> {{7*7}}", "x\r\nBcc: evil@example.com\r\n\r\nbody");
    let (head, rest) = mail.split_once("\r\n\r\n").expect("a head");
    assert!(!head.to_lowercase().lines().any(|line| line.starts_with("bcc")), "{head}");
    let html = rest.split("text/html").nth(1).expect("an HTML part");
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
    assert!(html.contains("{{7*7}}") && !html.contains("49"), "{html}");
    assert!(!html.contains("<b>payment"), "{html}");
}
