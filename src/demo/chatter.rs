//! What services print all day, beside what the shop's calls make them print:
//! made-up lines, as many as are wished for.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::container::{Stream, cri_time};

/// One line of one service.
#[derive(Clone, Debug)]
pub(super) struct Printed {
    pub service: usize,
    pub stream: Stream,
    pub text: String,
}

/// The services' names, the busiest first.
pub(super) const SERVICES: [&str; 6] = ["frontend", "catalog", "cart", "checkout", "payment", "shipping"];

/// Their shares of the traffic, in percent.
const SHARES: [u32; 6] = [35, 25, 16, 10, 8, 6];

const JAVA_FRAMES: [&str; 4] = [
    "\tat com.shop.checkout.OrderService.place(OrderService.java:118)",
    "\tat com.shop.checkout.OrderController.post(OrderController.java:57)",
    "\tat java.base/java.lang.Thread.run(Thread.java:840)",
    "Caused by: java.net.SocketTimeoutException: Read timed out",
];

const PYTHON_FRAMES: [&str; 4] = [
    "Traceback (most recent call last):",
    "  File \"/app/catalog/search.py\", line 88, in find",
    "    return self.index[sku]",
    "KeyError: 'sku-4711'",
];

/// Prints lines, one call after another.
#[derive(Debug)]
pub(super) struct Chatter {
    random: SmallRng,
    /// Each service's next number.
    numbers: [u64; SERVICES.len()],
}

impl Chatter {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), numbers: [0; SERVICES.len()] }
    }

    /// What is printed next: mostly one line, sometimes a stack trace.
    pub(super) fn print(&mut self, now_micros: i64, out: &mut Vec<Printed>) {
        let mut share = self.random.random_range(0..100);
        let mut service = 0;
        while share >= SHARES[service] {
            share -= SHARES[service];
            service += 1;
        }
        let severity = self.severity();
        let text = match service {
            0 | 4 => self.json(service, severity, now_micros),
            2 | 5 => self.logfmt(service, severity),
            _ => self.plain(service, severity, now_micros),
        };
        let stream = if severity == "error" { Stream::Stderr } else { Stream::Stdout };
        out.push(Printed { service, stream, text });
        let frames: &[&str] = match service {
            3 => &JAVA_FRAMES,
            1 => &PYTHON_FRAMES,
            _ => &[],
        };
        if severity == "error" {
            for frame in frames {
                let text = format!("{frame} {}", self.number(service, "seq="));
                out.push(Printed { service, stream, text });
            }
        }
    }

    fn number(&mut self, service: usize, prefix: &str) -> String {
        self.numbers[service] += 1;
        format!("{prefix}{}-{}", SERVICES[service], self.numbers[service])
    }

    fn severity(&mut self) -> &'static str {
        match self.random.random_range(0..1000) {
            0..8 => "error",
            8..40 => "warn",
            40..880 => "info",
            _ => "debug",
        }
    }

    fn message(&mut self, severity: &str) -> String {
        let order = self.skewed(90_000);
        match (severity, self.random.random_range(0..6)) {
            ("error", 0..3) => format!("order {order} failed: connection refused by upstream payment:8443"),
            ("error", _) => format!("cannot reserve stock for order {order}: deadline exceeded"),
            ("warn", _) => format!("slow response for order {order}, {} retries left", order % 4),
            (_, 0) => format!("added item sku-{} to cart {order}", self.skewed(4_000)),
            (_, 1) => format!("order {order} accepted"),
            (_, 2) => format!("rendered page /product/sku-{}", self.skewed(4_000)),
            (_, 3) => format!("payment authorised for order {order}"),
            (_, 4) => format!("\"{}\" searched, {} results", self.word(), order % 37),
            _ => format!("parcel {order} handed to carrier"),
        }
    }

    fn json(&mut self, service: usize, severity: &str, now_micros: i64) -> String {
        let mut message = self.message(severity).replace('"', "\\\"");
        // Some lines are longer than a runtime's buffer and come in parts.
        if self.random.random_ratio(1, 2000) {
            message.push_str(&" lorem ipsum".repeat(3000));
        }
        let number = self.number(service, "");
        format!(
            "{{\"ts\":\"{}\",\"level\":\"{severity}\",\"service\":\"{}\",\"msg\":\"{message}\",\
             \"status\":{},\"duration_ms\":{:.3},\
             \"user\":\"u{}\",\"ip\":\"10.{}.{}.{}\",\"cached\":{},\"seq\":\"{number}\"}}",
            &cri_time(now_micros).replace("000Z", "Z"),
            SERVICES[service],
            [200, 200, 200, 201, 304, 404][self.random.random_range(0..6)],
            self.random.random_range(0.1..250.0),
            self.skewed(100_000),
            self.random.random::<u8>(),
            self.random.random::<u8>(),
            self.random.random::<u8>(),
            self.random.random::<bool>(),
        )
    }

    fn logfmt(&mut self, service: usize, severity: &str) -> String {
        let message = self.message(severity).replace('"', "'");
        let number = self.number(service, "seq=");
        let took = self.random.random_range(1..900);
        format!("level={severity} msg=\"{message}\" took={took}ms user=u{} {number}", self.skewed(100_000))
    }

    fn plain(&mut self, service: usize, severity: &str, now_micros: i64) -> String {
        let message = self.message(severity);
        let time = cri_time(now_micros);
        let number = self.number(service, "seq=");
        format!(
            "{} {},{} {:<5} [worker-{}] {message} {number}",
            &time[..10],
            &time[11..19],
            &time[20..23],
            severity.to_uppercase(),
            self.random.random_range(1..9),
        )
    }

    /// A number below `count`, small ones far more often: about Zipf's law.
    fn skewed(&mut self, count: u32) -> u32 {
        let exponent: f64 = self.random.random();
        (f64::from(count).powf(exponent) - 1.0) as u32
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 8] = ["boots", "tent", "lamp", "rope", "stove", "map", "kettle", "sleeping bag"];
        WORDS[self.random.random_range(0..WORDS.len())]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_has_a_number_of_its_own_and_a_seed_repeats_itself() {
        let print = |seed| {
            let mut shop = Chatter::new(seed);
            let mut out = Vec::new();
            for n in 0..40_000 {
                shop.print(n, &mut out);
            }
            out
        };
        let lines = print(1);
        let key = |line: &Printed| {
            let (_, rest) = line.text.rsplit_once("seq").expect("a number");
            rest.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
        };
        assert_eq!(lines.iter().map(key).collect::<HashSet<_>>().len(), lines.len());
        assert!(lines.iter().all(|line| !line.text.contains('\n')));
        assert!(lines.iter().any(|line| line.text.len() > 16 * 1024), "no long line");
        let again = print(1);
        assert!(lines.iter().zip(&again).all(|(a, b)| a.text == b.text));
        assert!(lines.iter().zip(&print(2)).any(|(a, b)| a.text != b.text));
    }
}
