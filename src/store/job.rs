//! What the API server adds to a new Job: labels of its Pods and the selector for them.
//!
//! Upstream: `pkg/registry/batch/job/strategy.go` `generateSelector`, v1.34.

use super::table::Stored;
use crate::api::selector::Operator;
use crate::api::workload::Job;
use crate::api::{LabelSelector, PodTemplate, Requirement, fingerprint};
use crate::base::{Arc, Str};

/// The label with the Job's identity.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const CONTROLLER_UID_LEGACY: &str = "controller-uid";
/// The label with the Job's name.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const JOB_NAME_LEGACY: &str = "job-name";

/// Completes a Job that has its name and identity, unless its selector was given by hand.
pub(super) fn complete<T: Stored>(object: &mut T) {
    let Some(job) = (object as &mut dyn std::any::Any).downcast_mut::<Job>() else { return };
    if job.manual_selector {
        return;
    }
    let (name, uid) = (job.meta.name.clone(), job.meta.uid.clone());
    job.template = Arc::new(labelled(&job.template, &name, &uid));
    if job.match_labels.contains_key(CONTROLLER_UID) {
        return;
    }
    job.match_labels = job.match_labels.with(CONTROLLER_UID, uid.clone());
    let mut requirements = match &job.selector {
        LabelSelector::Nothing => Vec::new(),
        LabelSelector::Requirements(all) => all.clone(),
    };
    requirements.push(Requirement { key: CONTROLLER_UID.into(), operator: Operator::In, values: vec![uid] });
    job.selector = LabelSelector::Requirements(requirements);
}

fn labelled(template: &PodTemplate, name: &Str, uid: &Str) -> PodTemplate {
    let mut new = template.clone();
    let mut raw = (*template.raw).clone();
    let raw_labels = raw.metadata.get_or_insert_default().labels.get_or_insert_default();
    for (key, value) in
        [(JOB_NAME_LEGACY, name), (JOB_NAME, name), (CONTROLLER_UID_LEGACY, uid), (CONTROLLER_UID, uid)]
    {
        if !new.labels.contains_key(key) {
            new.labels = new.labels.with(key, value.clone());
            raw_labels.insert(key.to_owned(), value.to_string());
        }
    }
    new.fingerprint = fingerprint::of(&raw);
    new.raw = Arc::new(raw);
    new
}
