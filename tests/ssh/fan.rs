//! Many nodes.
