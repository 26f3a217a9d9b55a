use super::*;

const CLUSTER: &str = "
cluster:
  version: '1.34'
  nodes:
  - name: node-a1
    zone: zone-a
    capacity: {cpu: '4', ephemeral-storage: 100Gi, memory: 16Gi, pods: '110'}
    allocatable: {cpu: '4', ephemeral-storage: 100Gi, memory: 16Gi, pods: '110'}
    labels: {node.kubernetes.io/instance-type: m5.xlarge, topology.kubernetes.io/region: region-1}
    taints: [{key: dedicated, value: gpu, effect: NoSchedule}]
    volumeLimits: {ebs.csi.example.com: 25}
  latencies: {imagePull: 0s, containerStart: 1s, probeReady: 2s, leaseStagger: 0s}
";

#[test]
fn recorded_clusters_are_described_as_they_are() {
    let plan = plan(CLUSTER);
    let node = &plan.nodes[0];
    assert_eq!(node.node.status.allocatable, node.node.status.capacity);
    assert_eq!(node.node.status.allocatable.cpu_milli(), 4000);
    assert_eq!(node.node.taints[0].to_string(), "dedicated=gpu:NoSchedule");
    assert_eq!(node.csi_node.drivers.len(), 1);
    assert_eq!(node.csi_node.drivers[0].allocatable, Some(25));
    assert_eq!(node.node.status.kubelet_version, "v1.34.9");
    assert_eq!(plan.zones, ["zone-a"]);
    assert_eq!(plan.latencies.image_pull, ImagePull::Given(Delay::ZERO));
    assert_eq!(plan.latencies.probe_ready, Some(Delay::millis(2000)));
    assert_eq!(plan.latencies.volume_mount, Delay::ZERO, "starting takes one second in all");
    assert_eq!(plan.latencies.lease_stagger, SimDuration::ZERO);
}

/// Files of a folder outside, for recorded scenarios.
struct Folder;

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|e| e.to_string())
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        std::path::Path::new(pattern)
            .is_file()
            .then(|| vec![pattern.to_owned()])
            .ok_or("no such file".to_owned())
    }
}

/// Every scenario of the folder that `WAVETANK_TIMELINES` names can be read. What is probably not meant is what some are
/// about.
#[test]
fn recorded_scenarios_are_read() {
    let Ok(folder) = std::env::var("WAVETANK_TIMELINES") else { return };
    let mut read = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path().join("wavetank.yaml");
        if !path.is_file() {
            continue;
        }
        let mut sources = SourceMap::default();
        let (plan, diagnostics) = load(&Folder, path.to_str().unwrap(), &mut sources);
        let told = crate::report::diagnostics::render(&diagnostics, &sources, false);
        assert!(plan.is_some(), "{told}");
        let serious: Vec<_> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
        assert!(serious.is_empty(), "{told}");
        read += 1;
    }
    assert!(read > 0, "no scenarios under {folder}");
}
