//! Small objects for unit tests.

use crate::api::pod::{Affinity, PullPolicy, QosClass, RestartPolicy};
use crate::api::service::{Namespace, Service, ServicePort};
use crate::api::storage::{PersistentVolume, PvSource, ReclaimPolicy, VolumePhase};
use crate::api::workload::{Deployment, DeploymentStrategy, IntOrPercent, ReplicaSet};
use crate::api::{
    Container, ContainerState, ContainerStatus, Inert, LabelSelector, Labels, Lasting, Meta, Pod, PodSpec,
    PodStatus, PodTemplate, ResourceList, fingerprint, k8s, metav1,
};
use crate::base::time::Calendar;
use crate::base::{Arc, Str, Timestamp};
use crate::kernel::Seed;
use crate::store::Store;

/// A calendar that starts at the default instant.
pub fn calendar() -> Calendar {
    Calendar { start: Timestamp::new(1_767_600_000) }
}

/// A store with the namespace `default`.
pub fn store() -> Store {
    let mut store = Store::new(calendar(), Seed(1));
    store.create(namespace("default")).unwrap();
    store
}

/// A namespace as the API server makes it.
pub fn namespace(name: &str) -> Namespace {
    Namespace {
        meta: Meta::named("", name),
        spec_finalizers: vec!["kubernetes".into()],
        ..Namespace::default()
    }
}

/// Labels as `a=b,c=d`.
pub fn labels(text: &str) -> Labels {
    text.split(',').filter_map(|pair| pair.split_once('=')).collect()
}

/// An object that nothing acts on.
pub fn config_map(name: &str) -> Inert {
    Inert {
        meta: Meta::named("default", name),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespaced: true,
        body: "{}".into(),
    }
}

/// A container called `main`.
pub fn container(image: &str) -> Container {
    Container {
        name: "main".into(),
        image: image.into(),
        pull_policy: PullPolicy::IfNotPresent,
        requests: ResourceList::default(),
        limits: ResourceList::default(),
        ports: Vec::new(),
        sidecar: false,
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        pre_stop_seconds: None,
        has_post_start: false,
    }
}

/// A spec with one container of this image.
pub fn pod_spec(image: &str) -> PodSpec {
    let raw = raw_spec(image);
    PodSpec {
        fingerprint: fingerprint::fingerprint(&raw),
        raw: Arc::new(raw),
        containers: vec![container(image)],
        init_containers: Vec::new(),
        restart_policy: RestartPolicy::Always,
        termination_grace_seconds: 30,
        active_deadline_seconds: None,
        node_selector: Labels::default(),
        affinity: Affinity::default(),
        tolerations: Vec::new(),
        topology_spread: Vec::new(),
        scheduler_name: "default-scheduler".into(),
        priority: 0,
        priority_class_name: Str::new(),
        never_preempts: false,
        scheduling_gates: Vec::new(),
        host_network: false,
        volumes: Vec::new(),
        overhead: ResourceList::default(),
        pod_requests: None,
        pod_limits: None,
        readiness_gates: Vec::new(),
        service_account: "default".into(),
        resource_claims: Vec::new(),
        qos: QosClass::BestEffort,
    }
}

fn raw_spec(image: &str) -> k8s::core::v1::PodSpec {
    k8s::core::v1::PodSpec {
        containers: vec![k8s::core::v1::Container {
            name: "main".into(),
            image: Some(image.into()),
            ..k8s::core::v1::Container::default()
        }],
        ..k8s::core::v1::PodSpec::default()
    }
}

/// A template with these labels and the image `app:v1`.
pub fn pod_template(text: &str) -> Arc<PodTemplate> {
    image_template(text, "app:v1")
}

/// A template with these labels and this image.
pub fn image_template(text: &str, image: &str) -> Arc<PodTemplate> {
    let labels = labels(text);
    let raw = k8s::core::v1::PodTemplateSpec {
        metadata: Some(metav1::ObjectMeta {
            labels: Some(labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()),
            ..metav1::ObjectMeta::default()
        }),
        spec: Some(raw_spec(image)),
    };
    Arc::new(PodTemplate {
        fingerprint: fingerprint::fingerprint(&raw),
        raw: Arc::new(raw),
        labels,
        annotations: Labels::default(),
        finalizers: Vec::new().into(),
        spec: Arc::new(pod_spec(image)),
    })
}

/// A Pod of the namespace `default` that nobody manages.
pub fn pod(name: &str, text: &str) -> Pod {
    Pod {
        meta: Lasting { labels: labels(text), ..Lasting::named("default", name) }.into(),
        spec: Arc::new(pod_spec("app:v1")),
        node_name: None,
        status: PodStatus::default(),
    }
}

/// The status of a running container that has started again so often.
pub fn container_status(name: &str, restarts: u32) -> ContainerStatus {
    ContainerStatus {
        name: name.into(),
        image: "app:v1".into(),
        state: ContainerState::Running { started_at: calendar().start },
        last_termination: None,
        ready: true,
        started: true,
        restart_count: restarts,
        resized: None,
    }
}

/// A Deployment with the label and selector `app=<name>` and upstream's defaults.
pub fn deployment(name: &str, replicas: i32) -> Deployment {
    let text = format!("app={name}");
    Deployment {
        meta: Lasting { labels: labels(&text), ..Lasting::named("default", name) }.into(),
        replicas,
        selector: LabelSelector::from_labels(&labels(&text)),
        match_labels: labels(&text),
        template: pod_template(&text),
        strategy: DeploymentStrategy::RollingUpdate {
            max_surge: IntOrPercent::Percent(25),
            max_unavailable: IntOrPercent::Percent(25),
        },
        min_ready_seconds: 0,
        revision_history_limit: 10,
        paused: false,
        progress_deadline_seconds: 600,
        status: Default::default(),
    }
}

/// A ReplicaSet with the label and selector `app=<name>`.
pub fn replica_set(name: &str, replicas: i32) -> ReplicaSet {
    let text = format!("app={name}");
    ReplicaSet {
        meta: Lasting { labels: labels(&text), ..Lasting::named("default", name) }.into(),
        replicas,
        selector: LabelSelector::from_labels(&labels(&text)),
        match_labels: labels(&text),
        template: pod_template(&text),
        min_ready_seconds: 0,
        status: Default::default(),
    }
}

/// A Service with the selector `app=<name>` and port 80.
pub fn service(name: &str) -> Service {
    Service {
        meta: Meta::named("default", name),
        selector: Some(labels(&format!("app={name}"))),
        service_type: "ClusterIP".into(),
        cluster_ip: "10.96.0.10".into(),
        ports: vec![ServicePort {
            protocol: "TCP".into(),
            port: 80,
            target_port: "80".into(),
            ..ServicePort::default()
        }],
        ..Service::default()
    }
}

/// A volume of this source for nobody: nothing is known of its size, its modes and its place.
pub fn persistent_volume(name: &str, source: PvSource) -> PersistentVolume {
    PersistentVolume {
        meta: Meta::named("", name),
        capacity: ResourceList::default(),
        access_modes: Vec::new(),
        claim_ref: None,
        reclaim_policy: ReclaimPolicy::default(),
        storage_class: Str::new(),
        block: false,
        node_affinity: None,
        source,
        attributes_class: None,
        mount_options: Vec::new(),
        rest: None,
        phase: VolumePhase::default(),
        reason: Str::new(),
        message: Str::new(),
    }
}
