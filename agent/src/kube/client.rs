//! Requests to the API server: a GET with a token, over HTTP/1.1.
//!
//! Each request has a connection of its own: there are two that last, the
//! watches, and hardly any other. So nothing is pooled, and a token or a
//! certificate that was renewed is in force with the next request.
//!
//! Not `kube`: it brings 35 crates that an agent does not have otherwise, and
//! types that hold a whole pod where a few fields are needed. TLS is what the
//! other roles use.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the head of an answer may take: an API server under pressure lets
/// requests wait for up to a minute.
const HEAD: Duration = Duration::from_secs(65);

/// How long a whole answer may take to arrive.
const WHOLE: Duration = Duration::from_secs(60);

/// What is read of an answer that says what went wrong.
const COMPLAINT_BYTES_MAX: usize = 64 << 10;

/// Where the API server is, and with what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Over TLS.
    pub(super) is_secure: bool,
    /// The name or address to connect to.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// Both, as the URL has them.
    pub(super) authority: String,
    /// What every path begins with.
    pub(super) prefix: String,
    /// The token, if there is such a file.
    pub(super) token_file: PathBuf,
    /// The certificates to trust.
    pub(super) ca_file: PathBuf,
}

/// Asks the API server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    access: Access,
}

/// The head of an answer came; its body is read piece by piece.
pub(super) struct Answer {
    body: Incoming,
    connection: Option<Exchange>,
    /// Dropping it would end the connection.
    _sender: http1::SendRequest<Empty<Bytes>>,
}

type Exchange = Connection<TokioIo<Box<dyn Duplex>>, Empty<Bytes>>;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Why a request was not answered.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error("the token {} cannot be read", path.display())]
    Token { path: PathBuf, source: io::Error },
    #[error("the certificates in {} cannot be used: {reason}", path.display())]
    Trust { path: PathBuf, reason: String },
    #[error("{authority} cannot be reached")]
    Connect { authority: String, source: io::Error },
    #[error("{authority} cannot be asked")]
    Exchange { authority: String, source: hyper::Error },
    #[error("{authority} does not answer within {} s", after.as_secs())]
    Silent { authority: String, after: Duration },
    #[error("{authority} answers {status}: {message}")]
    Refused { authority: String, status: StatusCode, message: String, retry_after: Option<Duration> },
    #[error("{authority} answers with more than {limit} bytes")]
    TooLong { authority: String, limit: usize },
}

impl AskError {
    /// The status that the server answered with.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What the API server says of a failure.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    /// The HTTP status.
    pub(super) code: u16,
    /// For people.
    pub(super) message: String,
}

impl Client {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }

    /// Asks, and reads the head of the answer.
    pub(super) async fn ask(&self, path: &str) -> Result<Answer, AskError> {
        let request = self.request(path)?;
        let transport = self.within(CONNECT, self.connect()).await??;
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(transport)).await?;
            let mut connection = Some(connection);
            let response = {
                let mut sending = pin!(sender.send_request(request));
                poll_fn(|cx| {
                    drive(&mut connection, cx);
                    sending.as_mut().poll(cx)
                })
                .await?
            };
            Ok((response, connection, sender))
        };
        let (response, connection, sender) = self
            .within(HEAD, exchange)
            .await?
            .map_err(|source| AskError::Exchange { authority: self.access.authority.clone(), source })?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let mut answer = Answer { body: response.into_body(), connection, _sender: sender };
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.whole(&mut answer, COMPLAINT_BYTES_MAX).await.unwrap_or_default();
        let told: Status = serde_json::from_slice(&body).unwrap_or_default();
        let message = if told.message.is_empty() { "no reason is given".to_owned() } else { told.message };
        let authority = self.access.authority.clone();
        Err(AskError::Refused { authority, status, message, retry_after })
    }

    /// Asks, and reads all of an answer of at most `limit` bytes.
    pub(super) async fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, AskError> {
        let mut answer = self.ask(path).await?;
        self.whole(&mut answer, limit).await
    }

    /// The next piece of the body; none at its end.
    pub(super) async fn piece(
        &self,
        answer: &mut Answer,
        patience: Duration,
    ) -> Result<Option<Bytes>, AskError> {
        let piece = self.within(patience, answer.piece()).await?;
        piece.map_err(|source| AskError::Exchange { authority: self.access.authority.clone(), source })
    }

    async fn whole(&self, answer: &mut Answer, limit: usize) -> Result<Vec<u8>, AskError> {
        let reading = async {
            let mut body = Vec::new();
            while let Some(piece) = self.piece(answer, WHOLE).await? {
                if body.len() + piece.len() > limit {
                    let authority = self.access.authority.clone();
                    return Err(AskError::TooLong { authority, limit });
                }
                body.extend_from_slice(&piece);
            }
            Ok(body)
        };
        self.within(WHOLE, reading).await?
    }

    fn request(&self, path: &str) -> Result<Request<Empty<Bytes>>, AskError> {
        let Access { authority, prefix, token_file, is_secure, host, .. } = &self.access;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() =
            format!("{prefix}{path}").parse().expect("paths are made of what a URI may have");
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(authority).expect("it was parsed from a URI"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("weir-agent/", env!("CARGO_PKG_VERSION"))));
        // Nobody on the way may read the token.
        let is_private = *is_secure || matches!(host.as_str(), "127.0.0.1" | "::1" | "localhost");
        let token = match std::fs::read_to_string(token_file) {
            Ok(token) if is_private => token,
            Ok(_) => return Ok(request),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(request),
            Err(source) => return Err(AskError::Token { path: token_file.clone(), source }),
        };
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it holds more than a token");
            AskError::Token { path: token_file.clone(), source }
        });
        let mut bearer = bearer?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        Ok(request)
    }

    async fn connect(&self) -> Result<Box<dyn Duplex>, AskError> {
        let Access { host, port, authority, is_secure, .. } = &self.access;
        let refused = |source| AskError::Connect { authority: authority.clone(), source };
        let socket = TcpStream::connect((host.as_str(), *port)).await.map_err(refused)?;
        if !is_secure {
            return Ok(Box::new(socket));
        }
        let connector = TlsConnector::from(Arc::new(self.trust()?));
        let name = ServerName::try_from(host.clone())
            .map_err(|error| refused(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let secured = connector.connect(name, socket).await.map_err(refused)?;
        Ok(Box::new(secured))
    }

    /// Whom to believe: read anew, so that renewed certificates count.
    fn trust(&self) -> Result<ClientConfig, AskError> {
        let path = &self.access.ca_file;
        let refused = |reason: String| AskError::Trust { path: path.clone(), reason };
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| refused(error.to_string()))?;
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refused("there is none in it".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, AskError> {
        let silent = |_| AskError::Silent { authority: self.access.authority.clone(), after: limit };
        timeout(limit, work).await.map_err(silent)
    }
}

impl Answer {
    async fn piece(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        poll_fn(|cx| {
            drive(&mut self.connection, cx);
            loop {
                return match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(None) => Poll::Ready(Ok(None)),
                    Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => Poll::Ready(Ok(Some(data))),
                        Err(_) => continue,
                    },
                };
            }
        })
        .await
    }
}

/// Moves bytes between the connection and whoever waits for them. How it ended
/// is told by what is waited for.
fn drive(connection: &mut Option<Exchange>, cx: &mut std::task::Context<'_>) {
    if let Some(held) = connection
        && Pin::new(held).poll(cx).is_ready()
    {
        *connection = None;
    }
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
