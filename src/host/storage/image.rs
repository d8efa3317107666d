//! Images on a host: uploaded once, verified there by digest, then renamed to their final name.
//! A file with a final name is complete; leftovers of a crash have names that are never read.

use std::fmt::Write as _;

use async_trait::async_trait;

use super::artifact::{HostDisk, HostImage, ImagePart};
use crate::host::connect::Host;
use crate::host::error::{Cause, HostError};
use crate::host::layout::{IMAGES_DIRECTORY, IMAGES_POOL, ROOT, sweep_script};
use crate::image::Role;

/// The images on a host.
#[async_trait]
pub trait Images: Send + Sync {
    /// Uploads the files of an image, each only once. `progress` gets the bytes done and the total.
    async fn ensure_image(
        &self,
        key: &str,
        cmdline: &str,
        parts: &[ImagePart],
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<HostImage, HostError>;
}

#[async_trait]
impl Images for Host {
    async fn ensure_image(
        &self,
        key: &str,
        cmdline: &str,
        parts: &[ImagePart],
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<HostImage, HostError> {
        let mut image = HostImage {
            key: key.to_owned(),
            kernel: None,
            initrd: None,
            cmdline: cmdline.to_owned(),
            disk: None,
        };
        let missing = self
            .missing(parts)
            .await
            .map_err(self.failed("look for images"))?;
        let total: u64 = missing.iter().map(|part| part.file.size).sum();
        let mut done = 0;
        for part in &missing {
            let doing = format!("upload `{}`", part.file.path.display());
            self.upload(part, &mut |bytes| progress(done + bytes, total))
                .await
                .map_err(self.failed(doing))?;
            done += part.file.size;
        }
        if !missing.is_empty() {
            self.refresh_images().await;
        }
        for part in parts {
            let (path, file) = (part.path_on_host(), &part.file);
            match file.role {
                Role::Kernel => image.kernel = Some(path),
                Role::Initrd => image.initrd = Some(path),
                Role::Disk => {
                    let unknown = || Cause::Other("the size of its disk is unknown".into());
                    let bytes = file
                        .virtual_size
                        .ok_or_else(unknown)
                        .map_err(self.failed(format!("read `{}`", file.path.display())))?;
                    image.disk = Some(HostDisk {
                        path,
                        format: file.format,
                        bytes,
                    });
                }
            }
        }
        Ok(image)
    }
}

impl Host {
    /// Makes libvirt list new files. vcluster does not need that, but its users may.
    async fn refresh_images(&self) {
        let refreshed = self
            .call(|connection| connection.lookup_storage_pool_by_name(IMAGES_POOL)?.refresh(0))
            .await;
        if let Err(cause) = refreshed {
            tracing::debug!("the pool {IMAGES_POOL} was not refreshed: {cause}");
        }
    }

    async fn missing(&self, parts: &[ImagePart]) -> Result<Vec<ImagePart>, Cause> {
        let mut script = format!(
            "{sweep}mkdir -p {IMAGES_DIRECTORY} && chmod 0711 {root} {IMAGES_DIRECTORY} && cd {IMAGES_DIRECTORY} || exit\n",
            sweep = sweep_script(),
            root = ROOT
        );
        for part in parts {
            part.check()?;
            // Writing to a string cannot fail.
            let _ = writeln!(script, "[ ! -f {0} ] || stat -c '%n %s' {0}", part.volume());
        }
        let output = self.script(&script).await?;
        let there = |part: &ImagePart| {
            output
                .lines()
                .any(|line| line == format!("{} {}", part.volume(), part.file.size))
        };
        Ok(parts.iter().filter(|part| !there(part)).cloned().collect())
    }
}
