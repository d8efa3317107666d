//! `vcluster image`: builds images ahead of time and lists what is in the cache.

use std::path::PathBuf;

use super::common;
use super::talk::Talk;
use super::{Context, Format};
use crate::exit::ExitCode;
use crate::image::{self, BuildOptions};
use crate::name::ImageName;
use crate::report;
use crate::topology::{Image, ImageSource};

/// Build and list images
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Build images; does nothing for those that are built already
    Build {
        /// `micro`, `debian`, or images of the topology [default: all that its nodes use]
        #[arg(value_name = "NAME")]
        names: Vec<ImageName>,
        /// Topology that describes the images
        #[arg(short = 't', long, value_name = "FILE")]
        topology: Option<String>,
        /// Debian packages to add, where no topology says
        #[arg(short = 'p', long = "package", value_name = "PACKAGE")]
        packages: Vec<String>,
        /// Build again even if it is built
        #[arg(long)]
        rebuild: bool,
    },
    /// List the images in the cache
    List,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Build {
            names,
            topology,
            packages,
            rebuild,
        } => {
            let images = images(&names, topology.as_deref(), packages, context)?;
            build(images, rebuild, context).await
        }
        Verb::List => list(context),
    }
}

fn images(
    names: &[ImageName],
    topology: Option<&str>,
    packages: Vec<String>,
    context: &Context,
) -> anyhow::Result<Vec<Image>> {
    if let Some(file) = topology {
        let topology = common::load_topology(file, context)?;
        if names.is_empty() {
            return Ok(topology.images.into_values().collect());
        }
        return names
            .iter()
            .map(|name| match topology.images.get(name) {
                Some(image) => Ok(image.clone()),
                None => anyhow::bail!("{file} has no image `{name}`"),
            })
            .collect();
    }
    anyhow::ensure!(
        !names.is_empty(),
        "name an image to build (`micro`, `debian`), or give --topology"
    );
    names
        .iter()
        .map(|name| {
            let source = match name.as_str() {
                "micro" => ImageSource::Micro,
                "debian" => ImageSource::Debian,
                _ => anyhow::bail!(
                    "`{name}` is no built-in image (`micro`, `debian`): name its topology with --topology"
                ),
            };
            let mut packages = packages.clone();
            packages.sort();
            packages.dedup();
            Ok(Image {
                name: name.clone(),
                source,
                packages,
                sha256: None,
                user: None,
                at: None,
            })
        })
        .collect()
}

async fn build(images: Vec<Image>, rebuild: bool, context: &Context) -> anyhow::Result<ExitCode> {
    let talk = Talk::with(context, |options| options.summary = false);
    let mut built = Vec::new();
    let result = async {
        for image in &images {
            let options = BuildOptions {
                rebuild,
                cancel: context.cancel.clone(),
                ..BuildOptions::default()
            };
            let image = image::ensure_built(image, &options, &talk.events).await?;
            let size: u64 = image.files.iter().map(|file| file.size).sum();
            built.push((image.name.clone(), image.key.clone(), size));
        }
        Ok(None)
    }
    .await;
    talk.finish(result).await?;
    for (name, key, size) in built {
        report::data(&match context.format {
            Format::Json => format!(
                "{}\n",
                serde_json::json!({ "image": name, "key": key, "bytes": size })
            ),
            Format::Human => format!(
                "{name} {} {}\n",
                &key[..12.min(key.len())],
                bytesize::ByteSize::b(size).display().iec()
            ),
        });
    }
    Ok(ExitCode::Ok)
}

fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let images: Vec<(PathBuf, image::Manifest)> = image::Cache::from_env()?.list()?;
    if context.format == Format::Json {
        let rows: Vec<_> = images
            .iter()
            .map(|(path, manifest)| serde_json::json!({ "path": path, "manifest": manifest }))
            .collect();
        report::data(&report::json::harmless(format!(
            "{}\n",
            serde_json::to_string_pretty(&rows)?
        )));
        return Ok(ExitCode::Ok);
    }
    let mut table = report::table::new(&["NAME", "SIZE", "PATH"]);
    for (path, manifest) in images {
        let size: u64 = manifest.files.iter().map(|file| file.size).sum();
        table.add_row(vec![
            report::sanitize(&manifest.name).into_owned(),
            bytesize::ByteSize::b(size).display().iec().to_string(),
            path.display().to_string(),
        ]);
    }
    report::data(&report::table::render(
        &table,
        report::Terminal::detect().stdout_colour,
    ));
    Ok(ExitCode::Ok)
}
