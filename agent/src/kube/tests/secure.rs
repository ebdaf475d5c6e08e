//! HTTPS: the server is known by the cluster's own certificates, and by no
//! others. The certificates are drawn by `openssl`, as in a cluster by its tools.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::kube::client::{AskError, Client};
use crate::kube::*;

/// An authority, and a server that it vouches for at `127.0.0.1`.
fn draw(directory: &Path, name: &str) -> PathBuf {
    let path = |what: &str| directory.join(format!("{name}-{what}.pem"));
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().expect("openssl is there");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (ca, ca_key) = (path("ca"), path("ca-key"));
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=kubernetes", "-keyout"];
    run(&[&authority[..], &[&text(&ca_key), "-out", &text(&ca)], &new_key].concat());
    let (server, key) = (path("server"), path("server-key"));
    let signed =
        ["req", "-x509", "-days", "2", "-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1"];
    let by = [
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        &text(&ca),
        "-CAkey",
        &text(&ca_key),
        "-keyout",
        &text(&key),
        "-out",
        &text(&server),
    ];
    run(&[&signed[..], &by, &new_key].concat());
    ca
}

/// Answers every request with an empty list, and tells of its token.
async fn serve(
    directory: &Path,
    name: &str,
    running: &mut JoinSet<()>,
) -> (u16, Arc<std::sync::Mutex<String>>) {
    let path = |what: &str| directory.join(format!("{name}-{what}.pem"));
    let chain = CertificateDer::pem_file_iter(path("server")).expect("a file").map(|one| one.expect("one"));
    let key = PrivateKeyDer::from_pem_file(path("server-key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::<std::sync::Mutex<String>>::default();
    let told = Arc::clone(&asked);
    running.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("accepted");
            // Who does not trust this server goes away.
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap_or(0);
            told.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&request[..read]));
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            let _ = socket.write_all(answer).await;
            let _ = socket.shutdown().await;
        }
    });
    (port, asked)
}

#[tokio::test]
async fn only_the_clusters_own_server_gets_the_token() {
    let place = tempfile::tempdir().expect("a directory");
    let (own, other) = (draw(place.path(), "own"), draw(place.path(), "other"));
    let token = place.path().join("token");
    std::fs::write(&token, "secret\n").expect("written");
    let mut running = JoinSet::new();
    let (port, asked) = serve(place.path(), "own", &mut running).await;
    let client = |ca_file: &Path| {
        let config = KubernetesConfig {
            url: format!("https://127.0.0.1:{port}"),
            token_file: token.clone(),
            ca_file: ca_file.to_owned(),
            ..KubernetesConfig::default()
        };
        Client::new(config.access(None).expect("sensible").expect("a server"))
    };
    let refused = client(&other).read("/api/v1/pods", 100).await.expect_err("another's server");
    assert!(matches!(refused, AskError::Connect { .. }), "{refused:?}");
    assert_eq!(*asked.lock().expect("not poisoned"), "", "it was asked nothing");
    let missing = client(Path::new("/nowhere")).read("/api/v1/pods", 100).await.expect_err("no certificates");
    assert!(missing.to_string().contains("/nowhere"), "{missing}");
    let read =
        tokio::time::timeout(Duration::from_secs(30), async { client(&own).read("/api/v1/pods", 100).await });
    assert_eq!(read.await.expect("in time").expect("answered"), b"{}");
    let asked = asked.lock().expect("not poisoned").to_lowercase();
    assert!(asked.contains("authorization: bearer secret\r\n"), "{asked}");
}
