//! What a Job makes of failed Pods, and when it has succeeded early.
//!
//! Upstream: `pkg/controller/job/{pod_failure_policy,success_policy}.go`, v1.34.

use super::indexes::Intervals;
use crate::api::k8s::batch::v1::{
    PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicy,
};
use crate::api::pod::Terminated;
use crate::api::workload::Job;
use crate::api::{ContainerState, ContainerStatus, Pod};

/// What becomes of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts.
    Count,
    /// It does not.
    Ignore,
    /// The Job fails, in these words; the failure counts.
    FailJob(String),
    /// The index fails; the failure counts.
    FailIndex,
}

impl Verdict {
    /// Whether the failure counts towards the limits.
    pub(super) const fn counts(&self) -> bool {
        !matches!(self, Self::Ignore)
    }
}

/// The verdict of the first rule that matches a failed Pod; without one it counts.
pub(super) fn judge(job: &Job, pod: &Pod) -> Verdict {
    let Some(policy) = &job.pod_failure_policy else { return Verdict::Count };
    let rules = policy.value.rules.iter().enumerate();
    rules.filter_map(|(index, rule)| apply(rule, index, pod)).next().unwrap_or(Verdict::Count)
}

fn apply(rule: &PodFailurePolicyRule, index: usize, pod: &Pod) -> Option<Verdict> {
    let (namespace, name) = (&pod.meta.namespace, &pod.meta.name);
    let what = if let Some(requirement) = &rule.on_exit_codes {
        let (status, end) = exit_matching(pod, requirement)?;
        format!(
            "Container {} for pod {namespace}/{name} failed with exit code {}",
            status.name, end.exit_code
        )
    } else {
        let patterns = rule.on_pod_conditions.as_ref()?;
        let matching =
            pod.status.conditions.iter().find(|c| {
                patterns.iter().any(|p| p.type_ == c.kind.as_str() && p.status == c.status.as_str())
            });
        format!("Pod {namespace}/{name} has condition {}", matching?.kind)
    };
    match rule.action.as_str() {
        "FailJob" => Some(Verdict::FailJob(format!("{what} matching FailJob rule at index {index}"))),
        "FailIndex" => Some(Verdict::FailIndex),
        "Ignore" => Some(Verdict::Ignore),
        "Count" => Some(Verdict::Count),
        _ => None,
    }
}

fn exit_matching<'p>(
    pod: &'p Pod,
    requirement: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'p ContainerStatus, &'p Terminated)> {
    let statuses = pod.status.containers.iter().chain(&pod.status.init_containers);
    let ended = statuses.filter_map(|status| match &status.state {
        ContainerState::Terminated(end) => Some((status, &**end)),
        ContainerState::Waiting { .. } | ContainerState::Running { .. } => None,
    });
    ended
        .filter(|(status, _)| requirement.container_name.as_deref().is_none_or(|n| n == status.name.as_str()))
        .find(|(_, end)| {
            let listed = requirement.values.contains(&end.exit_code);
            end.exit_code != 0
                && match requirement.operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    _ => false,
                }
        })
}

/// The words of the first rule of a success policy that is met.
pub(super) fn success(policy: &SuccessPolicy, completions: i32, succeeded: &Intervals) -> Option<String> {
    if succeeded.is_empty() {
        return None;
    }
    let met = policy.rules.iter().position(|rule| {
        let enough = |count: i32| rule.succeeded_count.is_some_and(|wanted| count >= wanted);
        match &rule.succeeded_indexes {
            Some(text) => {
                let wanted = Intervals::parse(text, completions);
                let contained = wanted.overlap(succeeded);
                !wanted.is_empty() && (contained == wanted.total() || enough(contained))
            }
            None => enough(succeeded.total()),
        }
    });
    met.map(|index| format!("Matched rules at index {index}"))
}

#[cfg(test)]
mod tests {
    use crate::base::Arc;

    use super::super::tests::job;
    use super::*;
    use crate::api::k8s::batch::v1::{
        PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern, SuccessPolicyRule,
    };
    use crate::api::workload::BoundaryPart;
    use crate::api::{Condition, ConditionStatus, fingerprint};
    use crate::testkit;

    fn exit_rule(action: &str, operator: &str, values: &[i32]) -> PodFailurePolicyRule {
        PodFailurePolicyRule {
            action: action.into(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: None,
                operator: operator.into(),
                values: values.to_vec(),
            }),
            on_pod_conditions: None,
        }
    }

    fn verdict(rules: Vec<PodFailurePolicyRule>, exit_code: i32) -> Verdict {
        let value = PodFailurePolicy { rules };
        let fingerprint = fingerprint::of(&value);
        let mut job = job("work");
        job.pod_failure_policy = Some(Arc::new(BoundaryPart { value, fingerprint }));
        let mut pod = testkit::pod("p", "app=a");
        let mut status = testkit::container_status("main", 0);
        status.state = ContainerState::Terminated(Arc::new(Terminated {
            exit_code,
            reason: "Error".into(),
            message: "".into(),
            started_at: testkit::calendar().start,
            finished_at: testkit::calendar().start,
        }));
        pod.status.containers.push(status);
        let target =
            Condition::new("DisruptionTarget", ConditionStatus::True, "", "", testkit::calendar().start);
        pod.status.conditions.push(target);
        judge(&job, &pod)
    }

    /// Facts §4.2: `podFailurePolicy`, its actions and messages.
    #[test]
    fn the_first_matching_rule_decides() {
        let rules = || vec![exit_rule("Ignore", "In", &[3]), exit_rule("FailJob", "NotIn", &[1, 2])];
        assert_eq!(verdict(rules(), 3), Verdict::Ignore);
        assert_eq!(verdict(rules(), 1), Verdict::Count);
        assert_eq!(
            verdict(rules(), 42),
            Verdict::FailJob(
                "Container main for pod default/p failed with exit code 42 matching FailJob rule at index 1"
                    .into()
            )
        );
        assert_eq!(
            verdict(vec![exit_rule("FailIndex", "NotIn", &[9])], 0),
            Verdict::Count,
            "0 is no failure"
        );
        assert_eq!(verdict(vec![exit_rule("FailIndex", "In", &[9])], 9), Verdict::FailIndex);
        let on_condition = |action: &str| PodFailurePolicyRule {
            action: action.into(),
            on_exit_codes: None,
            on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                status: "True".into(),
                type_: "DisruptionTarget".into(),
            }]),
        };
        assert_eq!(verdict(vec![on_condition("Ignore")], 1), Verdict::Ignore);
        assert_eq!(
            verdict(vec![on_condition("FailJob")], 1),
            Verdict::FailJob(
                "Pod default/p has condition DisruptionTarget matching FailJob rule at index 0".into()
            )
        );
    }

    /// Facts §4.2: `successPolicy`.
    #[test]
    fn success_rules_ask_for_indexes_a_count_or_both() {
        let rule = |indexes: Option<&str>, count| SuccessPolicyRule {
            succeeded_count: count,
            succeeded_indexes: indexes.map(str::to_owned),
        };
        let met = |rules: Vec<SuccessPolicyRule>, succeeded: &str| {
            success(&SuccessPolicy { rules }, 10, &Intervals::parse(succeeded, 10))
        };
        let first = Some("Matched rules at index 0".to_owned());
        assert_eq!(met(vec![rule(Some("0,2"), None)], "0-2"), first);
        assert_eq!(met(vec![rule(Some("0,3"), None)], "0-2"), None);
        assert_eq!(met(vec![rule(Some("0-9"), Some(2))], "1,7"), first);
        assert_eq!(met(vec![rule(None, Some(3))], "1,7"), None);
        assert_eq!(
            met(vec![rule(None, Some(3)), rule(None, Some(2))], "1,7"),
            Some("Matched rules at index 1".to_owned())
        );
        assert_eq!(met(vec![rule(None, Some(0))], ""), None);
    }
}
