//! Limits of what is taken from one source of a metric, of one step on one node. What exceeds them is counted.

/// Samples.
pub(super) const SAMPLES: usize = 10_000;

/// Different names of metrics.
pub(super) const NAMES: usize = 1_000;

/// Labels of a sample.
pub(super) const LABELS: usize = 64;

/// Bytes of the name of a label.
pub(super) const LABEL_NAME: usize = 200;

/// Bytes of the value of a label.
pub(super) const LABEL_VALUE: usize = 1 << 10;

/// Bytes of the labels of all samples: with the largest labels, the samples alone would fill the memory.
pub(super) const LABEL_BYTES: usize = 8 << 20;

/// Bytes of a line, without its end.
pub(super) const LINE: usize = 64 << 10;

/// Bytes of a JSON document.
pub(super) const DOCUMENT: u64 = 64 << 20;

/// Files that match a pattern, as many as a step may collect with one.
pub(super) const FILES: usize = 10_000;

/// Bytes at which the file of an output stream ends: see `workload::sink`.
pub(super) const OUTPUT: u64 = 256 << 20;
