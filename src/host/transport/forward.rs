//! A UNIX socket on the controller that is forwarded to libvirt's socket on a host.
//! Closing the forward ends every libvirt call that hangs in it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::host::error::Cause;
use crate::ssh::{ByteStream, Session};

/// libvirt's sockets, the usual one first: `libvirtd` or `virtproxyd`, then a lone `virtqemud`.
pub(super) const SOCKETS: [&str; 2] = ["/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"];

/// The far end: a socket on this machine or on a host.
#[derive(Clone)]
pub(crate) enum FarEnd {
    Local,
    Ssh(Arc<Session>),
}

impl FarEnd {
    async fn open(&self, path: &str) -> Result<ByteStream, Cause> {
        match self {
            Self::Local => {
                let stream = UnixStream::connect(path)
                    .await
                    .map_err(|error| Cause::local(&format!("cannot open {path}"), &error))?;
                Ok(Box::new(stream))
            }
            Self::Ssh(session) => Ok(session.unix(path).await?),
        }
    }
}

/// A listening socket whose connections are copied to the far end.
pub(crate) struct Forward {
    path: PathBuf,
    cancel: CancellationToken,
    // The directory is removed with the forward.
    _directory: tempfile::TempDir,
}

impl Forward {
    /// Opens libvirt's socket at the far end and a local socket that is forwarded to it.
    pub(crate) async fn open(far: FarEnd, socket: Option<&Path>) -> Result<Self, Cause> {
        let named = socket.map(|path| path.to_string_lossy().into_owned());
        let candidates: Vec<String> = match named {
            Some(path) => vec![path],
            None => SOCKETS.map(str::to_owned).to_vec(),
        };
        let mut found = None;
        let mut first_error = None;
        for path in candidates {
            match far.open(&path).await {
                Ok(stream) => {
                    found = Some((path, stream));
                    break;
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let Some((far_path, stream)) = found else {
            return Err(first_error.unwrap_or(Cause::Closed));
        };
        let directory = tempfile::Builder::new()
            .prefix("vcluster-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|error| Cause::local("cannot create a temporary directory", &error))?;
        let path = directory.path().join("libvirt");
        let listener =
            UnixListener::bind(&path).map_err(|error| Cause::local("cannot bind a socket", &error))?;
        let cancel = CancellationToken::new();
        // The stream that tested the socket serves the first connection.
        let first = Arc::new(Mutex::new(Some(stream)));
        let accepting = cancel.clone();
        tokio::spawn(async move {
            loop {
                let near = tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((near, _)) => near,
                        Err(_) => break,
                    },
                    () = accepting.cancelled() => break,
                };
                let (far, path, first, cancel) =
                    (far.clone(), far_path.clone(), first.clone(), accepting.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(near, &far, &path, &first) => {}
                        () = cancel.cancelled() => {}
                    }
                });
            }
        });
        Ok(Self {
            path,
            cancel,
            _directory: directory,
        })
    }

    /// The URI with which libvirt's client library opens it.
    pub(crate) fn uri(&self) -> String {
        use std::fmt::Write as _;
        let mut uri = "qemu+unix:///system?socket=".to_owned();
        for byte in self.path.as_os_str().as_encoded_bytes() {
            if byte.is_ascii_alphanumeric() || b"/-._".contains(byte) {
                uri.push(char::from(*byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(uri, "%{byte:02x}");
            }
        }
        uri
    }

    /// Ends all connections: waiting calls fail at once.
    pub(crate) fn close(&self) {
        self.cancel.cancel();
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.close();
    }
}

async fn carry(mut near: UnixStream, far: &FarEnd, path: &str, first: &Mutex<Option<ByteStream>>) {
    let ready = first.lock().ok().and_then(|mut stream| stream.take());
    let mut stream = match ready {
        Some(stream) => stream,
        None => match far.open(path).await {
            Ok(stream) => stream,
            Err(error) => {
                // libvirt reports the end of its connection to the caller.
                tracing::debug!("cannot open {path}: {error}");
                return;
            }
        },
    };
    if let Err(error) = tokio::io::copy_bidirectional(&mut near, &mut stream).await {
        tracing::debug!("the connection to {path} ended: {error}");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_go_both_ways_and_closing_ends_a_waiting_reader() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("far");
        let server = UnixListener::bind(&path).unwrap();
        let echo = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            stream.write_all(&word).await.unwrap();
            std::future::pending::<()>().await;
        });
        let forward = Forward::open(FarEnd::Local, Some(&path)).await.unwrap();
        let mut near = UnixStream::connect(&forward.path).await.unwrap();
        near.write_all(b"ping").await.unwrap();
        let mut word = [0; 4];
        near.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        forward.close();
        assert_eq!(near.read(&mut word).await.unwrap_or(0), 0);
        echo.abort();
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_named() {
        let error = Forward::open(FarEnd::Local, Some(Path::new("/nonexistent/sock")))
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains("/nonexistent/sock"), "{error}");
    }
}
