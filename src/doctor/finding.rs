//! What a check has found: how bad, where, why it matters, what mends it.

use serde::Serialize;

use crate::name::HostName;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know; nothing has to be done.
    Info,
    /// `up` will work, but worse than it could, or what is measured will say less.
    Warning,
    /// `up` will fail, or nodes will.
    Error,
}

impl Severity {
    /// The word for it.
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

/// What mends it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Mend {
    /// A command for root on the host, or on the controller where the finding is about that.
    There {
        /// The command, for `sh`.
        command: String,
        /// Whether `--fix` may run it: it adds or raises, and takes nothing away from others.
        safe: bool,
    },
    /// A command of the user's on the controller.
    Here {
        /// The command.
        command: String,
    },
    /// Something that is done by hand: in the topology, in the firmware.
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
    /// Why it matters for this topology; empty where all is well.
    pub why: String,
    /// What mends it.
    pub mend: Option<Mend>,
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
            mend: None,
        }
    }

    /// With the reason why it matters.
    #[must_use]
    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// With a command that `--fix` may run.
    #[must_use]
    pub(super) fn fixed_by(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(Mend::There {
            command: command.into(),
            safe: true,
        });
        self
    }

    /// With a command that only its owner may run there.
    #[must_use]
    pub(super) fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(Mend::There {
            command: command.into(),
            safe: false,
        });
        self
    }

    /// With a command for the controller.
    #[must_use]
    pub(super) fn mended_here(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(Mend::Here {
            command: command.into(),
        });
        self
    }

    /// With what is done by hand.
    #[must_use]
    pub(super) fn advised(mut self, text: impl Into<String>) -> Self {
        self.mend = Some(Mend::Advice { text: text.into() });
        self
    }
}
