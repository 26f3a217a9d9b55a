//! Rolling back because an annotation asks for it.
//!
//! Upstream: `pkg/controller/deployment/rollback.go`, v1.34.

use super::history::{self, ROLLBACK_TO};
use super::sync::Sync;
use crate::api::EventType;
use crate::api::workload::{Deployment, ReplicaSet};
use crate::base::{Arc, Str, text::lit};
use crate::controller::common::{equal_ignore_hash, without_hash_label};
use crate::store::ApiError;

impl Sync<'_, '_> {
    /// The revision asked for; 0 is the one before the present.
    pub(super) fn rollback_wanted(&self) -> Option<i64> {
        self.deployment.meta.annotations.get(ROLLBACK_TO)?.parse().ok()
    }

    /// Rolls back, or says why not; the annotation goes in any case.
    pub(super) fn roll_back(&mut self, sets: &[Arc<ReplicaSet>], revision: i64) -> Result<(), ApiError> {
        let (new, mut all) = self.new_and_old(sets, true)?;
        all.extend(new);
        let not_found = lit!("DeploymentRollbackRevisionNotFound");
        let revision = if revision == 0 { history::last_revision(&all) } else { revision };
        if revision == 0 {
            self.say(EventType::Warning, not_found, lit!("Unable to find last revision."));
            return self.write_without_annotation();
        }
        let Some(set) = all.iter().find(|set| history::revision(set) == Some(revision)) else {
            let message = lit!("Unable to find the revision to rollback to.");
            self.say(EventType::Warning, not_found, message);
            return self.write_without_annotation();
        };
        let name = self.deployment.meta.name.clone();
        if equal_ignore_hash(&self.deployment.template, &set.template) {
            let message =
                format!("The rollback revision contains the same template as current deployment \"{name}\"");
            self.say(EventType::Warning, lit!("DeploymentRollbackTemplateUnchanged"), message);
            return self.write_without_annotation();
        }
        self.deployment.template = without_hash_label(&set.template);
        let annotations = &mut self.deployment.meta.annotations;
        *annotations = history::rolled_back_annotations(annotations, &set.meta.annotations);
        self.write_without_annotation()?;
        let message: Str = format!("Rolled back deployment \"{name}\" to revision {revision}").into();
        self.say(EventType::Normal, lit!("DeploymentRollback"), message);
        Ok(())
    }

    fn write_without_annotation(&mut self) -> Result<(), ApiError> {
        self.check_unchanged(&self.deployment)?;
        let template = self.deployment.template.clone();
        let annotations = self.deployment.meta.annotations.without(ROLLBACK_TO);
        self.ctx.update_spec::<Deployment>(&self.deployment.meta.key(), |deployment| {
            deployment.template = template;
            deployment.meta.annotations = annotations;
        })?;
        Ok(())
    }
}
