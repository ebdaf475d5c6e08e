//! A small HTTP client for `weir sql` and the demo: one request, one connection.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A Weir to talk to.
#[derive(Clone, Debug)]
pub struct Client {
    authority: String,
}

/// What it answered.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// The body as text, lossily.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", self.text()))
    }
}

impl Client {
    /// A client for `http://host:port`.
    pub fn new(url: &str) -> Result<Self> {
        let Some(authority) = url.strip_prefix("http://") else {
            bail!("the URL {url:?} must start with http://");
        };
        let authority = authority.trim_end_matches('/');
        if authority.is_empty() || authority.contains('/') {
            bail!("the URL {url:?} must be http://HOST:PORT");
        }
        let authority =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:9700") };
        Ok(Self { authority })
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `GET path`.
    pub async fn get(&self, path: &str, accept: &str) -> Result<Response> {
        self.send(Method::GET, path, &[(ACCEPT.as_str(), accept)], Bytes::new()).await
    }

    /// `POST path` with these headers and this body.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Response> {
        self.send(Method::POST, path, headers, body).await
    }

    /// `POST /api/v1/sql` with the statement as plain text.
    pub async fn sql(&self, query: &str, accept: &str) -> Result<Response> {
        let headers = [(ACCEPT.as_str(), accept), (CONTENT_TYPE.as_str(), "text/plain")];
        self.post("/api/v1/sql", &headers, query.to_owned().into()).await
    }

    /// The rows of a statement as JSON values.
    ///
    /// # Errors
    /// Anything but a complete answer, with the server's message.
    pub async fn rows(&self, query: &str) -> Result<Vec<Vec<serde_json::Value>>> {
        let response = self.sql(query, "application/json").await?;
        if response.status != StatusCode::OK {
            bail!("{}: {}", response.status, response.text());
        }
        let mut answer = response.json()?;
        serde_json::from_value(answer["rows"].take()).context("the answer has no rows")
    }

    /// `GET path` without an end: `take` gets the body piece by piece, for as
    /// long as it answers true and the other side sends.
    ///
    /// # Errors
    /// Anything but success, with what the server said.
    pub async fn stream(&self, path: &str, mut take: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
        let (mut sender, connection) = self.connect().await?;
        let request = Request::get(path).header(HOST, &self.authority).body(Full::new(Bytes::new()))?;
        let taking = async {
            let response = sender.send_request(request).await?;
            let (head, mut body) = response.into_parts();
            if !head.status.is_success() {
                let (status, headers) = (head.status, head.headers);
                let response = Response { status, headers, body: body.collect().await?.to_bytes() };
                bail!("{}", crate::command::complaint(&response));
            }
            while let Some(frame) = body.frame().await {
                if let Some(data) = frame?.data_ref()
                    && !take(data)?
                {
                    break;
                }
            }
            Ok(())
        };
        tokio::pin!(taking);
        tokio::pin!(connection);
        tokio::select! {
            biased;
            taken = &mut taking => taken,
            closed = &mut connection => {
                closed.with_context(|| format!("the connection to {} broke", self.authority))?;
                taking.await
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response> {
        let exchange = self.exchange(method, path, headers, body);
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .with_context(|| format!("{} did not answer within {TIMEOUT:?}", self.authority))?
    }

    async fn connect(
        &self,
    ) -> Result<(SendRequest<Full<Bytes>>, Connection<TokioIo<TcpStream>, Full<Bytes>>)> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .with_context(|| format!("cannot reach Weir at {}: is it running?", self.authority))?;
        stream.set_nodelay(true)?;
        Ok(hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response> {
        let (mut sender, connection) = self.connect().await?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = async {
            let response = sender.send_request(request.body(Full::new(body))?).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Response { status: head.status, headers: head.headers, body })
        };
        // The connection makes progress only while it is polled; it ends with
        // the answer.
        tokio::pin!(answer);
        tokio::pin!(connection);
        tokio::select! {
            biased;
            response = &mut answer => response,
            closed = &mut connection => {
                closed.with_context(|| format!("the connection to {} broke", self.authority))?;
                answer.await
            }
        }
    }
}
