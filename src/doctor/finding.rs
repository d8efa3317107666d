//! A finding of a check: how bad it is, where, why it matters, how to fix it.

use serde::Serialize;

use crate::base::name::HostName;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// For information; nothing to do.
    Info,
    /// `up` works, but worse than it could, or measurements are less reliable.
    Warning,
    /// `up` or nodes will fail.
    Error,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "subject", content = "host", rename_all = "lowercase")]
pub enum Subject {
    /// The topology as a whole.
    Topology,
    /// The machine that vcluster runs on.
    Controller,
    /// A host.
    Host(HostName),
}

/// How to fix it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Remedy {
    /// A command for root on the host, or on the controller if the finding is about it.
    There {
        /// The command, for `sh`.
        command: String,
        /// Whether `--fix` may run it: it only adds or raises something, and takes nothing away from others.
        safe: bool,
    },
    /// A command for the user on the controller.
    Here {
        /// The command.
        command: String,
    },
    /// A change by hand, such as in the topology or in the firmware.
    Advice {
        /// What.
        text: String,
    },
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which check: a short name, the same in every release.
    pub check: &'static str,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// What was found; a fragment without the host's name, so that equal findings fold.
    pub what: String,
    /// Why it matters for this topology; empty if nothing is wrong.
    pub why: String,
    /// How to fix it. Its name in JSON is older.
    #[serde(rename = "mend")]
    pub remedy: Option<Remedy>,
}

impl Finding {
    /// A finding about the topology.
    pub(super) fn topology(severity: Severity, check: &'static str, what: impl Into<String>) -> Self {
        Self::new(severity, check, Subject::Topology, what)
    }

    /// A finding about the controller.
    pub(super) fn controller(severity: Severity, check: &'static str, what: impl Into<String>) -> Self {
        Self::new(severity, check, Subject::Controller, what)
    }

    /// A finding about a host.
    pub(super) fn host(
        severity: Severity,
        check: &'static str,
        host: &HostName,
        what: impl Into<String>,
    ) -> Self {
        Self::new(severity, check, Subject::Host(host.clone()), what)
    }

    pub(super) fn new(
        severity: Severity,
        check: &'static str,
        subject: Subject,
        what: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            check,
            subject,
            what: what.into(),
            why: String::new(),
            remedy: None,
        }
    }

    /// Adds why it matters.
    #[must_use]
    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds a command that `--fix` may run.
    #[must_use]
    pub(super) fn fixed_by(mut self, command: impl Into<String>) -> Self {
        self.remedy = Some(Remedy::There {
            command: command.into(),
            safe: true,
        });
        self
    }

    /// Adds a command that is left to the owner of the host.
    #[must_use]
    pub(super) fn left_to_owner(mut self, command: impl Into<String>) -> Self {
        self.remedy = Some(Remedy::There {
            command: command.into(),
            safe: false,
        });
        self
    }

    /// Adds a command for the controller.
    #[must_use]
    pub(super) fn fixed_here(mut self, command: impl Into<String>) -> Self {
        self.remedy = Some(Remedy::Here {
            command: command.into(),
        });
        self
    }

    /// Adds a fix by hand.
    #[must_use]
    pub(super) fn advised(mut self, text: impl Into<String>) -> Self {
        self.remedy = Some(Remedy::Advice { text: text.into() });
        self
    }
}
