//! Placement on nodes whose GPUs are shared: what a Pod asks of devices, what nodes have left, and policies that
//! choose among nodes and devices.
//!
//! * [`machine`]: Pods and nodes as the policies see them. [`fragmentation`]: how much of a node's idle GPUs is of no use.
//! * [`policy`]: six policies, each a pure function of a node, a Pod and what Pods are usually like. [`plugin`]: the scheduler
//!   plugin that asks them.
//!
//! The policies are those that *Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
//! Descent* (USENIX ATC 2023) compares; numbers and roundings are those of its simulator
//! (`hkust-adsl/kubernetes-scheduler-simulator` `8f3d641`, `pkg/simulator/plugin`).

pub mod fragmentation;
pub mod machine;
pub mod plugin;
pub mod policy;

pub use fragmentation::Typical;
pub use machine::{DEVICE, Demand, Kind, Machine};
pub use plugin::new;
pub use policy::Policy;
