//! Evicts the victims of a preemption.
//!
//! Upstream: `pkg/scheduler/framework/preemption/preemption.go` (`prepareCandidateAsync`), v1.34: nominations of
//! others to the node are taken back, all victims but the last are evicted at the same time, the Pod that needs the
//! room may be tried again, and the last one is evicted. An eviction is two calls: the condition, then the deletion.
//!
//! # Fidelity
//! Victims that are evicted at the same time are marked, and deleted, in one instant: when the last of their calls has
//! returned.

use crate::api::condition::{self, Condition};
use crate::api::pod::cond;
use crate::api::{ConditionStatus, EventType, ObjectKey, Pod};
use crate::base::{SimDuration, SimTime, text::lit};
use crate::sim::event::{Event, Preemption, PreemptionStage};
use crate::sim::world::World;
use crate::store::DeleteOptions;

use super::CYCLE_TIME;

/// A call of an eviction. The recorded control plane took 60 ms for the deletion of a marked Pod while others were being
/// evicted; an idle one takes a few.
const CALL_TIME: SimDuration = SimDuration::from_millis(25);

impl World {
    /// A cycle has found victims.
    pub(super) fn begin_eviction(&mut self, mut preemption: Preemption) {
        let start = self.store.now() + CYCLE_TIME;
        if preemption.victims.len() == 1 {
            self.let_go(&preemption);
            preemption.stage = PreemptionStage::MarkLast;
        }
        let calls = preemption.clear_nominations.len() + preemption.due().len();
        self.go_on(preemption, start, calls);
    }

    /// The calls of a stage return: what they ask for is written, and the next stage begins.
    pub(in crate::sim) fn preempt(&mut self, mut preemption: Preemption) {
        use PreemptionStage::{DeleteFirst, DeleteLast, MarkFirst, MarkLast};
        let now = self.store.now();
        for key in std::mem::take(&mut preemption.clear_nominations) {
            // Whoever is gone or bound needs no nomination.
            let _ = self.store.update::<Pod>(&key, |pod| pod.status.nominated_node = None);
        }
        preemption.stage = match preemption.stage {
            MarkFirst => {
                preemption.failed |= !self.mark_victims(&preemption);
                DeleteFirst
            }
            DeleteFirst => {
                self.delete_victims(&preemption);
                self.let_go(&preemption);
                MarkLast
            }
            MarkLast => {
                preemption.failed |= !self.mark_victims(&preemption);
                DeleteLast
            }
            DeleteLast => {
                self.delete_victims(&preemption);
                if preemption.failed {
                    self.scheduler.hear(now).preemption_found_nobody(now, &preemption.uid);
                }
                return;
            }
        };
        let calls = preemption.due().len();
        self.go_on(preemption, now, calls);
    }

    /// Makes the calls of the stage that is next.
    fn go_on(&mut self, preemption: Preemption, from: SimTime, calls: usize) {
        let returns = (0..calls).map(|_| self.scheduler.call(from, CALL_TIME)).max().unwrap_or(from);
        self.schedule(returns, Event::Preempt(Box::new(preemption)));
    }

    /// The Pod that needs the room may be tried again.
    fn let_go(&mut self, preemption: &Preemption) {
        let now = self.store.now();
        self.scheduler.hear(now).preemption_issued(now, &preemption.pod, &preemption.uid);
    }

    /// Says in the victims' status why they go. False if one of them went by itself.
    fn mark_victims(&mut self, preemption: &Preemption) -> bool {
        let at = self.store.timestamp();
        let message =
            format!("{}: preempting to accommodate a higher priority pod", preemption.scheduler_name);
        let mark = |victim: &mut Pod| {
            let reason = "PreemptionByScheduler";
            let condition =
                Condition::new(cond::DISRUPTION_TARGET, ConditionStatus::True, reason, message.as_str(), at);
            condition::set(&mut victim.status.conditions, condition);
        };
        let mut all = true;
        for key in preemption.due() {
            all &= self.store.update::<Pod>(key, mark).is_ok();
        }
        all
    }

    fn delete_victims(&mut self, preemption: &Preemption) {
        let note = format!("Preempted by pod {} on node {}", preemption.uid, preemption.node);
        for key in preemption.due() {
            let victim = self.store.get::<Pod>(key).cloned();
            // A victim that went by itself has made its room.
            if let (Some(victim), Ok(_)) = (victim, self.store.delete::<Pod>(key, &DeleteOptions::default()))
            {
                let source = &preemption.scheduler_name;
                self.say_of_pod(&victim, source, EventType::Normal, lit!("Preempted"), note.clone());
            }
        }
    }
}

impl Preemption {
    /// The victims whose turn it is.
    fn due(&self) -> &[ObjectKey] {
        let (last, first) = self
            .victims
            .split_last()
            .map_or((&[][..], &[][..]), |(last, first)| (std::slice::from_ref(last), first));
        match self.stage {
            PreemptionStage::MarkFirst | PreemptionStage::DeleteFirst => first,
            PreemptionStage::MarkLast | PreemptionStage::DeleteLast => last,
        }
    }
}
