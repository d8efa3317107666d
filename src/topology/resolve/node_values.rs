//! Values per node: image, CPUs, memory, disks and variables, which may differ between the nodes of a group.

use handlebars::Context;
use serde_json::{Map, Value, json};

use super::Scope;
use super::images::Images;
use super::values::{self, Span};
use crate::base::name::{ImageName, NetworkName, NodeName};
use crate::base::units::MiB;
use crate::template::is_template;
use crate::topology::limits::{MAX_DISKS, MAX_VCPUS, MIN_MEMORY_MIB};
use crate::topology::model::{Group, ImageSource, Node};
use crate::topology::raw::{RawDefaults, RawDisk, RawGroup};
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// Default memory of a node with the micro image: the minimum of Debian's cloud kernel.
const MICRO_MEMORY: MiB = MiB(96);
/// Default memory of any other node.
const MEMORY: MiB = MiB(512);

/// The group's own field, else that of the defaults.
pub(super) fn pick<'a, T>(own: Option<&'a At<T>>, default: Option<&'a At<T>>) -> Option<&'a T> {
    own.or(default).and_then(At::get)
}

/// Makes the nodes of one group.
pub(super) struct NodeValues<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) raw: &'a RawGroup,
    pub(super) defaults: &'a RawDefaults,
    pub(super) images: &'a Images,
    /// The networks of its nodes besides `cluster`.
    pub(super) networks: &'a [NetworkName],
    pub(super) group: &'a Group,
    pub(super) group_index: usize,
    pub(super) vars: &'a Map<String, Value>,
}

/// The values of a node of the group.
#[derive(Clone)]
struct Values {
    image: ImageName,
    vcpus: u32,
    memory: MiB,
    disk: Option<MiB>,
    disks: Vec<MiB>,
    vars: Map<String, Value>,
}

impl NodeValues<'_> {
    /// Adds the nodes of the group; whether all could be read.
    pub(super) fn nodes(&self, nodes: &mut Vec<Node>) -> bool {
        let varies = self.varies();
        let mut last: Option<Values> = None;
        let mut good = true;
        for (index, name) in self.group.nodes.iter().enumerate() {
            // A group without templates is resolved once; only the first mistake of a group is reported.
            let values = match last.take() {
                Some(values) if !varies || !good => values,
                _ => {
                    let Some(values) = self.values(name, index, &mut good) else {
                        return false;
                    };
                    values
                }
            };
            nodes.push(Node {
                name: name.clone(),
                group: self.group.name.clone(),
                index: index as u32,
                image: values.image.clone(),
                vcpus: values.vcpus,
                memory: values.memory,
                disk: values.disk,
                disks: values.disks.clone(),
                networks: self.networks.to_vec(),
                vars: values.vars.clone(),
            });
            last = Some(values);
        }
        true
    }

    fn varies(&self) -> bool {
        let text = |text: Option<&String>| text.is_some_and(|text| is_template(text));
        let (raw, defaults) = (self.raw, self.defaults);
        text(pick(raw.image.as_ref(), defaults.image.as_ref()).map(|text| &text.0))
            || text(pick(raw.vcpus.as_ref(), defaults.vcpus.as_ref()).map(|text| &text.0))
            || text(pick(raw.memory.as_ref(), defaults.memory.as_ref()).map(|text| &text.0))
            || text(pick(raw.disk.as_ref(), defaults.disk.as_ref()).map(|text| &text.0))
            || pick(raw.disks.as_ref(), defaults.disks.as_ref())
                .into_iter()
                .flatten()
                .filter_map(|disk| disk.get()?.size.as_ref()?.get())
                .any(|size| is_template(&size.0))
            || self.group.vars.values().any(values::uses_templates)
    }

    /// The values of one node. Wrong ones are replaced, so that the templates of steps can still be
    /// checked; `None` if its variables are wrong, because templates depend on them.
    fn values(&self, name: &NodeName, index: usize, good: &mut bool) -> Option<Values> {
        let (scope, raw, defaults) = (self.scope, self.raw, self.defaults);
        let mut vars = self.vars.clone();
        if let Some(at) = &raw.vars {
            let own = values::rendered_vars(
                scope,
                &at.span,
                &at.get()?.0,
                "vars",
                &self.context(name, index, &vars),
            )?;
            vars.extend(own);
        }
        let context = self.context(name, index, &vars);
        let text = |at: &At<String>, what: &str| values::rendered(scope, &at.span, at.get()?, what, &context);
        let image = match raw.image.as_ref().or(defaults.image.as_ref()).map(flat) {
            Some(at) => text(&at, "image").and_then(|image| self.image(&at.span, &image)),
            None => "micro".parse().ok(),
        };
        let vcpus = match raw.vcpus.as_ref().or(defaults.vcpus.as_ref()).map(flat) {
            Some(at) => {
                text(&at, "vcpus").and_then(|text| values::number(scope, &at.span, &text, "vcpus", MAX_VCPUS))
            }
            None => Some(1),
        };
        let memory = match raw.memory.as_ref().or(defaults.memory.as_ref()).map(flat) {
            Some(at) => text(&at, "memory")
                .and_then(|text| values::size(scope, &at.span, &text, "memory", MIN_MEMORY_MIB)),
            None => Some(
                match image.as_ref().and_then(|image| self.images.get(image.as_str())) {
                    Some(image) if image.source == ImageSource::Micro => MICRO_MEMORY,
                    _ => MEMORY,
                },
            ),
        };
        let disk = match raw.disk.as_ref().or(defaults.disk.as_ref()).map(flat) {
            Some(at) => text(&at, "disk")
                .and_then(|text| values::size(scope, &at.span, &text, "disk", 1))
                .map(Some),
            None => Some(None),
        };
        let disks = self.disks(&context);
        *good = image.is_some() && vcpus.is_some() && memory.is_some() && disk.is_some() && disks.is_some();
        Some(Values {
            image: image.or_else(|| "micro".parse().ok())?,
            vcpus: vcpus.unwrap_or(1),
            memory: memory.unwrap_or(MEMORY),
            disk: disk.flatten(),
            disks: disks.unwrap_or_default(),
            vars,
        })
    }

    /// The sizes of the further disks; `None` if one is wrong.
    fn disks(&self, context: &Context) -> Option<Vec<MiB>> {
        let Some(at) = self.raw.disks.as_ref().or(self.defaults.disks.as_ref()) else {
            return Some(Vec::new());
        };
        let list = at.get()?;
        if list.len() > MAX_DISKS {
            self.scope.sink.error_hint(
                &at.span,
                format!(
                    "a node has {} further disks; at most {MAX_DISKS} are allowed",
                    list.len()
                ),
                "use fewer and larger disks".to_owned(),
            );
            return None;
        }
        // All are read before the first mistake counts.
        let sizes: Vec<Option<MiB>> = list.iter().map(|disk| self.further_disk(disk, context)).collect();
        sizes.into_iter().collect()
    }

    fn further_disk(&self, disk: &At<RawDisk>, context: &Context) -> Option<MiB> {
        let Some(size) = &disk.get()?.size else {
            self.scope.sink.error_hint(
                &disk.span,
                "the disk has no `size`",
                "write its size, such as `{ size: 10GiB }`".to_owned(),
            );
            return None;
        };
        let text = values::rendered(self.scope, &size.span, &size.get()?.0, "size", context)?;
        values::size(self.scope, &size.span, &text, "size", 1)
    }

    fn image(&self, span: &Span, text: &str) -> Option<ImageName> {
        if !self.images.is_defined(text) {
            let hint = if text.contains('/') {
                let file = shorten(text);
                Some(format!(
                    "give it a name, `images: {{ NAME: {{ from: {file} }} }}`, and use that here"
                ))
            } else {
                self.images.suggest(text)
            };
            self.scope
                .sink
                .error_hint(span, format!("unknown image `{}`", shorten(text)), hint);
            return None;
        }
        text.parse().ok()
    }

    fn context(&self, name: &NodeName, index: usize, vars: &Map<String, Value>) -> Context {
        let group =
            json!({ "name": self.group.name, "index": self.group_index, "count": self.group.nodes.len() });
        Context::from(json!({
            "name": name,
            "index": index,
            "node": { "name": name, "index": index, "group": self.group.name },
            "group": group,
            "vars": vars,
        }))
    }
}

/// A text type as its text.
fn flat<T: AsText>(at: &At<T>) -> At<String> {
    At {
        value: at.get().map(|text| text.text().to_owned()),
        span: at.span.clone(),
    }
}

trait AsText {
    fn text(&self) -> &str;
}

macro_rules! as_text {
    ($($type:ident),*) => {
        $(impl AsText for crate::topology::raw::$type {
            fn text(&self) -> &str {
                &self.0
            }
        })*
    };
}

as_text!(Template, Number, Size);
