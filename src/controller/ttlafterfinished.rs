//! Deletes Jobs a while after they have ended.
//!
//! Upstream: `pkg/controller/ttlafterfinished/ttlafterfinished_controller.go`, v1.34.

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::workload::Job;
use crate::api::{Kind, Resource};
use crate::base::SimTime;
use crate::store::{Change, DeleteOptions, Propagation, Store};

/// The TTL-after-finished controller.
#[derive(Clone, Copy, Debug, Default)]
pub struct TtlAfterFinished;

impl Controller for TtlAfterFinished {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Job]
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        if change.kind() == Kind::Job
            && let Some((_, Some(job))) = change.of::<Job>()
            && expiry(job, store).is_some()
        {
            out.now(WorkKey::sync(job.key()));
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(job) = ctx.store().get::<Job>(&key.key).cloned() else { return Action::Done };
        let Some(expiry) = expiry(&job, ctx.store()) else { return Action::Done };
        if expiry > ctx.now() {
            return Action::After(expiry.since(ctx.now()));
        }
        let options =
            DeleteOptions { uid: Some(job.meta.uid.clone()), ..DeleteOptions::with(Propagation::Foreground) };
        match ctx.delete::<Job>(&key.key, &options) {
            Ok(_) => Action::Done,
            Err(error) if error.is_not_found() => Action::Done,
            Err(error) => Action::Retry(error.to_string().into()),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

/// When an ended Job is to be deleted; none if it is not.
fn expiry(job: &Job, store: &Store) -> Option<SimTime> {
    if job.meta.is_deleting() {
        return None;
    }
    let ended = job.finished()?.transition?;
    let seconds = i64::from(job.ttl_seconds_after_finished?);
    Some(store.calendar().instant(ended.plus_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Condition, ConditionStatus, ObjectKey, lower};
    use crate::controller::testing::Harness;
    use serde_json::json;

    /// Facts §4.2: TTL.
    #[test]
    fn jobs_go_so_long_after_their_end() {
        let mut h = Harness::new(vec![Box::new(TtlAfterFinished)]);
        for (name, ttl) in [("soon", json!(0)), ("later", json!(30)), ("never", json!(null))] {
            let value = json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"},
                "spec": {"ttlSecondsAfterFinished": ttl, "template": {
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app:v1"}]}}},
            });
            h.store.create_object(lower::object(value).unwrap()).unwrap();
        }
        h.advance_secs(5);
        let now = h.store.timestamp();
        for name in ["soon", "later", "never"] {
            h.store
                .update::<Job>(&ObjectKey::new("default", name), |job| {
                    job.status.conditions.push(Condition::new(
                        "Complete",
                        ConditionStatus::True,
                        "x",
                        "",
                        now,
                    ));
                })
                .unwrap();
        }
        let left = |h: &Harness| {
            let kept = |job: &&crate::base::Arc<Job>| !job.meta.is_deleting();
            h.store.list::<Job>().filter(kept).map(|j| j.meta.name.to_string()).collect::<Vec<_>>()
        };
        h.advance_secs(1);
        assert_eq!(left(&h), ["later", "never"]);
        h.advance_secs(28);
        assert_eq!(left(&h), ["later", "never"]);
        h.advance_secs(2);
        assert_eq!(left(&h), ["never"]);
    }
}
