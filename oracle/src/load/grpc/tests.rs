//! Who said what, over real connections.

use std::net::TcpListener;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse as Answer,
};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response};

use super::*;

/// A server that always says the same.
struct Says(Result<Answer, Status>);

#[tonic::async_trait]
impl LogsService for Says {
    async fn export(&self, _: Request<ExportLogsServiceRequest>) -> Result<Response<Answer>, Status> {
        self.0.clone().map(Response::new)
    }
}

/// What two requests on end become, and whether the connection is kept.
fn pushed(answer: Result<Answer, Status>) -> ([Fate; 2], bool) {
    let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let _entered = server.enter();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = incoming.local_addr().expect("an address");
    let service = LogsServiceServer::new(Says(answer));
    server.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    std::thread::spawn(move || {
        let mut client = Client::of(address).expect("a client");
        let fates = [(); 2].map(|()| client.push(ExportLogsServiceRequest::default()));
        (fates, client.open.is_some())
    })
    .join()
    .expect("it ends")
}

fn alone(address: SocketAddr) -> Fate {
    Client::of(address).expect("a client").push(ExportLogsServiceRequest::default())
}

#[test]
fn an_answer_says_what_became_of_it() {
    let check = |answer: Result<Answer, Status>, fate: Fate, is_kept: bool| {
        assert_eq!(pushed(answer.clone()), ([fate; 2], is_kept), "{answer:?}");
    };
    let partial = ExportLogsPartialSuccess { rejected_log_records: 1, error_message: String::new() };
    check(Ok(Answer::default()), Fate::Owed, true);
    check(Ok(Answer { partial_success: Some(partial) }), Fate::Unanswered, false);
    for code in [Code::Unavailable, Code::ResourceExhausted, Code::InvalidArgument] {
        check(Err(Status::new(code, "no")), Fate::Refused, true);
    }
    for code in [Code::DeadlineExceeded, Code::Internal, Code::Unknown, Code::Cancelled] {
        check(Err(Status::new(code, "who knows")), Fate::Unanswered, false);
    }
}

#[test]
fn who_does_not_listen_has_seen_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    assert_eq!(alone(address), Fate::Refused);
}

#[test]
fn who_hangs_up_or_speaks_no_grpc_may_have_seen_it() {
    for said in ["", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            std::thread::sleep(Duration::from_millis(100));
            let _ = std::io::Write::write_all(&mut stream, said.as_bytes());
        });
        assert_eq!(alone(address), Fate::Unanswered, "{said:?}");
        server.join().expect("it ends");
    }
}
