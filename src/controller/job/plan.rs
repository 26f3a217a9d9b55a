//! Calls of a Job's sync that the client's rate limit interrupts: what was decided is done before anything is
//! decided anew, as in upstream, where the worker blocks.

use super::pods::{COMPLETION_INDEX, INDEX_FAILURE_COUNT, INDEX_IGNORED_FAILURE_COUNT, TRACKING_FINALIZER};
use crate::api::workload::Job;
use crate::api::{Condition, Labels, ObjectKey, Pod, PodSpec, Uid, fingerprint, k8s};
use crate::base::{Arc, SimDuration, Str};
use crate::controller::common::{self, Owner, Progress, SlowStart};
use crate::controller::framework::Ctx;
use crate::store::ApiError;

/// Calls that are under way.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    uid: Uid,
    generation: i64,
    /// What is done.
    pub work: Work,
}

/// What is done.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Pods are made.
    Create(Box<Creation>),
    /// Pods are deleted.
    Delete(Deletion),
    /// Finalizers are removed.
    Untrack {
        /// Of these Pods.
        pods: Vec<ObjectKey>,
        /// So many are done.
        done: usize,
    },
}

/// Pods to be made.
#[derive(Clone, Debug)]
pub(super) struct Creation {
    calls: SlowStart,
    maker: Maker,
    /// For each Pod of an indexed Job its index, with failures so far.
    indexes: Vec<IndexWish>,
    /// Pods made.
    pub made: i32,
}

/// A Pod to be made for an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexWish {
    /// The index.
    pub index: i32,
    /// Counted and ignored failures so far, with a limit per index.
    pub failures: Option<(i32, i32)>,
}

/// Pods to be deleted.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    /// The Pods, and whether they were ready.
    pub pods: Vec<(ObjectKey, bool)>,
    /// So many have been seen to.
    pub done: usize,
    /// Deleted.
    pub deleted: i32,
    /// Deleted and ready.
    pub ready: i32,
    /// Whether finalizers go first, so that the Pods are not counted.
    pub uncounted: bool,
    /// How the Job ends, if they are deleted for that.
    pub ending: Option<Condition>,
    owner: Owner,
}

/// How far the calls have come.
#[derive(Debug)]
pub(super) enum Progressed {
    /// All are made; the first error, if any.
    Done(Option<Str>),
    /// To be continued after this time.
    Wait(SimDuration),
}

impl Plan {
    pub(super) fn new(job: &Job, work: Work) -> Self {
        Self { uid: job.meta.uid.clone(), generation: job.meta.generation, work }
    }

    /// Whether it was made for the Job as it is now.
    pub(super) fn is_for(&self, job: &Job) -> bool {
        self.uid == job.meta.uid && self.generation == job.meta.generation
    }

    /// Makes as many calls as the rate limit allows.
    pub(super) fn run(&mut self, ctx: &mut Ctx<'_>) -> Progressed {
        match &mut self.work {
            Work::Create(creation) => creation.run(ctx),
            Work::Delete(deletion) => deletion.run(ctx),
            Work::Untrack { pods, done } => untrack(pods, done, ctx),
        }
    }
}

impl Creation {
    /// So many Pods, or one for each index.
    pub(super) fn new(job: &Job, count: usize, indexes: Vec<IndexWish>) -> Self {
        Self { calls: SlowStart::new(count), maker: Maker::new(job), indexes, made: 0 }
    }

    fn run(&mut self, ctx: &mut Ctx<'_>) -> Progressed {
        let Self { calls, maker, indexes, made } = self;
        let progress = calls.run(ctx, |ctx, number| {
            let pod = maker.pod(indexes.get(number));
            match common::create_pod(ctx, pod, &maker.owner) {
                Err(error) if !error.is_namespace_terminating() => Err(error),
                Ok(_) | Err(_) => {
                    *made += 1;
                    Ok(())
                }
            }
        });
        match progress {
            Progress::Done => Progressed::Done(None),
            Progress::Wait(wait) => Progressed::Wait(wait),
            Progress::Failed(error) => Progressed::Done(Some(error.to_string().into())),
        }
    }
}

impl Deletion {
    pub(super) fn new(job: &Job, pods: &[Arc<Pod>], uncounted: bool, ending: Option<Condition>) -> Self {
        Self {
            pods: pods.iter().map(|p| (p.meta.key(), p.is_ready())).collect(),
            done: 0,
            deleted: 0,
            ready: 0,
            uncounted,
            ending,
            owner: Owner::of(job),
        }
    }

    fn run(&mut self, ctx: &mut Ctx<'_>) -> Progressed {
        let mut failure = None;
        while let Some((pod, ready)) = self.pods.get(self.done) {
            let wait = ctx.throttled();
            if !wait.is_zero() && self.done > 0 {
                return Progressed::Wait(wait);
            }
            self.done += 1;
            let result = self.remove(ctx, pod);
            match result {
                Err(error) if !error.is_not_found() => failure = failure.or(Some(error.to_string().into())),
                Ok(()) | Err(_) => self.deleted += 1,
            }
            self.ready += i32::from(*ready);
        }
        Progressed::Done(failure)
    }

    fn remove(&self, ctx: &mut Ctx<'_>, pod: &ObjectKey) -> Result<(), ApiError> {
        if self.uncounted {
            remove_finalizer(ctx, pod)?;
        }
        common::delete_pod(ctx, pod, &self.owner)
    }
}

fn untrack(pods: &[ObjectKey], done: &mut usize, ctx: &mut Ctx<'_>) -> Progressed {
    let mut first = true;
    while let Some(pod) = pods.get(*done) {
        let wait = ctx.throttled();
        if !wait.is_zero() && !first {
            return Progressed::Wait(wait);
        }
        (first, *done) = (false, *done + 1);
        // A Pod that is gone needs no finalizer removed.
        let _ = remove_finalizer(ctx, pod);
    }
    Progressed::Done(None)
}

/// Removes the finalizer of a Pod that has been counted, or shall not be.
pub(super) fn remove_finalizer(ctx: &mut Ctx<'_>, pod: &ObjectKey) -> Result<(), ApiError> {
    ctx.update::<Pod>(pod, |p| p.meta.finalizers.retain(|f| f != TRACKING_FINALIZER)).map(|_| ())
}

/// Makes Pods; what they share is built once.
#[derive(Clone, Debug)]
struct Maker {
    owner: Owner,
    base: Pod,
    job: Str,
}

impl Maker {
    fn new(job: &Job) -> Self {
        let owner = Owner::of(job);
        let mut base = common::pod_from_template(&job.template, &owner);
        if !base.meta.has_finalizer(TRACKING_FINALIZER) {
            base.meta.finalizers.push(TRACKING_FINALIZER.into());
        }
        if job.indexed {
            base.spec = Arc::new(with_index_variable(&job.template.spec));
        }
        Self { owner, base, job: job.meta.name.clone() }
    }

    fn pod(&self, wish: Option<&IndexWish>) -> Pod {
        let mut pod = self.base.clone();
        let Some(IndexWish { index, failures }) = wish else { return pod };
        let number = Str::from(index.to_string());
        let annotate = |labels: &Labels| labels.with(COMPLETION_INDEX, number.clone());
        pod.meta.labels = annotate(&pod.meta.labels);
        pod.meta.annotations = annotate(&pod.meta.annotations);
        if let Some((counted, ignored)) = failures {
            pod.meta.annotations = pod.meta.annotations.with(INDEX_FAILURE_COUNT, counted.to_string());
            if *ignored > 0 {
                pod.meta.annotations =
                    pod.meta.annotations.with(INDEX_IGNORED_FAILURE_COUNT, ignored.to_string());
            }
        }
        pod.meta.generate_name = name_prefix(&self.job, *index);
        pod.spec = Arc::new(with_hostname(&self.base.spec, &self.job, *index));
        pod
    }
}

/// `<job>-<index>-`, the Job's name cut so that a generated name keeps the index.
fn name_prefix(job: &str, index: i32) -> Str {
    /// Upstream: `names.MaxGeneratedNameLength`.
    const LONGEST: usize = 58;
    let suffix = format!("-{index}-");
    let mut end = job.len().min(LONGEST.saturating_sub(suffix.len()));
    while !job.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &job[..end]).into()
}

/// The spec with the variable `JOB_COMPLETION_INDEX` in every container that lacks it.
fn with_index_variable(spec: &PodSpec) -> PodSpec {
    const NAME: &str = "JOB_COMPLETION_INDEX";
    let mut spec = spec.clone();
    let mut raw = k8s::core::v1::PodSpec::clone(&spec.raw);
    for container in raw.init_containers.iter_mut().flatten().chain(&mut raw.containers) {
        let variables = container.env.get_or_insert_default();
        if !variables.iter().any(|v| v.name == NAME) {
            variables.push(k8s::core::v1::EnvVar {
                name: NAME.to_owned(),
                value: None,
                value_from: Some(k8s::core::v1::EnvVarSource {
                    field_ref: Some(k8s::core::v1::ObjectFieldSelector {
                        api_version: Some("v1".to_owned()),
                        field_path: format!("metadata.labels['{COMPLETION_INDEX}']"),
                    }),
                    ..k8s::core::v1::EnvVarSource::default()
                }),
            });
        }
    }
    spec.fingerprint = fingerprint::of(&raw);
    spec.raw = Arc::new(raw);
    spec
}

/// The spec with the host name of an index.
///
/// # Fidelity
/// The fingerprint combines that of the common part with the host name instead of hashing the whole form.
fn with_hostname(base: &PodSpec, job: &str, index: i32) -> PodSpec {
    let hostname = format!("{job}-{index}");
    let mut spec = base.clone();
    spec.fingerprint = fingerprint::of(&(base.fingerprint, hostname.as_str()));
    let mut raw = k8s::core::v1::PodSpec::clone(&base.raw);
    raw.hostname = Some(hostname);
    spec.raw = Arc::new(raw);
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_index() {
        assert_eq!(name_prefix("work", 3), "work-3-");
        let long = name_prefix(&"a".repeat(80), 12);
        assert_eq!((long.len(), &long[54..]), (58, "-12-"));
    }
}
