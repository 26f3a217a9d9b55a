//! Which Pods have to leave a node.
//!
//! Upstream: `plugins/defaultpreemption/default_preemption.go` `SelectVictimsOnNode`, v1.34.

use super::pick::{Candidate, by_importance, split_by_budget};
use crate::api::policy::PodDisruptionBudget;
use crate::base::Arc;
use crate::scheduler::framework::{CycleState, Handle, NodeInfo, PodInfo, Status};

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// A copy of a node and of the cycle's state, to put Pods on and take them off.
struct DryRun<'a> {
    handle: &'a Handle<'a>,
    state: CycleState,
    pod: &'a PodInfo,
    node: NodeInfo,
}

impl DryRun<'_> {
    fn remove(&mut self, victim: &PodInfo) -> Result<(), Status> {
        self.node.remove_pod(victim.uid());
        self.handle.run_remove_pod(&mut self.state, self.pod, victim, &self.node)
    }

    fn add(&mut self, victim: &Arc<PodInfo>) -> Result<(), Status> {
        self.node.add_pod(victim.clone());
        self.handle.run_add_pod(&mut self.state, self.pod, victim, &self.node)
    }

    fn fits(&self) -> Result<(), Status> {
        self.handle.run_filter_with_nominated_pods(&self.state, self.pod, &self.node)
    }

    /// Puts a Pod back if the incoming one still fits then. Whether it may stay.
    fn reprieve(&mut self, victim: &Arc<PodInfo>) -> Result<bool, Status> {
        self.add(victim)?;
        let fits = self.fits().is_ok();
        if !fits {
            self.remove(victim)?;
        }
        Ok(fits)
    }
}

/// The least important Pods whose removal makes `pod` fit on `node`: all of lower priority are removed, then as many
/// as possible are put back, first those whose eviction would break a budget, the most important first.
///
/// # Errors
/// There is none of lower priority, the Pod does not fit without them either, or a plugin broke.
pub fn on_node(
    handle: &Handle<'_>,
    state: &CycleState,
    pod: &PodInfo,
    node: &NodeInfo,
    budgets: &[Arc<PodDisruptionBudget>],
) -> Result<Candidate, Status> {
    let mut potential: Vec<Arc<PodInfo>> =
        node.pods().iter().filter(|p| p.priority() < pod.priority()).cloned().collect();
    if potential.is_empty() {
        return Err(Status::unresolvable(NO_VICTIMS, ""));
    }
    let mut run = DryRun { handle, state: state.clone(), pod, node: node.clone() };
    for victim in &potential {
        run.remove(victim)?;
    }
    run.fits()?;
    potential.sort_by(|a, b| by_importance(&a.pod, &b.pod));
    let (violating, others) = split_by_budget(potential, |p| &p.pod, budgets);
    let mut victims = Vec::new();
    for victim in &violating {
        if !run.reprieve(victim)? {
            victims.push(victim.pod.clone());
        }
    }
    let pdb_violations = victims.len();
    for victim in &others {
        if !run.reprieve(victim)? {
            victims.push(victim.pod.clone());
        }
    }
    if victims.is_empty() {
        return Err(Status::error(format!("expected at least one victim pod on node \"{}\"", node.name())));
    }
    victims.sort_by(|a, b| by_importance(a, b));
    Ok(Candidate { node: node.name().clone(), victims, pdb_violations })
}
