//! Memory and disk that run short.

use super::*;

const MI: i64 = 1 << 20;

#[test]
fn a_leak_ends_at_the_memory_limit() {
    let mut rig = Rig::new();
    rig.behave("leak", |b| b.memory = Some(MemoryUse { idle: 40 * MI, per_request: 0, growth: 2 * MI }));
    rig.pod("leak", container(json!({"resources": {"limits": {"memory": "100Mi"}}})));
    rig.run(40);
    let trace = rig.trace();
    assert_eq!(trace[1], "1 leak Running 1/1 Ready");
    // Over the limit after 30 s.
    assert!(trace[2].starts_with("31.") && trace[2].ends_with("leak Running 1/1 x1 Ready"), "{trace:#?}");
    let end = rig.get("leak").status.containers[0].last_termination.clone().unwrap();
    assert_eq!((end.exit_code, end.reason.as_str()), (137, "OOMKilled"));
}

#[test]
fn a_node_short_of_memory_evicts_the_greediest() {
    let mut rig = Rig::new();
    for (name, mi) in [("modest", 200), ("greedy", 900)] {
        rig.behave(name, |b| b.memory = Some(MemoryUse { idle: mi * MI, per_request: 0, growth: 0 }));
    }
    rig.pod("modest", container(json!({"resources": {"requests": {"memory": "500Mi"}}})));
    rig.pod("greedy", container(json!({"resources": {"requests": {"memory": "500Mi"}}})));
    rig.run(15);
    rig.trace();
    let none = SimDuration::ZERO;
    assert!(rig.with(|k, ctx| k.fill_node("n1", (Scarce::Memory, InUse::Bytes(2950 * MI), none), ctx)));
    rig.run(60);
    assert_eq!(rig.trace(), ["21.01 greedy Failed 0/1 Completed(0)"]);
    assert_eq!(
        rig.get("greedy").status.message,
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 46Mi. \
         Container c was using 900Mi, request is 500Mi, has larger consumption of memory. "
    );
    let pressure = |rig: &Rig| {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        condition::find(&node.status.conditions, "MemoryPressure").map(|c| c.reason.to_string()).unwrap()
    };
    assert_eq!(pressure(&rig), "KubeletHasInsufficientMemory");
    // Pods that asked for nothing are turned away meanwhile.
    rig.pod("late", app());
    assert_eq!(rig.get("late").status.reason, "Evicted");
    assert_eq!(
        rig.get("late").status.message,
        "Pod was rejected: The node had condition: [MemoryPressure]. "
    );
    rig.run(1000);
    assert_eq!(pressure(&rig), "KubeletHasSufficientMemory");
    assert_eq!(
        rig.reasons("n1"),
        ["NodeHasInsufficientMemory", "EvictionThresholdMet", "NodeHasSufficientMemory"]
    );
    assert!(rig.timers.is_empty());
}

#[test]
fn a_container_that_writes_more_than_it_may_is_evicted() {
    let mut rig = Rig::new();
    rig.pod("logs", container(json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}})));
    rig.run(5);
    rig.trace();
    let key = ObjectKey::new("default", "logs");
    let minute = SimDuration::from_mins(1);
    assert!(rig.with(|k, ctx| k.fill_pod(&key, None, (Scarce::Disk, InUse::Percent(200), minute), ctx)));
    rig.run(100);
    // Half of the minute, then the monitor's next turn.
    assert_eq!(rig.trace(), ["41.01 logs Failed 0/1 Completed(0)"]);
    assert_eq!(
        rig.get("logs").status.message,
        "Container c exceeded its local ephemeral storage limit \"1Gi\". "
    );
}
