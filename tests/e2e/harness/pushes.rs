//! A load of numbered spans that are pushed, each in a request of its own, by
//! clients that know which of them were answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use weir::http::Client;

use super::{Node, eventually};

/// How long one client waits between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// Clients that push, one span after the other, to whoever they are told.
pub(crate) struct Pushes {
    target: Arc<Mutex<Option<Client>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Sent>>,
    sent: Sent,
}

/// What became of the requests, by the numbers of their spans.
#[derive(Debug, Default)]
struct Sent {
    /// Answered with success: there once.
    answered: Vec<u64>,
    /// Broken off: there once or not at all.
    unanswered: Vec<u64>,
    /// Answered with a refusal: not there.
    refused: Vec<u64>,
}

/// How many requests became what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) answered: usize,
    pub(crate) unanswered: usize,
    pub(crate) refused: usize,
}

impl Pushes {
    /// Starts `clients` threads; they wait until they are told whom to ask.
    pub(crate) fn start(clients: u64) -> Self {
        let (target, stop) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let threads = (0..clients).map(|client| {
            let (target, stop) = (Arc::clone(&target), Arc::clone(&stop));
            std::thread::spawn(move || push(client, clients, &target, &stop))
        });
        let threads = threads.collect();
        Self { target, stop, threads, sent: Sent::default() }
    }

    /// Whom to push to from now on.
    pub(crate) fn to(&self, node: &Node) {
        *self.target.lock().expect("not poisoned") = Some(node.client());
    }

    /// Ends the pushing.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let of_one = thread.join().expect("a client ends well");
            self.sent.answered.extend(of_one.answered);
            self.sent.unanswered.extend(of_one.unanswered);
            self.sent.refused.extend(of_one.refused);
        }
    }

    /// Holds the table to what was answered, once the pushing has ended.
    pub(crate) fn judge(&self, query: &Node) -> Counted {
        let sent = &self.sent;
        eventually("every answered push is there once", || {
            let question = "SELECT CAST(name AS bigint) AS n, count(*) FROM spans
                WHERE service_name = 'pushes' GROUP BY 1 ORDER BY 1";
            let rows = query.try_rows(question).map_err(|error| format!("{error:#}"))?;
            let mut stored = BTreeSet::new();
            for row in &rows {
                let number = row[0].as_u64().ok_or("no number")?;
                assert_eq!(row[1], 1, "span {number} is there {} times", row[1]);
                stored.insert(number);
            }
            let refused = sent.refused.iter().find(|number| stored.contains(number));
            assert_eq!(refused, None, "a refused span is there");
            match sent.answered.iter().find(|number| !stored.contains(number)) {
                None => Ok(()),
                Some(number) => Err(format!("span {number} of {} is missing", sent.answered.len())),
            }
        });
        let (answered, unanswered) = (sent.answered.len(), sent.unanswered.len());
        Counted { answered, unanswered, refused: sent.refused.len() }
    }
}

fn push(client: u64, clients: u64, target: &Mutex<Option<Client>>, stop: &AtomicBool) -> Sent {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut sent = Sent::default();
    // Every number is sent once: nothing here repeats what was not answered.
    for number in (client..).step_by(usize::try_from(clients).expect("few")) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        std::thread::sleep(PAUSE);
        let to = target.lock().expect("not poisoned").clone();
        let Some(to) = to else { continue };
        let span = json!([{
            "traceId": format!("{:032x}", number + 1),
            "id": format!("{:016x}", number + 1),
            "name": number.to_string(),
            "timestamp": jiff::Timestamp::now().as_microsecond(),
            "localEndpoint": { "serviceName": "pushes" },
        }]);
        let headers = [("content-type", "application/json")];
        let body = span.to_string().into();
        match runtime.block_on(to.post("/api/v2/spans", &headers, body)) {
            Ok(answer) if answer.status.is_success() => sent.answered.push(number),
            Ok(_) => sent.refused.push(number),
            Err(_) => sent.unanswered.push(number),
        }
    }
    sent
}
