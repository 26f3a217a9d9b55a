//! What nodes say and suffer, and what they make Pods wait for.

use super::*;

/// §7.9, §13.39.
#[test]
fn what_does_not_fit_is_rejected() {
    for (spec, reason, message) in [
        (
            container(json!({"resources": {"requests": {"cpu": "1500m"}}})),
            "OutOfcpu",
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
        ),
        (
            container(json!({"resources": {"requests": {"memory": "5Gi"}}})),
            "OutOfmemory",
            "Pod was rejected: Node didn't have enough resource: memory, requested: 5368709120, used: 0, capacity: 4294967296",
        ),
        (
            json!({"nodeSelector": {"pool": "b"}, "containers": [{"name": "c", "image": "a"}]}),
            "NodeAffinity",
            "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            container(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
            "NodePorts",
            "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
    ] {
        let mut rig = Rig::new();
        let first = json!({"resources": {"requests": {"cpu": "1"}}, "ports": [{"containerPort": 80, "hostPort": 80}]});
        rig.pod("first", container(first));
        rig.pod("second", spec);
        let status = &rig.get("second").status;
        assert_eq!((status.phase.as_str(), status.reason.as_str()), ("Failed", reason));
        assert_eq!(status.message, message);
        assert_eq!(rig.reasons("second"), [reason]);
    }
}

/// §7.3.
#[test]
fn a_config_map_that_comes_late_is_used() {
    let mut rig = Rig::new();
    rig.pod("env", container(json!({"envFrom": [{"configMapRef": {"name": "cfg"}}]})));
    let mut spec = app();
    spec["volumes"] = json!([{"name": "files", "configMap": {"name": "cfg"}}]);
    rig.pod("files", spec);
    rig.run(5);
    assert_eq!(
        rig.trace()[2..],
        ["1 env Pending 0/1 CreateContainerConfigError"],
        "the volume is waited for before anything starts"
    );
    rig.store.create(testkit::config_map("cfg")).unwrap();
    rig.run(60);
    assert_eq!(rig.trace(), ["8.5 files Running 1/1 Ready", "13 env Running 1/1 Ready"]);
    // Once more after the runtime's event about the sandbox.
    assert!(rig.events("env").contains(&"Failed: Error: configmap \"cfg\" not found x2".to_owned()));
    assert!(rig.events("files").iter().any(|e| e.starts_with(
        "FailedMount: MountVolume.SetUp failed for volume \"files\" : configmap \"cfg\" not found"
    )));
}

/// §6.9.
#[test]
fn a_node_joins_and_becomes_ready() {
    let mut rig = Rig::without_nodes();
    rig.run(7);
    let (node, csi) = Rig::node("n1");
    rig.with(|kubelets, ctx| kubelets.join(node, csi, ctx)).unwrap();
    rig.settle();
    rig.pod("p", app());
    let ready = |rig: &Rig| {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        condition::find(&node.status.conditions, "Ready")
            .map(|c| (c.status.as_str(), c.reason.to_string()))
            .unwrap()
    };
    assert_eq!(ready(&rig), ("False", "KubeletNotReady".to_owned()));
    rig.run(20);
    assert_eq!(ready(&rig), ("True", "KubeletReady".to_owned()));
    assert_eq!(rig.trace(), ["7 p Pending 0/1 ContainerCreating", "10 p Running 1/1 Ready"]);
    assert_eq!(rig.reasons("n1"), ["Starting", "NodeReady"], "conditions that a new Node brings are no news");
}

/// §6.1.
#[test]
fn leases_are_renewed_by_rule_until_the_node_goes_silent() {
    let mut rig = Rig::new();
    rig.run(31);
    assert_eq!(rig.kubelets.last_renewal("n1", rig.store.now()), Some(SimTime::from_secs(30)));
    let last = rig.with(|k, ctx| k.partition("n1", ctx));
    assert_eq!(last, Some(SimTime::from_secs(30)));
    rig.run(75);
    let lease = |rig: &Rig| {
        let lease = rig.store.find::<Lease>("kube-node-lease", "n1").unwrap();
        lease.last_renewal(rig.store.now(), rig.store.calendar()).unwrap().as_secs()
    };
    assert_eq!((lease(&rig), rig.kubelets.is_up("n1")), (30, false));
    rig.with(|k, ctx| k.heal("n1", ctx));
    rig.run(75);
    assert_eq!((lease(&rig), rig.kubelets.is_up("n1")), (75, true));
    rig.run(80);
    assert_eq!(lease(&rig), 80);
    // A renewal that is due in the instant of the failure does not come.
    assert_eq!(rig.with(|k, ctx| k.fail_node("n1", ctx)), Some(SimTime::from_secs(75)));
}

#[test]
fn nodes_that_return_together_speak_one_after_another() {
    let mut rig = Rig::new();
    rig.join_ready("n2");
    rig.latencies.node_reconnect = Latencies::default().node_reconnect;
    rig.run(12);
    for node in ["n1", "n2"] {
        rig.with(|k, ctx| k.partition(node, ctx));
    }
    rig.run(100);
    for node in ["n1", "n2"] {
        rig.with(|k, ctx| k.heal(node, ctx));
    }
    let spoke = |rig: &Rig, node: &str| rig.kubelets.last_renewal(node, rig.store.now()).unwrap();
    assert_eq!(["n1", "n2"].map(|node| spoke(&rig, node).as_secs()), [10, 10], "not in the same instant");
    rig.run(101);
    let spoke = ["n1", "n2"].map(|node| {
        let lease = rig.store.find::<Lease>("kube-node-lease", node).unwrap();
        lease.renewals.unwrap().since
    });
    assert!(spoke[0] != spoke[1], "{spoke:?}");
    assert!(
        spoke.iter().all(|at| at.since(SimTime::from_secs(100)) <= SimDuration::from_millis(50)),
        "{spoke:?}"
    );
}

/// What was deleted by force meanwhile ends as what was marked does.
#[test]
fn containers_of_a_pod_that_went_during_a_partition_end_with_the_first_look() {
    let mut rig = Rig::new();
    rig.pod("goes", app());
    rig.run(10);
    let id = rig.store.id_of::<Pod>(&ObjectKey::new("default", "goes")).unwrap();
    rig.with(|k, ctx| k.partition("n1", ctx));
    rig.store.delete::<Pod>(&ObjectKey::new("default", "goes"), &DeleteOptions::force()).unwrap();
    rig.run(100);
    assert!(rig.kubelets.pods.contains_key(&id), "it runs on");
    rig.with(|k, ctx| k.heal("n1", ctx));
    rig.run(100);
    assert!(rig.kubelets.pods.contains_key(&id));
    rig.run(101);
    assert!(!rig.kubelets.pods.contains_key(&id), "no second for its end beside the look");
}

/// §6.3, §6.5.
#[test]
fn after_a_partition_statuses_are_told_and_marked_pods_end() {
    let mut rig = Rig::new();
    rig.pod("stays", app());
    rig.pod("goes", app());
    rig.run(10);
    rig.trace();
    rig.with(|k, ctx| k.partition("n1", ctx));
    rig.delete("goes", None);
    rig.store
        .update::<Pod>(&ObjectKey::new("default", "stays"), |pod| {
            let ready = pod.status.conditions.iter_mut().find(|c| c.kind == "Ready").unwrap();
            ready.status = crate::api::ConditionStatus::False;
        })
        .unwrap();
    rig.pod("new", app());
    rig.run(100);
    rig.trace();
    rig.with(|k, ctx| k.heal("n1", ctx));
    rig.run(110);
    assert_eq!(
        rig.trace(),
        [
            "101 stays Running 1/1 Ready",
            "101 goes Succeeded 0/1 Completed(0) deleted",
            "101 goes gone",
            "101 new Pending 0/1 ContainerCreating",
            "102 new Running 1/1 Ready",
        ]
    );
}

/// §5.3: whether something may be scheduled on a node is said when its status is next computed.
#[test]
fn a_cordon_is_said_by_the_kubelet() {
    let mut rig = Rig::new();
    rig.pod("web", app());
    rig.run(12);
    rig.trace();
    let cordon = |rig: &mut Rig, on: bool| {
        rig.store.update_spec::<Node>(&ObjectKey::cluster("n1"), |node| node.unschedulable = on).unwrap();
        rig.settle();
    };
    cordon(&mut rig, true);
    rig.run(19);
    assert!(rig.events("n1").is_empty());
    rig.run(22);
    cordon(&mut rig, false);
    rig.run(40);
    assert_eq!(
        rig.events("n1"),
        [
            "NodeNotSchedulable: Node n1 status is now: NodeNotSchedulable",
            "NodeSchedulable: Node n1 status is now: NodeSchedulable"
        ]
    );
    assert!(rig.trace().is_empty(), "what runs is not touched");
}

/// §6.9, §7.2: what a node says of its readiness, and what Pods say that wait for its network.
#[test]
fn a_node_without_a_network_says_so() {
    let mut rig = Rig::without_nodes();
    let (node, csi) = Rig::node("n1");
    rig.with(|kubelets, ctx| kubelets.join(node, csi, ctx)).unwrap();
    rig.settle();
    rig.pod("p", app());
    let mut host = app();
    host["hostNetwork"] = json!(true);
    rig.pod("host", host);
    rig.run(1);
    let ready = |rig: &Rig| {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        condition::find(&node.status.conditions, "Ready").unwrap().message.to_string()
    };
    let problem = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
    assert_eq!(ready(&rig), problem);
    assert_eq!(rig.events("p"), [format!("NetworkNotReady: network is not ready: {problem}")]);
    assert_eq!(
        rig.trace().last().unwrap(),
        "1 host Running 1/1 Ready",
        "the host's network is no matter of plugins"
    );
    assert_eq!(rig.get("host").status.pod_ip, rig.get("host").status.host_ip);
    rig.run(10);
    assert_eq!(ready(&rig), "kubelet is posting ready status");
    assert_eq!(rig.events("n1")[0], "Starting: Starting kubelet.");
    assert_eq!(rig.events("n1")[1], "NodeReady: Node n1 status is now: NodeReady");
}

/// §6.9, §11.2.
#[test]
fn a_machine_without_power_loses_its_containers() {
    let mut rig = Rig::new();
    rig.pod("web", app());
    let mut job = app();
    job["restartPolicy"] = "Never".into();
    rig.pod("job", job);
    rig.run(10);
    rig.trace();
    rig.with(|k, ctx| k.fail_node("n1", ctx));
    rig.run(60);
    let id = rig.store.id_of::<Pod>(&ObjectKey::new("default", "web")).unwrap();
    assert!(!rig.kubelets.answers(id, rig.store.now()));
    assert!(rig.trace().is_empty(), "nothing is reported");
    rig.with(|k, ctx| k.restore_node("n1", ctx));
    rig.run(100);
    assert_eq!(rig.trace(), ["61 job Failed 0/1 Unknown(255)", "63 web Running 1/1 x1 Ready"]);
    assert!(rig.kubelets.answers(id, rig.store.now()));
    let said = rig.events("n1");
    assert!(
        said.iter().any(|e| e.starts_with("Rebooted: Node n1 has been rebooted, boot id: ")),
        "{said:#?}"
    );
}

#[test]
fn without_its_kubelet_a_node_goes_on_blindly() {
    let mut rig = Rig::new();
    rig.exits("crash", 20, 1);
    rig.pod("crash", app());
    rig.pod("goes", app());
    rig.run(10);
    rig.trace();
    rig.with(|k, ctx| k.stop_kubelet("n1", ctx));
    rig.delete("goes", None);
    rig.run(60);
    assert_eq!(rig.trace(), ["10 goes Running 1/1 Ready deleted"]);
    let id = rig.store.id_of::<Pod>(&ObjectKey::new("default", "goes")).unwrap();
    assert!(rig.kubelets.answers(id, rig.store.now()), "nobody has stopped it");
    rig.with(|k, ctx| k.start_kubelet("n1", ctx));
    rig.run(62);
    assert_eq!(
        rig.trace(),
        [
            "61 crash Running 0/1 Error(1)",
            "61 goes Succeeded 0/1 Completed(0) deleted",
            "61 goes gone",
            "62 crash Running 1/1 x1 Ready",
        ]
    );
}

/// §7.13.
#[test]
fn a_static_pod_outlives_its_mirror() {
    let mut rig = Rig::new();
    rig.create(&json!({
        "metadata": {"name": "etcd-n1", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}},
        "spec": app(),
    }));
    rig.run(10);
    let uid = rig.get("etcd-n1").meta.uid.clone();
    rig.delete("etcd-n1", None);
    let pod = rig.get("etcd-n1").clone();
    assert!(pod.meta.uid != uid && pod.is_ready() && !pod.meta.is_deleting());
    let ContainerState::Running { started_at } = pod.status.containers[0].state else { panic!("stopped") };
    assert_eq!(rig.store.calendar().instant(started_at), SimTime::from_secs(1));
}

#[test]
fn volumes_are_in_use_while_containers_run_whatever_the_api_hears() {
    // autoscaling-storage.md §5.10: what a Pod writes, it writes as long as its containers run.
    let mut rig = Rig::new();
    let mut spec = app();
    spec["volumes"] = json!([{"name": "data", "hostPath": {"path": "/data"}}]);
    rig.pod("db", spec);
    rig.pod("plain", app());
    rig.run(10);
    let told = |rig: &mut Rig| -> Vec<String> {
        let uses = std::mem::take(&mut rig.uses);
        uses.iter().map(|u| format!("{} on {}: {}", u.pod.name, u.node, u.begins)).collect()
    };
    assert_eq!(told(&mut rig), ["db on n1: true"]);
    rig.with(|kubelets, ctx| kubelets.partition("n1", ctx));
    rig.run(20);
    assert!(told(&mut rig).is_empty(), "a partition stops no container");
    rig.with(|kubelets, ctx| kubelets.fail_node("n1", ctx));
    assert_eq!(told(&mut rig), ["db on n1: false"]);
}
