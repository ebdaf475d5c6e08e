//! Where a server listens, and what can be wrong with that place.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Why a server cannot listen where it was told to.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{address} is already in use: stop the process that listens there, or choose another address")]
    InUse {
        /// The address or socket path.
        address: String,
    },
    /// Something that is no socket lies at the path.
    #[error("{} exists and is no socket: move it away, or choose another path", path.display())]
    NoSocket {
        /// The socket's path.
        path: PathBuf,
    },
    /// The system refused, for example because the host name is unknown.
    #[error("cannot listen on {address}")]
    Refused {
        /// The address or socket path.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// An open port, not served yet. A Unix socket's file goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: LocalAddress,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A byte stream of either kind.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

impl LocalAddress {
    /// The TCP address, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// Opens a TCP port, written `host:port`; port 0 takes a free one.
    pub async fn tcp(address: &str) -> Result<Self, BindError> {
        let refused = |source| refused(address, source);
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let local = socket.local_addr().map_err(refused)?;
        Ok(Self { socket: Socket::Tcp(socket), address: LocalAddress::Tcp(local) })
    }

    /// Opens a Unix socket that only this user may connect to. The socket of a
    /// dead process is replaced; one that answers is left alone.
    pub async fn unix(path: &Path) -> Result<Self, BindError> {
        let address = path.display().to_string();
        ensure_vacant(path, &address).await?;
        // Bound aside and moved into place: nobody can connect before the mode
        // is set, and a name either answers or is stale.
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}", std::process::id()));
        let aside = PathBuf::from(aside);
        let bind = || {
            let _ = std::fs::remove_file(&aside);
            let socket = UnixListener::bind(&aside)?;
            std::fs::set_permissions(&aside, Permissions::from_mode(0o600))?;
            std::fs::rename(&aside, path)?;
            Ok(socket)
        };
        let socket = bind().map_err(|source| refused(&address, source))?;
        Ok(Self { socket: Socket::Unix(socket), address: LocalAddress::Unix(path.to_owned()) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> &LocalAddress {
        &self.address
    }

    /// The next connection. Trouble of one connection or of the process (no
    /// descriptor left) passes: it is told, and after a breath tried again.
    pub(super) async fn accept(&self) -> Box<dyn Connection> {
        loop {
            match self.try_accept().await {
                Ok(connection) => return connection,
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<Box<dyn Connection>> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                // Answers are written whole; waiting for more only delays them.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Socket::Unix(socket) => Ok(Box::new(socket.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let LocalAddress::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Ensures that nobody's socket and nobody's file lies at the path.
async fn ensure_vacant(path: &Path, address: &str) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(refused(address, source)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(BindError::InUse { address: address.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(refused(address, source)),
    }
}

fn refused(address: &str, source: io::Error) -> BindError {
    let address = address.to_owned();
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        _ => BindError::Refused { address, source },
    }
}
