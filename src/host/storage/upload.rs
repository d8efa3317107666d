//! Uploads a file to a host: compressed once for all hosts, sent over the SSH connection, verified there by digest. A
//! libvirt stream would copy every byte twice more on the controller, and send four times as many. For this machine as a
//! host the file is copied.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::artifact::ImagePart;
use crate::base::shell::with_variables;
use crate::host::connect::Host;
use crate::host::error::Cause;
use crate::host::layout::{IMAGES_DIRECTORY, upload_file};

/// Bytes per piece.
const PIECE: usize = 128 << 10;
/// Pieces that wait for the connection.
const PIECES: usize = 4;
/// Time for an upload: a minimum, and a rate below which something is wrong.
const UPLOAD_FLOOR: Duration = Duration::from_mins(2);
const UPLOAD_BYTES_PER_SECOND: u64 = 2 << 20;
/// Reads the file piece by piece until the receiver is dropped.
fn read(file: &File, pieces: &mpsc::Sender<Vec<u8>>, sent: &mpsc::UnboundedSender<u64>) {
    let mut at = 0;
    loop {
        let mut piece = vec![0; PIECE];
        // If the file cannot be read, the stream ends early and the digest check fails.
        let count = file.read_at(&mut piece, at).unwrap_or(0);
        if count == 0 {
            break;
        }
        piece.truncate(count);
        at += count as u64;
        if pieces.blocking_send(piece).is_err() {
            break;
        }
        // The receiver is gone if the upload was cancelled.
        let _ = sent.send(at);
    }
}

impl Host {
    /// Sends a file; `progress` gets the number of bytes sent.
    pub(crate) async fn upload(
        &self,
        part: &ImagePart,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Cause> {
        if self.inner.link.session().is_none() {
            match self.copy(part).await {
                Ok(()) => {
                    progress(part.file.size);
                    return Ok(());
                }
                // The other way needs neither root's access to the file nor GNU's commands.
                Err(cause) => tracing::debug!("{} was not copied: {cause}", part.file.path.display()),
            }
        }
        let packed = part.packed.of(&part.file.path).await?;
        let length = packed
            .metadata()
            .map_err(|error| Cause::local("cannot read the compressed file", &error))?
            .len()
            .max(1);
        // A unique name for every attempt: two controllers may upload the same image at once.
        let (sha256, size) = (&part.file.sha256, part.file.size);
        let temporary = upload_file(sha256, Uuid::new_v4());
        let script = script(&temporary, sha256, &part.volume());
        let deadline = deadline(size);
        let (pieces, incoming) = mpsc::channel(PIECES);
        let (sent, mut counts) = mpsc::unbounded_channel();
        tokio::task::spawn_blocking(move || read(&packed, &pieces, &sent));
        let work = self.inner.link.script_with_pieces(&script, incoming, deadline);
        tokio::pin!(work);
        loop {
            tokio::select! {
                Some(bytes) = counts.recv() => progress(size * bytes / length),
                result = &mut work => {
                    result?;
                    progress(size);
                    return Ok(());
                }
            }
        }
    }
}

impl Host {
    /// Copies a file of this machine to its place on this machine, as it is. Its digest is known already.
    async fn copy(&self, part: &ImagePart) -> Result<(), Cause> {
        let temporary = upload_file(&part.file.sha256, Uuid::new_v4());
        let script = copy_script(part, &temporary)?;
        self.inner.link.script(&script, deadline(part.file.size)).await?;
        Ok(())
    }
}

/// The longest time for an upload of this many bytes.
fn deadline(size: u64) -> Duration {
    UPLOAD_FLOOR + Duration::from_secs(size / UPLOAD_BYTES_PER_SECOND)
}

/// Only a file that has not changed since its digest was computed gets the final name.
fn copy_script(part: &ImagePart, temporary: &str) -> Result<String, Cause> {
    let unusable = || Cause::Other("its path is not absolute, or not UTF-8".into());
    let name = part.volume();
    let source = part.file.path.to_str().filter(|path| path.starts_with('/'));
    let variables = [
        ("images", IMAGES_DIRECTORY),
        ("temporary", temporary),
        ("source", source.ok_or_else(unusable)?),
        ("stamp", part.file.stamp.as_str()),
        ("name", name.as_str()),
    ];
    Ok(with_variables(&variables, include_str!("copy.sh")))
}

/// Only a file with the right digest gets the final name; anything else is removed, also if the connection
/// ends in the middle.
fn script(temporary: &str, sha256: &str, name: &str) -> String {
    let variables = [
        ("images", IMAGES_DIRECTORY),
        ("temporary", temporary),
        ("sha256", sha256),
        ("name", name),
    ];
    with_variables(&variables, include_str!("upload.sh"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::*;
    use crate::host::storage::artifact::pack;

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
    fn a_file_of_this_machine_is_copied_as_it_is_unless_it_has_changed() {
        use crate::image::{Format, ImageFile, Role, Stamp};
        let directory = tempfile::tempdir().unwrap();
        let (images, path) = (directory.path().join("images"), directory.path().join("it's"));
        std::fs::create_dir(&images).unwrap();
        std::fs::write(&path, vec![7; 3 << 20]).unwrap();
        let part = ImagePart::of(&ImageFile {
            role: Role::Disk,
            sha256: "0".repeat(64),
            size: 3 << 20,
            format: Format::Raw,
            stamp: Stamp::of(&std::fs::metadata(&path).unwrap()),
            virtual_size: Some(3 << 20),
            firmware: crate::inventory::Firmware::Bios,
            path: path.clone(),
        });
        let copy = || {
            let script = copy_script(&part, "x.part").unwrap();
            let script = script.replace(IMAGES_DIRECTORY, images.to_str().unwrap());
            let output = std::process::Command::new("sh").args(["-c", &script]).output();
            let left = std::fs::read_dir(&images).unwrap();
            let left: Vec<String> = left
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            (output.unwrap(), left)
        };
        let (output, left) = copy();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(left, [part.volume()]);
        let there = images.join(part.volume());
        assert_eq!(std::fs::read(&there).unwrap(), vec![7; 3 << 20]);
        std::fs::remove_file(there).unwrap();
        std::fs::write(&path, vec![8; 3 << 20]).unwrap();
        let (output, left) = copy();
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("has changed"),
            "{output:?}"
        );
        assert_eq!(left, Vec::<String>::new());
    }

    #[test]
    fn a_file_arrives_complete_with_its_holes_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("source");
        let mut bytes = vec![0_u8; 3 << 20];
        bytes[1 << 20] = 7;
        std::fs::write(&path, &bytes).unwrap();
        let packed = pack(&path).unwrap();
        let length = packed.metadata().unwrap().len();
        assert!(length < 64 << 10, "{length}");
        let sha256 = crate::base::digest::sha256(&bytes);

        // Truncated, as by a lost connection.
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
