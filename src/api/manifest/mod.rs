//! Manifests: text to objects of the Kubernetes API, with the place of every mistake.

pub mod tree;
