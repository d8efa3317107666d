//! Brings a file to a host: compressed once for all hosts, sent over the SSH connection, verified there by its
//! digest. A stream of libvirt's would copy every byte twice more on the controller, and send four times as many.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{OnceCell, mpsc};
use uuid::Uuid;

use super::connect::Host;
use super::error::Cause;
use super::image::ImagePart;
use super::pool::IMAGES_DIRECTORY;

/// Read and sent at once.
const PIECE: usize = 128 << 10;
/// Pieces on their way to the connection.
const PIECES: usize = 4;
/// Time for an upload: a floor, and a rate below which something is wrong.
const UPLOAD_FLOOR: Duration = Duration::from_mins(2);
const UPLOAD_BYTES_PER_SECOND: u64 = 2 << 20;
/// Where compressed files are for the time of a command: on a disk, unlike `/tmp`, and without a name, so that
/// nothing stays whatever happens.
const ROOM: &str = "/var/tmp";

/// A file in its compressed form, made when the first host asks for it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Packed(Arc<OnceCell<Arc<File>>>);

impl Packed {
    async fn of(&self, path: &Path) -> Result<Arc<File>, Cause> {
        let path = path.to_owned();
        let pack = || async move {
            let shown = path.display().to_string();
            let packed = tokio::task::spawn_blocking(move || pack(&path)).await;
            match packed {
                Ok(packed) => packed
                    .map(Arc::new)
                    .map_err(|error| Cause::local(&format!("cannot pack {shown}"), &error)),
                Err(_) => Err(Cause::Closed),
            }
        };
        self.0.get_or_try_init(pack).await.cloned()
    }
}

/// gzip, because it is on every host; the fastest level, because networks are faster than compressors.
fn pack(path: &Path) -> std::io::Result<File> {
    let mut file = File::open(path)?;
    let mut encoder = GzEncoder::new(tempfile::tempfile_in(ROOM)?, Compression::fast());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => encoder.write_all(&buffer[..count])?,
        }
    }
    let mut packed = encoder.finish()?;
    packed.rewind()?;
    Ok(packed)
}

/// Reads the file piece by piece until nobody takes them any more.
fn read(file: &File, pieces: &mpsc::Sender<Vec<u8>>, sent: &mpsc::UnboundedSender<u64>) {
    let mut at = 0;
    loop {
        let mut piece = vec![0; PIECE];
        // A file that cannot be read ends early, and the digest of what arrived is wrong.
        let count = file.read_at(&mut piece, at).unwrap_or(0);
        if count == 0 {
            break;
        }
        piece.truncate(count);
        at += count as u64;
        if pieces.blocking_send(piece).is_err() {
            break;
        }
        // Nobody waits for the progress of an upload that was given up.
        let _ = sent.send(at);
    }
}

impl Host {
    /// Sends a file; `progress` is told how many bytes of it are on their way.
    pub(super) async fn upload(
        &self,
        part: &ImagePart,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Cause> {
        let packed = part.packed.of(&part.path).await?;
        let length = packed
            .metadata()
            .map_err(|error| Cause::local("cannot read what was packed", &error))?
            .len()
            .max(1);
        // A name of its own for every attempt: two controllers may upload the same image at once.
        let temporary = format!("{}.{}.part", &part.sha256[..16], Uuid::new_v4().simple());
        let script = script(&temporary, &part.sha256, &part.volume());
        let deadline = UPLOAD_FLOOR + Duration::from_secs(part.size / UPLOAD_BYTES_PER_SECOND);
        let (pieces, incoming) = mpsc::channel(PIECES);
        let (sent, mut told) = mpsc::unbounded_channel();
        tokio::task::spawn_blocking(move || read(&packed, &pieces, &sent));
        let work = self.inner.link.pour(&script, incoming, deadline);
        tokio::pin!(work);
        loop {
            tokio::select! {
                Some(bytes) = told.recv() => progress(part.size * bytes / length),
                result = &mut work => {
                    result?;
                    progress(part.size);
                    return Ok(());
                }
            }
        }
    }
}

/// Only a file with the right digest ever gets the final name, and what did not become one is removed, also
/// when the connection ends in the middle.
fn script(temporary: &str, sha256: &str, name: &str) -> String {
    format!(
        r#"cd {IMAGES_DIRECTORY} || exit
command -v flock >/dev/null || {{ echo "vcluster-missing: flock" >&2; exit 9; }}
# Who sweeps knows by the lock that this one is still coming in.
exec 9>{temporary} && flock -n 9 && [ -e {temporary} ] || {{ echo "{temporary} went away" >&2; exit 1; }}
trap 'rm -f {temporary}' EXIT
trap 'exit 1' HUP INT TERM PIPE
# On disk before it gets the name that says it is whole.
gzip -dc | dd of={temporary} bs=128k iflag=fullblock conv=sparse,fsync status=none || exit
s=$(sha256sum {temporary}) && [ "${{s%% *}}" = {sha256} ] && chmod 0444 {temporary} && mv -f {temporary} {name} && exit
echo "the digest of what arrived is ${{s%% *}} and not {sha256}" >&2; exit 1
"#
    )
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn receive(directory: &Path, packed: &File, length: u64, sha256: &str) -> std::process::Output {
        let script =
            script("x.part", sha256, "x.disk").replace(IMAGES_DIRECTORY, directory.to_str().unwrap());
        let mut bytes = vec![0; length as usize];
        packed.read_exact_at(&mut bytes, 0).unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        child.wait_with_output().unwrap()
    }

    #[test]
    fn a_file_arrives_whole_with_its_holes_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("source");
        let mut bytes = vec![0_u8; 3 << 20];
        bytes[1 << 20] = 7;
        std::fs::write(&path, &bytes).unwrap();
        let packed = pack(&path).unwrap();
        let length = packed.metadata().unwrap().len();
        assert!(length < 64 << 10, "{length}");
        let sha256: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();

        // Cut short, as by a connection that ended.
        let output = receive(directory.path(), &packed, length / 2, &sha256);
        assert!(!output.status.success());
        let wrong = receive(directory.path(), &packed, length, &"0".repeat(64));
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("the digest of what arrived"));
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");

        let output = receive(directory.path(), &packed, length, &sha256);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::read(directory.path().join("x.disk")).unwrap(), bytes);
        assert!(!directory.path().join("x.part").exists());
    }
}
