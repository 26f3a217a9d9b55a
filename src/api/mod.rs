//! What Kubernetes objects are: the compact types that the simulation works on.
//!
//! * [`meta`], [`selector`], [`taint`], [`resources`], [`condition`]: the parts that kinds share.
//! * [`pod`], [`node`], [`workload`], [`storage`], [`service`], [`policy`], [`event`]: the kinds.
//! * [`cron`]: schedules of CronJobs.
//! * [`object`]: the closed list of kinds as one table, and the sum type over them.
//! * [`lower`]: boundary types (`k8s-openapi`, v1.34) to these types. [`raise`]: the way back.
//! * [`manifest`]: text to boundary types; the only Kubernetes-shaped serde code.
//!
//! *Boundary* types are for people and files: every field under its real name. *Core* types are for
//! the simulation: defaults resolved, quantities exact, selectors compiled, shared parts behind `Arc`.

pub mod condition;
pub mod cron;
pub mod defaults;
pub mod event;
pub mod fingerprint;
pub mod inert;
pub mod lower;
pub mod manifest;
pub mod meta;
pub mod node;
pub mod object;
pub mod patch;
pub mod pod;
pub mod policy;
pub mod raise;
pub mod resources;
pub mod selector;
pub mod selectors;
pub mod service;
mod since;
pub mod storage;
pub mod taint;
pub mod volume;
pub mod workload;

pub use condition::{Condition, ConditionStatus};
pub use event::{Event, EventType};
pub use inert::Inert;
pub use meta::{Deletion, Labels, Lasting, Meta, ObjectKey, OwnerReference, Uid};
pub use node::{Node, NodeStatus};
pub use object::{Kind, KindInfo, Object, ObjectRef, Resource};
pub use pod::{Container, ContainerState, ContainerStatus, Phase, Pod, PodSpec, PodStatus};
pub use resources::ResourceList;
pub use selector::{LabelSelector, NodeSelector, Requirement};
pub use taint::{Taint, TaintEffect, Toleration};
pub use workload::PodTemplate;

/// The boundary types, Kubernetes v1.34.
pub use k8s_openapi::api as k8s;
/// `metav1` of the boundary types.
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1 as metav1;
