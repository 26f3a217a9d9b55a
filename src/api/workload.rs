//! Workload kinds: what makes Pods.

use std::hash::{Hash, Hasher};

use super::condition::Condition;
use super::k8s;
use super::meta::{Labels, Meta};
use super::pod::PodSpec;
use super::selector::LabelSelector;
use crate::base::{Arc, Few, Str, Timestamp};

/// A Pod template; Pods made from it share its spec.
///
/// Equality is that of the boundary form.
#[derive(Clone, Debug)]
pub struct PodTemplate {
    /// The boundary form, defaulted.
    pub raw: Arc<k8s::core::v1::PodTemplateSpec>,
    /// A stable hash of the boundary form.
    pub fingerprint: u64,
    /// Labels of the Pods.
    pub labels: Labels,
    /// Annotations of the Pods.
    pub annotations: Labels,
    /// Finalizers of the Pods.
    pub finalizers: Few<Str>,
    /// The spec.
    pub spec: Arc<PodSpec>,
}

impl PartialEq for PodTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && (Arc::ptr_eq(&self.raw, &other.raw) || self.raw == other.raw)
    }
}

impl Eq for PodTemplate {}

impl Hash for PodTemplate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

/// A number, or a percentage of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntOrPercent {
    /// As it is.
    Int(i32),
    /// Hundredths of the whole.
    Percent(i32),
}

impl IntOrPercent {
    /// The number it means of `total`; percentages round up or down as asked.
    pub fn resolve(self, total: i32, round_up: bool) -> i32 {
        match self {
            Self::Int(n) => n,
            Self::Percent(p) => {
                let product = i64::from(p) * i64::from(total);
                let rounded = if round_up { (product + 99).div_euclid(100) } else { product.div_euclid(100) };
                i32::try_from(rounded).unwrap_or(i32::MAX)
            }
        }
    }
}

/// A Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deployment {
    /// Metadata.
    pub meta: Meta,
    /// Wanted Pods.
    pub replicas: i32,
    /// Which Pods are its own.
    pub selector: LabelSelector,
    /// `selector.matchLabels`, for naming what it makes.
    pub match_labels: Labels,
    /// What the Pods are made from.
    pub template: Arc<PodTemplate>,
    /// How Pods are replaced.
    pub strategy: DeploymentStrategy,
    /// Seconds a Pod must be ready to be available.
    pub min_ready_seconds: i32,
    /// Old ReplicaSets kept.
    pub revision_history_limit: i32,
    /// Whether rollouts are held.
    pub paused: bool,
    /// Seconds without progress until the rollout counts as failed; `i32::MAX` means never.
    pub progress_deadline_seconds: i32,
    /// The observed state.
    pub status: DeploymentStatus,
}

/// How a Deployment replaces Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeploymentStrategy {
    /// All down, then all up.
    Recreate,
    /// Step by step.
    RollingUpdate {
        /// Pods above `replicas`.
        max_surge: IntOrPercent,
        /// Pods missing from `replicas`.
        max_unavailable: IntOrPercent,
    },
}

/// The observed state of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeploymentStatus {
    /// The generation last seen.
    pub observed_generation: i64,
    /// Pods of all ReplicaSets.
    pub replicas: i32,
    /// Pods of the new one.
    pub updated_replicas: i32,
    /// Ready Pods.
    pub ready_replicas: i32,
    /// Available Pods.
    pub available_replicas: i32,
    /// Missing Pods.
    pub unavailable_replicas: i32,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Hash collisions met.
    pub collision_count: Option<i32>,
}

/// A ReplicaSet, or a ReplicationController (same machinery, other kind).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaSet {
    /// Metadata.
    pub meta: Meta,
    /// Wanted Pods.
    pub replicas: i32,
    /// Which Pods are its own.
    pub selector: LabelSelector,
    /// `selector.matchLabels` (all of the selector of a ReplicationController).
    pub match_labels: Labels,
    /// What the Pods are made from.
    pub template: Arc<PodTemplate>,
    /// Seconds a Pod must be ready to be available.
    pub min_ready_seconds: i32,
    /// The observed state.
    pub status: ReplicaSetStatus,
}

/// The observed state of a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReplicaSetStatus {
    /// Active Pods.
    pub replicas: i32,
    /// Active Pods with all labels of the template.
    pub fully_labeled_replicas: i32,
    /// Ready Pods.
    pub ready_replicas: i32,
    /// Available Pods.
    pub available_replicas: i32,
    /// The generation last seen.
    pub observed_generation: i64,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A ReplicationController: a ReplicaSet under its older kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplicationController(pub ReplicaSet);

/// A StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatefulSet {
    /// Metadata.
    pub meta: Meta,
    /// Wanted Pods.
    pub replicas: i32,
    /// The first ordinal.
    pub ordinals_start: i32,
    /// Which Pods are its own.
    pub selector: LabelSelector,
    /// `selector.matchLabels`, copied to claims.
    pub match_labels: Labels,
    /// What the Pods are made from.
    pub template: Arc<PodTemplate>,
    /// Claims made for every Pod, in order.
    pub claim_templates: Vec<Arc<ClaimTemplate>>,
    /// The governing Service.
    pub service_name: Str,
    /// `podManagementPolicy: Parallel`.
    pub parallel: bool,
    /// `updateStrategy: OnDelete`.
    pub on_delete: bool,
    /// `rollingUpdate.partition`.
    pub partition: i32,
    /// Seconds a Pod must be ready to be available.
    pub min_ready_seconds: i32,
    /// Old revisions kept.
    pub revision_history_limit: i32,
    /// `persistentVolumeClaimRetentionPolicy.whenDeleted: Delete`.
    pub delete_claims_when_deleted: bool,
    /// `persistentVolumeClaimRetentionPolicy.whenScaled: Delete`.
    pub delete_claims_when_scaled: bool,
    /// The observed state.
    pub status: StatefulSetStatus,
}

impl StatefulSet {
    /// Whether a volume of this name is one of the set's own claims, whatever the Pods' template says of it.
    pub fn owns_volume(&self, name: &str) -> bool {
        self.claim_templates.iter().any(|template| template.meta.name == name)
    }
}

/// A claim template of a StatefulSet: metadata (name, labels, annotations) and the claim's spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimTemplate {
    /// Name, labels and annotations of the template.
    pub meta: Meta,
    /// The claim's wishes.
    pub spec: super::storage::ClaimSpec,
}

/// The observed state of a StatefulSet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatefulSetStatus {
    /// The generation last seen.
    pub observed_generation: i64,
    /// Pods that exist.
    pub replicas: i32,
    /// Ready Pods.
    pub ready_replicas: i32,
    /// Available Pods.
    pub available_replicas: i32,
    /// Pods of the current revision.
    pub current_replicas: i32,
    /// Pods of the update revision.
    pub updated_replicas: i32,
    /// The revision Pods had before the rollout.
    pub current_revision: Str,
    /// The revision Pods shall have.
    pub update_revision: Str,
    /// Hash collisions met.
    pub collision_count: Option<i32>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DaemonSet {
    /// Metadata.
    pub meta: Meta,
    /// Which Pods are its own.
    pub selector: LabelSelector,
    /// `selector.matchLabels`.
    pub match_labels: Labels,
    /// What the Pods are made from.
    pub template: Arc<PodTemplate>,
    /// `updateStrategy: OnDelete`.
    pub on_delete: bool,
    /// Nodes that may lack a Pod during an update.
    pub max_unavailable: IntOrPercent,
    /// Nodes that may have two Pods during an update.
    pub max_surge: IntOrPercent,
    /// Seconds a Pod must be ready to be available.
    pub min_ready_seconds: i32,
    /// Old revisions kept.
    pub revision_history_limit: i32,
    /// The observed state.
    pub status: DaemonSetStatus,
}

/// The observed state of a DaemonSet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DaemonSetStatus {
    /// Nodes that have a Pod and should.
    pub current_number_scheduled: i32,
    /// Nodes that have one and should not.
    pub number_misscheduled: i32,
    /// Nodes that should have one.
    pub desired_number_scheduled: i32,
    /// Nodes with a ready Pod.
    pub number_ready: i32,
    /// The generation last seen.
    pub observed_generation: i64,
    /// Nodes with an updated Pod.
    pub updated_number_scheduled: i32,
    /// Nodes with an available Pod.
    pub number_available: i32,
    /// Nodes without an available Pod.
    pub number_unavailable: i32,
    /// Hash collisions met.
    pub collision_count: Option<i32>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A revision of a StatefulSet's or DaemonSet's template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ControllerRevision {
    /// Metadata.
    pub meta: Meta,
    /// The template it stands for.
    pub template: Arc<PodTemplate>,
    /// Its number; the highest is the newest.
    pub revision: i64,
}

/// A Job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Metadata.
    pub meta: Meta,
    /// Pods at once.
    pub parallelism: i32,
    /// Successes wanted; none for a work queue.
    pub completions: Option<i32>,
    /// `completionMode: Indexed`.
    pub indexed: bool,
    /// Failures allowed.
    pub backoff_limit: i32,
    /// Failures allowed per index.
    pub backoff_limit_per_index: Option<i32>,
    /// Failed indexes allowed.
    pub max_failed_indexes: Option<i32>,
    /// Seconds the Job may take.
    pub active_deadline_seconds: Option<i64>,
    /// Seconds until it is deleted after its end.
    pub ttl_seconds_after_finished: Option<i32>,
    /// Whether it is held.
    pub suspend: bool,
    /// `podReplacementPolicy: Failed`: a terminating Pod is not replaced yet.
    pub replace_only_failed: bool,
    /// Rules on failed Pods, in the boundary form.
    pub pod_failure_policy: Option<Arc<BoundaryPart<k8s::batch::v1::PodFailurePolicy>>>,
    /// Rules on early success, in the boundary form.
    pub success_policy: Option<Arc<BoundaryPart<k8s::batch::v1::SuccessPolicy>>>,
    /// `managedBy`, if another controller does.
    pub managed_by: Option<Str>,
    /// Whether the selector was given by the user.
    pub manual_selector: bool,
    /// Which Pods are its own.
    pub selector: LabelSelector,
    /// `selector.matchLabels`.
    pub match_labels: Labels,
    /// What the Pods are made from.
    pub template: Arc<PodTemplate>,
    /// The observed state.
    pub status: JobStatus,
}

impl Job {
    /// The condition under which it ended, if it has: `Complete` or `Failed`.
    pub fn finished(&self) -> Option<&Condition> {
        self.status.conditions.iter().find(|c| (c.kind == "Complete" || c.kind == "Failed") && c.is_true())
    }
}

/// A cold part of an object, kept in its boundary form with a hash to stand for it.
#[derive(Clone, Debug)]
pub struct BoundaryPart<T> {
    /// The part.
    pub value: T,
    /// A stable hash of its JSON.
    pub fingerprint: u64,
}

impl<T> PartialEq for BoundaryPart<T> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<T> Eq for BoundaryPart<T> {}

impl<T> Hash for BoundaryPart<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

/// The observed state of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobStatus {
    /// When the controller first handled it.
    pub start_time: Option<Timestamp>,
    /// When it completed.
    pub completion_time: Option<Timestamp>,
    /// Pods not ended.
    pub active: i32,
    /// Of those, ready ones.
    pub ready: Option<i32>,
    /// Pods being deleted.
    pub terminating: Option<i32>,
    /// Pods that succeeded.
    pub succeeded: i32,
    /// Pods that failed.
    pub failed: i32,
    /// Indexes that succeeded, compressed.
    pub completed_indexes: Str,
    /// Indexes that failed, compressed.
    pub failed_indexes: Option<Str>,
    /// Ended Pods not yet counted: succeeded.
    pub uncounted_succeeded: Vec<Str>,
    /// Ended Pods not yet counted: failed.
    pub uncounted_failed: Vec<Str>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A CronJob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CronJob {
    /// Metadata.
    pub meta: Meta,
    /// The schedule as written.
    pub schedule: Str,
    /// `timeZone`.
    pub time_zone: Option<Str>,
    /// `Allow`, `Forbid` or `Replace`.
    pub concurrency_policy: Str,
    /// Whether it is held.
    pub suspend: bool,
    /// How late a run may start.
    pub starting_deadline_seconds: Option<i64>,
    /// Succeeded Jobs kept.
    pub successful_jobs_history_limit: i32,
    /// Failed Jobs kept.
    pub failed_jobs_history_limit: i32,
    /// What Jobs are made from: metadata of the template and the spec, as a Job without a name.
    pub job_template: Arc<Job>,
    /// Jobs that run: name and identity.
    pub active: Vec<(Str, Str)>,
    /// When a Job was last started.
    pub last_schedule_time: Option<Timestamp>,
    /// When a Job last succeeded.
    pub last_successful_time: Option<Timestamp>,
}
