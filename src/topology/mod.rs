//! The topology language: YAML text to [`Topology`], all mistakes reported at once.
//! Reads the topology and the template files it names; touches no host.

mod model;

pub use model::{
    Accel, ConfigureAction, ConfigureStep, Group, Host, Image, ImageSource, Location, Network, Node, Place,
    Topology, WorkloadStep,
};
