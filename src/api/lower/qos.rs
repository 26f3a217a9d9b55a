//! Quality of service classes.

use crate::api::pod::{Container, QosClass};
use crate::api::resources::{CPU, MEMORY, ResourceList};

/// The class that follows from requests and limits: those of the Pod as a whole if it has any, else those of
/// its containers.
///
/// Upstream: `pkg/apis/core/v1/helper/qos/qos.go` `ComputePodQOS`, v1.34.
pub(crate) fn qos_class(
    pod_requests: Option<&ResourceList>,
    pod_limits: Option<&ResourceList>,
    containers: &[Container],
    init_containers: &[Container],
) -> QosClass {
    let (mut requests, mut limits) = (ResourceList::default(), ResourceList::default());
    let mut guaranteed = true;
    if pod_requests.is_some() || pod_limits.is_some() {
        if let Some(list) = pod_requests {
            add(&mut requests, list);
        }
        if let Some(list) = pod_limits.filter(|l| !l.is_empty()) {
            guaranteed = add(&mut limits, list) == 2;
        }
    } else {
        for container in containers.iter().chain(init_containers) {
            add(&mut requests, &container.requests);
            guaranteed &= add(&mut limits, &container.limits) == 2;
        }
    }
    if requests.is_empty() && limits.is_empty() {
        QosClass::BestEffort
    } else if guaranteed && requests == limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

/// Adds CPU and memory above zero; says how many of the two there were.
fn add(total: &mut ResourceList, list: &ResourceList) -> usize {
    let positive = |name| list.get(name).filter(|q| !q.is_zero() && !q.is_negative()).map(|q| (name, q));
    let found: ResourceList = [CPU, MEMORY].into_iter().filter_map(positive).collect();
    total.add(&found);
    found.0.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Quantity;

    fn list(text: &str) -> ResourceList {
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k, Quantity::parse(v).unwrap()))
            .collect()
    }

    fn container(requests: &str, limits: &str) -> Container {
        Container {
            name: "c".into(),
            image: "i".into(),
            pull_policy: crate::api::pod::PullPolicy::IfNotPresent,
            requests: list(requests),
            limits: list(limits),
            ports: Vec::new(),
            sidecar: false,
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            pre_stop_seconds: None,
            has_post_start: false,
        }
    }

    /// §7.11.
    #[test]
    fn classes_are_upstreams() {
        let both = "cpu=1 memory=1Gi";
        for (requests, limits, class) in [
            ("", "", QosClass::BestEffort),
            ("cpu=0 nvidia.com/gpu=1", "nvidia.com/gpu=1", QosClass::BestEffort),
            (both, both, QosClass::Guaranteed),
            (both, "", QosClass::Burstable),
            ("cpu=1", "cpu=1", QosClass::Burstable),
            (both, "cpu=2 memory=1Gi", QosClass::Burstable),
        ] {
            assert_eq!(
                qos_class(None, None, &[container(requests, limits)], &[]),
                class,
                "{requests}/{limits}"
            );
        }
        let mixed = [container(both, both), container("", "")];
        assert_eq!(qos_class(None, None, &mixed, &[]), QosClass::Burstable);
        assert_eq!(qos_class(None, None, &mixed[..1], &mixed[1..]), QosClass::Burstable);
    }

    #[test]
    fn resources_of_the_pod_come_first() {
        let all = list("cpu=1 memory=1Gi");
        let containers = [container("", "")];
        assert_eq!(qos_class(Some(&all), Some(&all), &containers, &[]), QosClass::Guaranteed);
        assert_eq!(qos_class(Some(&all), None, &containers, &[]), QosClass::Burstable);
        assert_eq!(
            qos_class(Some(&list("cpu=1")), Some(&list("cpu=1")), &containers, &[]),
            QosClass::Burstable
        );
    }
}
