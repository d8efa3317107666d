//! `vcluster image`: builds images ahead of time and lists the cache.

use std::path::PathBuf;

use super::Context;
use super::output::Output;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::ImageName;
use crate::base::suggest::suggest;
use crate::base::text::sanitize;
use crate::image::{self, BuildOptions};
use crate::report::{self, Format};
use crate::topology::{Image, ImageSource, Topology};

/// Build and list images
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Build images; does nothing for images that are already built
    Build {
        /// `micro`, `debian`, or images of the topology [default: all that its nodes use]
        #[arg(value_name = "NAME")]
        names: Vec<ImageName>,
        /// Topology file that defines the images
        #[arg(short = 't', long, value_name = "FILE")]
        topology: Option<String>,
        /// Debian packages to add if no topology is given
        #[arg(short = 'p', long = "package", value_name = "PACKAGE")]
        packages: Vec<String>,
        /// Build again even if already built
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
            let images = images(&names, topology.as_deref(), packages)?;
            build(images, rebuild, context).await
        }
        Verb::List => list(context),
    }
}

fn images(names: &[ImageName], topology: Option<&str>, packages: Vec<String>) -> anyhow::Result<Vec<Image>> {
    if let Some(file) = topology {
        let topology = Topology::load(file)?;
        if names.is_empty() {
            return Ok(topology.images.into_values().collect());
        }
        return names
            .iter()
            .map(|name| {
                let image = topology.images.get(name).cloned();
                image.ok_or_else(|| {
                    let known = topology.images.keys().map(ImageName::as_str);
                    let mut error = UserError::new(ExitCode::Usage, format!("{file} has no image `{name}`"));
                    error.hint = suggest(name.as_str(), known);
                    error.into()
                })
            })
            .collect();
    }
    if names.is_empty() {
        return Err(UserError::new(ExitCode::Usage, "no image given")
            .with_hint("pass `micro` or `debian`, or a topology with `--topology FILE`")
            .into());
    }
    names
        .iter()
        .map(|name| {
            let source = match name.as_str() {
                "micro" => ImageSource::Micro,
                "debian" => ImageSource::Debian,
                _ => {
                    let text = format!("`{name}` is not a built-in image (`micro`, `debian`)");
                    return Err(UserError::new(ExitCode::Usage, text)
                        .with_hint("pass its topology with `--topology FILE`")
                        .into());
                }
            };
            let mut packages = packages.clone();
            packages.sort();
            packages.dedup();
            Ok(Image {
                packages,
                ..Image::new(name.clone(), source)
            })
        })
        .collect()
}

async fn build(images: Vec<Image>, rebuild: bool, context: &Context) -> anyhow::Result<ExitCode> {
    let output = Output::with(context, |options| options.summary = false);
    let mut built = Vec::new();
    let result = async {
        for image in &images {
            let options = BuildOptions {
                rebuild,
                cancel: context.cancel.clone(),
                ..BuildOptions::default()
            };
            let image = image::ensure_built(image, &options, &output.events).await?;
            let size: u64 = image.files.iter().map(|file| file.size).sum();
            built.push((image.name.clone(), image.key.clone(), size));
        }
        Ok(None)
    }
    .await;
    output.finish(result).await?;
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
        let value = serde_json::json!({ "version": 1, "images": rows });
        report::data(&report::json::harmless(format!("{value:#}\n")));
        return Ok(ExitCode::Ok);
    }
    let mut table = report::table::new(&["NAME", "SIZE", "PATH"]);
    for (path, manifest) in images {
        let size: u64 = manifest.files.iter().map(|file| file.size).sum();
        table.add_row(vec![
            sanitize(&manifest.name).into_owned(),
            bytesize::ByteSize::b(size).display().iec().to_string(),
            path.display().to_string(),
        ]);
    }
    report::show(&report::table::render(&table));
    Ok(ExitCode::Ok)
}
