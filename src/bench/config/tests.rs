use super::*;
use crate::base::Severity;
use crate::bench::{NoMeter, Options, run};
use crate::scenario::MemoryFiles;

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {generateName: pod-, labels: {app: web}},\
                   spec: {containers: [{name: c, image: 'app:1', resources: {requests: {cpu: 500m}}}]}}";

fn files(config: &str) -> MemoryFiles {
    MemoryFiles::default().with("perf/misc/config.yaml", config).with("perf/templates/pod.yaml", POD)
}

/// The cases, and what is wrong in short.
fn read(config: &str) -> (Vec<Case>, Vec<String>) {
    let mut sources = SourceMap::default();
    let (cases, found) = load(&files(config), "perf/misc/config.yaml", &mut sources);
    let told = found.iter().filter(|d| d.severity == Severity::Error).map(|d| {
        let place = d.label.as_ref().and_then(|(span, _)| sources.line_column(*span));
        let (line, _) = place.unwrap_or_default();
        format!("{line}: {}; {}", d.message, d.help.as_deref().unwrap_or("-"))
    });
    (cases, told.collect())
}

#[test]
fn a_file_of_upstreams_format_is_carried_out() {
    let (cases, told) = read(
        "- name: Mine
  labels: [performance]
  defaultPodTemplatePath: ../templates/pod.yaml
  workloadTemplate:
  - opcode: createNodes
    countParam: $nodes
    labelNodePrepareStrategy: {labelKey: zone, labelValues: [a, b]}
  - opcode: createNamespaces
    prefix: ns
    count: 2
  - opcode: createPodSets
    count: 2
    namespacePrefix: ns
    createPodsOp: {opcode: createPods, countParam: $before}
  - opcode: churn
    mode: recreate
    number: 1
    templatePaths: [../templates/pod.yaml]
    intervalMilliseconds: 1000
  - opcode: createPods
    countParam: $pods
    namespace: ns-1
    collectMetrics: true
  - opcode: deletePods
    namespace: ns-0
    deletePodsPerSecond: 100
  - opcode: sleep
    duration: 1s
  - opcode: barrier
    namespaces: [ns-1]
  workloads:
  - name: small
    featureGates: {SchedulerQueueingHints: false}
    params: {nodes: 4, before: 3, pods: 12}
  - name: full
    labels: [performance, short]
    threshold: 200
    params: {nodes: 1, before: 2, pods: 12}
",
    );
    assert_eq!(told, Vec::<String>::new());
    let placed = |name: &str| {
        let size = cases[0].size(name).expect("the size is there");
        let measured = run(&cases[0], size, Options::default(), &mut NoMeter).expect("it runs");
        (measured.nodes, measured.pods, measured.placed)
    };
    assert_eq!(placed("small"), (4, 12, 12));
    // Eight Pods fit: two others stay, and one comes and goes.
    let (nodes, pods, placed) = placed("full");
    assert_eq!((nodes, pods), (1, 12));
    assert!((5..=6).contains(&placed), "{placed} found room");
    assert_eq!(cases[0].usual().map(|size| size.name.as_str()), Some("full"));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_cure() {
    let case = |op: &str| {
        format!(
            "- name: Mine\n  workloadTemplate:\n  - {op}\n  workloads: [{{name: small, params: {{nodes: 4}}}}]\n"
        )
    };
    for (op, expected) in [
        ("{opcode: createNode, count: 1}", "3: unknown opcode `createNode`; did you mean `createNodes`?"),
        (
            "{opcode: createResourceDriver}",
            "3: `createResourceDriver` is not carried out here; take the operation out, or choose another workload",
        ),
        ("{count: 1}", "3: `opcode` is missing; every operation says what it is: `opcode: createPods`"),
        ("{opcode: createNodes, countParam: nodes}", "3: `nodes` is no parameter; write `$nodes`"),
        (
            "{opcode: createNodes, countParam: $pods}",
            "3: workload `small` gives `pods` no value; write `pods` under its `params`",
        ),
        ("{opcode: createPods, cuont: 3}", "3: unknown field `cuont`; did you mean `count`?"),
        (
            "{opcode: createPods, podTemplatePath: ../templates/dop.yaml}",
            "3: `perf/misc/../templates/dop.yaml`: no such file; paths are relative to the file that names them",
        ),
        (
            "{opcode: churn, mode: recreate, templatePaths: [../templates/pod.yaml]}",
            "3: `recreate` needs a `number` of rounds; write `number: 1`",
        ),
    ] {
        assert_eq!(read(&case(op)).1, [expected], "{op}");
    }
    assert_eq!(
        read("[]").1,
        [
            "1: there is no workload in the file; write a list of test cases, each with `name`, `workloadTemplate` and \
          `workloads`"
        ]
    );
}
