//! Images: built-in ones, those based on them, files; chains of `from` and their cycles.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use indexmap::IndexMap;

use super::Scope;
use super::user_data;
use super::values::{self, Span};
use crate::base::name::ImageName;
use crate::base::suggest::suggest;
use crate::topology::model::{BootFirmware, CloudInitPolicy, Image, ImageSource, Node};
use crate::topology::raw::{RawImage, UserData};
use crate::topology::reader::{At, Entries};
use crate::topology::tree::shorten;

/// Names that need no entry.
const BUILT_IN: [&str; 2] = ["micro", "debian"];

/// The images of a topology.
pub(super) struct Images {
    resolved: IndexMap<ImageName, Image>,
    /// Names of all images, valid or not, so that a mistake in one is reported once.
    named: BTreeSet<String>,
}

impl Images {
    /// Whether an image with that name is defined or built in.
    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.named.contains(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Image> {
        self.resolved.get(name)
    }

    pub(super) fn suggest(&self, name: &str) -> Option<String> {
        suggest(name, self.named.iter().map(String::as_str))
    }

    /// Those that nodes use, in the order of their first use.
    pub(super) fn used(&self, nodes: &[Node]) -> IndexMap<ImageName, Image> {
        let mut used = IndexMap::new();
        for node in nodes {
            if !used.contains_key(&node.image)
                && let Some(image) = self.resolved.get(&node.image)
            {
                used.insert(node.image.clone(), image.clone());
            }
        }
        used
    }
}

pub(super) fn resolve(scope: &Scope<'_>, raw: Option<&At<Entries<RawImage>>>) -> Images {
    let empty = Vec::new();
    let entries = raw.and_then(At::get).map_or(&empty, |entries| &entries.0);
    let mut images = Images {
        resolved: IndexMap::new(),
        named: BTreeSet::new(),
    };
    for (name, source) in BUILT_IN.iter().zip([ImageSource::Micro, ImageSource::Debian]) {
        images.named.insert((*name).to_owned());
        if let Ok(name) = name.parse::<ImageName>() {
            images.resolved.insert(name.clone(), Image::new(name, source));
        }
    }
    let written: IndexMap<&str, &RawImage> = entries
        .iter()
        .filter_map(|(key, raw)| Some((key.get()?.as_str(), raw.get()?)))
        .collect();
    for (key, raw) in entries {
        let Some(text) = key.get() else { continue };
        images.named.insert(text.clone());
        if BUILT_IN.contains(&text.as_str()) {
            scope.sink.error_hint(
                &key.span,
                format!("`{text}` is built in and cannot be redefined"),
                format!("give it another name, with `from: {text}`"),
            );
            continue;
        }
        let Some(name) = values::name::<ImageName>(scope, &key.span, text) else {
            continue;
        };
        if let Some(raw) = raw.get()
            && let Some(image) = image(scope, name.clone(), &key.span, raw, &written)
        {
            images.resolved.insert(name, image);
        }
    }
    images
}

/// The end of an image's chain of `from`, and what the image inherits on the way.
struct Origin<'a> {
    source: ImageSource,
    packages: BTreeSet<String>,
    sha256: Option<String>,
    user: Option<String>,
    firmware: Option<BootFirmware>,
    cloud_init: Option<CloudInitPolicy>,
    user_data: Option<&'a At<UserData>>,
}

/// One image, its chain of `from` followed to the end.
fn image(
    scope: &Scope<'_>,
    name: ImageName,
    span: &Span,
    raw: &RawImage,
    written: &IndexMap<&str, &RawImage>,
) -> Option<Image> {
    let packages = own_packages(scope, raw);
    let sha256 = optional(raw.sha256.as_ref(), |at, text| digest(scope, &at.span, text));
    let user = optional(raw.user.as_ref(), |at, text| login(scope, &at.span, text));
    let origin = origin(scope, &name, span, raw, written)?;
    let user_data = user_data::read(scope, raw.user_data.as_ref().or(origin.user_data));
    let (packages, sha256, user, user_data) = (packages?, sha256.ok()?, user.ok()?, user_data.ok()?);
    let packages: BTreeSet<String> = packages.into_iter().chain(origin.packages).collect();
    let is_file = matches!(origin.source, ImageSource::File(_));
    if is_file && !packages.is_empty() {
        let span = raw.packages.as_ref().map_or(span, |packages| &packages.span);
        scope.sink.error_hint(
            span,
            "packages can be added to built-in images only",
            "install them in the file, or with a `configure` step".to_owned(),
        );
        return None;
    }
    if !is_file && let Some(sha256) = &raw.sha256 {
        scope.sink.error_hint(
            &sha256.span,
            "`sha256` is for image files only",
            "remove it: a built-in image is built locally and has no digest to compare with".to_owned(),
        );
        return None;
    }
    if !is_file && let Some(firmware) = &raw.firmware {
        scope.sink.error_hint(
            &firmware.span,
            "`firmware` is for image files only",
            "remove it: QEMU loads the kernel of a built-in image itself".to_owned(),
        );
        return None;
    }
    if origin.source == ImageSource::Micro
        && let Some(span) = raw
            .cloud_init
            .as_ref()
            .map(|at| &at.span)
            .or(raw.user_data.as_ref().map(|at| &at.span))
    {
        user_data::no_cloud_init(scope, span);
        return None;
    }
    let user = user.or(origin.user);
    if origin.source == ImageSource::Micro && user.as_ref().is_some_and(|user| user != "root") {
        let span = raw.user.as_ref().map_or(span, |user| &user.span);
        scope.sink.error_hint(
            span,
            "the micro image has no other login user than `root`",
            "remove `user`, or use an image with cloud-init, such as `debian`".to_owned(),
        );
        return None;
    }
    let own = |of: Option<&At<BootFirmware>>| of.and_then(At::get).copied();
    let policy = raw.cloud_init.as_ref().and_then(At::get).copied();
    Some(Image {
        packages: packages.into_iter().collect(),
        sha256: sha256.or(origin.sha256.map(|digest| digest.to_ascii_lowercase())),
        user,
        firmware: own(raw.firmware.as_ref()).or(origin.firmware).unwrap_or_default(),
        cloud_init: policy.or(origin.cloud_init).unwrap_or_default(),
        user_data,
        at: Some(scope.sink.locate(span.start)),
        ..Image::new(name, origin.source)
    })
}

/// An optional field; an error if it is wrong, which is then recorded.
fn optional(
    raw: Option<&At<String>>,
    read: impl Fn(&At<String>, &str) -> Option<String>,
) -> Result<Option<String>, ()> {
    raw.map(|at| at.get().and_then(|text| read(at, text)).ok_or(()))
        .transpose()
}

/// Follows `from` to a built-in image or a file.
fn origin<'a>(
    scope: &Scope<'_>,
    name: &ImageName,
    span: &Span,
    raw: &'a RawImage,
    written: &IndexMap<&str, &'a RawImage>,
) -> Option<Origin<'a>> {
    let Some(from) = &raw.from else {
        scope.sink.error_hint(
            span,
            format!("the image `{name}` has no `from`"),
            "add `from: micro`, `from: debian` or `from: ./file.qcow2`".to_owned(),
        );
        return None;
    };
    let mut found = Origin {
        source: ImageSource::Micro,
        packages: BTreeSet::new(),
        sha256: None,
        user: None,
        firmware: None,
        cloud_init: None,
        user_data: None,
    };
    let mut visited = HashSet::from([name.as_str().to_owned()]);
    let mut at = from;
    found.source = loop {
        let text = at.get()?;
        if visited.contains(text) {
            scope.sink.error_hint(
                &from.span,
                format!(
                    "the image `{name}` is based on itself through `from: {}`",
                    shorten(text)
                ),
                "end the chain of `from` with `micro`, `debian` or a file".to_owned(),
            );
            return None;
        }
        match text.as_str() {
            "micro" => break ImageSource::Micro,
            "debian" => break ImageSource::Debian,
            path if path.contains('/') => break ImageSource::File(file(scope, &at.span, path)?),
            other => {
                let Some(next) = written.get(other) else {
                    let known: Vec<&str> = BUILT_IN.iter().copied().chain(written.keys().copied()).collect();
                    let hint = suggest(other, known)
                        .map(|hint| format!("{hint} (the path of a file needs a `/`: ./{})", shorten(other)));
                    scope
                        .sink
                        .error_hint(&at.span, format!("unknown image `{}`", shorten(other)), hint);
                    return None;
                };
                visited.insert(other.to_owned());
                let inherit = |field: &Option<At<String>>| field.as_ref().and_then(At::get).cloned();
                found.user = found.user.or_else(|| inherit(&next.user));
                found.sha256 = found.sha256.or_else(|| inherit(&next.sha256));
                let firmware = next.firmware.as_ref().and_then(At::get);
                found.firmware = found.firmware.or(firmware.copied());
                let policy = next.cloud_init.as_ref().and_then(At::get);
                found.cloud_init = found.cloud_init.or(policy.copied());
                found.user_data = found.user_data.or(next.user_data.as_ref());
                let packages = next.packages.as_ref().and_then(At::get);
                found
                    .packages
                    .extend(packages.into_iter().flatten().filter_map(At::get).cloned());
                at = next.from.as_ref()?;
            }
        }
    };
    Some(found)
}

/// Package names according to the Debian policy (section 5.6.7).
fn own_packages(scope: &Scope<'_>, raw: &RawImage) -> Option<Vec<String>> {
    let Some(packages) = &raw.packages else {
        return Some(Vec::new());
    };
    packages
        .get()?
        .iter()
        .map(|package| {
            let name = package.get()?;
            let good = (2..=100).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
            if !good {
                scope.sink.error_hint(
                    &package.span,
                    format!("`{}` is not the name of a Debian package", shorten(name)),
                    "use lower-case letters, digits, `+`, `-` and `.`, without a version".to_owned(),
                );
            }
            good.then(|| name.clone())
        })
        .collect()
}

fn digest(scope: &Scope<'_>, span: &Span, text: &str) -> Option<String> {
    let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !good {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a SHA-256", shorten(text)),
            "write 64 hex digits, as sha256sum prints them".to_owned(),
        );
    }
    good.then(|| text.to_ascii_lowercase())
}

fn login(scope: &Scope<'_>, span: &Span, text: &str) -> Option<String> {
    let good = super::files::is_login(text);
    if !good {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a valid user name", shorten(text)),
            "use up to 32 lower-case letters, digits, `_` and `-`, beginning with a letter or `_`".to_owned(),
        );
    }
    good.then(|| text.to_owned())
}

/// An image file may be anywhere, but must exist.
fn file(scope: &Scope<'_>, span: &Span, text: &str) -> Option<PathBuf> {
    let path = match text.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => scope.base_dir.join(text),
    };
    match path.canonicalize() {
        Ok(path) if path.is_file() => Some(path),
        Ok(_) => {
            scope.sink.error_hint(
                span,
                format!("the image `{}` is not a file", shorten(text)),
                "name a qcow2 or raw file".to_owned(),
            );
            None
        }
        Err(_) if text.contains("://") => {
            scope.sink.error_hint(
                span,
                format!("the image `{}` is a URL", shorten(text)),
                "download it, and name the file; `sha256` checks that it is the right one".to_owned(),
            );
            None
        }
        Err(error) => {
            scope.sink.error_hint(
                span,
                format!("the image `{}` cannot be read: {error}", shorten(text)),
                "relative paths are relative to the directory of the topology".to_owned(),
            );
            None
        }
    }
}
