//! The input of a configuration run.

use tokio_util::sync::CancellationToken;

use super::fault::StepFault;
use crate::base::event::Events;
use crate::base::name::NodeName;
use crate::ssh::Nodes;
use crate::template::Shared;
use crate::topology::ConfigureStep;

/// Everything that running steps needs.
pub struct Configuration<'a> {
    /// Renders templates and commands.
    pub renderer: &'a Shared,
    /// Sessions of the nodes.
    pub nodes: &'a Nodes,
    /// Where events go.
    pub events: &'a Events,
    /// Set when the user interrupts.
    pub cancel: &'a CancellationToken,
    /// The user's limit on nodes at once, if any. Without it, the load of the nodes' machines limits them.
    pub fanout: Option<usize>,
    /// Distinguishes the steps of this command from those of another one.
    pub owner: &'a str,
    /// The most nodes that may fail while the others continue.
    pub may_lose: usize,
}

/// The result of a wave on one node: for each of its steps whether it changed anything, or the fault.
pub(super) type NodeResult = Result<Vec<(usize, bool)>, StepFault>;

impl Configuration<'_> {
    pub(super) fn render(
        &self,
        step: &ConfigureStep,
        text: &str,
        node: &NodeName,
    ) -> Result<String, StepFault> {
        self.renderer
            .render_text(text, &step.name, node)
            .map_err(|error| StepFault::Template {
                step: step.name.clone(),
                cause: error.to_string(),
            })
    }
}
