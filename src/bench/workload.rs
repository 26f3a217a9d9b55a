//! What a workload is: operations one after the other, and the numbers that go into them.
//!
//! Upstream: `test/integration/scheduler_perf/scheduler_perf.go` (`testCase`, `workload`, `op`), v1.34.

use std::collections::BTreeMap;

use super::template::Template;
use crate::api::Labels;
use crate::base::{SimDuration, Str};
use crate::scheduler::Config;

/// A workload in several sizes.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What is done, in order.
    pub ops: Vec<Op>,
    /// The sizes it comes in, at least one.
    pub sizes: Vec<Size>,
    /// What the scheduler runs with.
    pub config: Config,
}

/// The numbers of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Its name.
    pub name: String,
    /// Numbers by parameter.
    pub params: BTreeMap<String, usize>,
    /// Whether it is run if no size is asked for.
    pub usual: bool,
}

/// A number, or the parameter that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// This many.
    Fixed(usize),
    /// As many as the size says.
    Param(String),
}

impl Amount {
    /// The number.
    ///
    /// # Errors
    /// The size does not say.
    pub fn of(&self, size: &Size) -> Result<usize, String> {
        match self {
            Self::Fixed(number) => Ok(*number),
            Self::Param(name) => {
                let found = size.params.get(name).copied();
                found.ok_or_else(|| format!("size `{}` has no parameter `{name}`", size.name))
            }
        }
    }

    /// The parameter, if it is one.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::Param(name) => Some(name),
        }
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// Nodes join.
    CreateNodes(CreateNodes),
    /// Namespaces `prefix-0`, `prefix-1` and so on.
    CreateNamespaces {
        /// How many.
        count: Amount,
        /// How their names begin.
        prefix: Str,
        /// What they are, if more than a name.
        template: Option<Template>,
    },
    /// Pods are made and placed.
    CreatePods(CreatePods),
    /// The same in each of the namespaces `prefix-0`, `prefix-1` and so on.
    CreatePodSets {
        /// How many namespaces.
        count: Amount,
        /// How their names begin.
        prefix: Str,
        /// What is made in each.
        pods: CreatePods,
    },
    /// Objects of any kind.
    CreateAny {
        /// How many.
        count: Amount,
        /// Their namespace, if their kind has one.
        namespace: Str,
        /// What they are.
        template: Template,
    },
    /// Pods go.
    DeletePods(DeletePods),
    /// Objects come and go beside what follows.
    Churn(Churn),
    /// Waits for Pods.
    Barrier(Barrier),
    /// Lets virtual time pass.
    Sleep(SimDuration),
    /// What follows is measured.
    StartMeasuring,
    /// What follows is not measured.
    StopMeasuring,
}

/// Nodes that join.
#[derive(Clone, Debug)]
pub struct CreateNodes {
    /// How many.
    pub count: Amount,
    /// What they are.
    pub template: Template,
    /// What is done to each once it is there.
    pub prepare: Prepare,
}

/// What is done to nodes.
#[derive(Clone, Debug, Default)]
pub struct Prepare {
    /// A label that takes these values in turn.
    pub label: Option<(Str, Vec<Str>)>,
    /// A label whose value is another for every node.
    pub unique_label: Option<Str>,
    /// Resources added to `status.allocatable`.
    pub allocatable: Vec<(Str, Str)>,
    /// Drivers of the node's CSINode with how many volumes each can attach.
    pub drivers: Vec<(Str, i32)>,
    /// In-tree plugins that the CSINode calls migrated.
    pub migrated: Vec<Str>,
}

/// Pods that are made and placed.
#[derive(Clone, Debug)]
pub struct CreatePods {
    /// How many.
    pub count: Amount,
    /// What they are.
    pub template: Template,
    /// Their namespace; one of their own if none is given.
    pub namespace: Option<Str>,
    /// Whether placing them is measured.
    pub measured: bool,
    /// Whether the next operation begins before they are placed.
    pub goes_on: bool,
    /// Volume and claim that each Pod gets, bound to one another.
    pub volumes: Option<(Template, Template)>,
    /// Placed Pods are replaced by new ones for so long.
    pub steady: Option<SimDuration>,
}

/// Pods that go.
#[derive(Clone, Debug)]
pub struct DeletePods {
    /// From where.
    pub namespace: Str,
    /// Which; all if no label is given.
    pub labels: Labels,
    /// How many a second; all at once if 0.
    pub per_second: usize,
    /// Whether the next operation begins before they are gone.
    pub goes_on: bool,
}

/// Objects that come and go.
#[derive(Clone, Debug)]
pub struct Churn {
    /// Whether they go again: `number` rounds of making, `number` rounds of deleting, and so on. If not, there are at most
    /// `number` rounds, or any number if it is 0.
    pub recreate: bool,
    /// Rounds.
    pub number: usize,
    /// Time between rounds.
    pub interval: SimDuration,
    /// Their namespace; one of their own if none is given.
    pub namespace: Option<Str>,
    /// One object of each in a round.
    pub templates: Vec<Template>,
}

/// A wait for Pods.
#[derive(Clone, Debug, Default)]
pub struct Barrier {
    /// Of these namespaces; of all if none is given.
    pub namespaces: Vec<Str>,
    /// With these labels.
    pub labels: Labels,
    /// It is enough that a node was looked for.
    pub attempted: bool,
}

impl Case {
    /// The size of this name.
    pub fn size(&self, name: &str) -> Option<&Size> {
        self.sizes.iter().find(|size| size.name == name)
    }

    /// The size that is run if none is asked for.
    pub fn usual(&self) -> Option<&Size> {
        self.sizes.iter().find(|size| size.usual).or_else(|| self.sizes.first())
    }

    /// The parameter that says how many nodes there are: that of the last operation that makes nodes.
    pub fn nodes_param(&self) -> Option<&str> {
        let of = |op: &'_ Op| match op {
            Op::CreateNodes(nodes) => Some(nodes.count.clone()),
            _ => None,
        };
        self.last_param(of)
    }

    /// The parameter that says how many Pods are measured.
    pub fn pods_param(&self) -> Option<&str> {
        let of = |op: &'_ Op| match op {
            Op::CreatePods(pods) if pods.measured => Some(pods.count.clone()),
            _ => None,
        };
        self.last_param(of)
    }

    fn last_param(&self, of: impl Fn(&Op) -> Option<Amount>) -> Option<&str> {
        let name = self.ops.iter().rev().find_map(|op| match of(op) {
            Some(Amount::Param(name)) => Some(name),
            Some(Amount::Fixed(_)) | None => None,
        })?;
        // A parameter that no size gives a value is reported when the case runs.
        self.sizes.iter().find_map(|size| size.params.get_key_value(&name)).map(|(name, _)| name.as_str())
    }
}
