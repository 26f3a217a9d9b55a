//! Storage in whole runs: who waits for whom, in which words and for how long. The sections are those of
//! autoscaling-storage.md.

use crate::support;

/// Three nodes in three zones, a class of a zonal driver, a claim and a Pod that uses it.
fn scenario(name: &str, cluster: &str, rest: &str) -> String {
    format!(
        r#"
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {{name: {name}}}
spec:
  seed: 1
  duration: 20m
  cluster:
    zones: [zone-a, zone-b, zone-c]
    nodeGroups:
      - {{name: workers, size: 3, volumeLimits: {{disk.example.com: 25}}, capacity: {{cpu: "4", memory: 16Gi, ephemeral-storage: 100Gi, pods: "110"}}}}
    latencies: {{imagePull: 0s, containerStart: 1s, volumeProvision: 1s, volumeAttach: 1s, volumeDetach: 1s}}
{cluster}
  manifests:
    - inline: |
        apiVersion: storage.k8s.io/v1
        kind: StorageClass
        metadata: {{name: disk}}
        provisioner: disk.example.com
        volumeBindingMode: WaitForFirstConsumer
{rest}
"#
    )
}

const CLAIM_AND_POD: &str = "        ---
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata: {name: data}
        spec: {accessModes: [ReadWriteOnce], storageClassName: disk, resources: {requests: {storage: 10Gi}}}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: db, labels: {app: db}}
        spec:
          containers: [{name: c, image: \"db:1\", volumeMounts: [{name: data, mountPath: /data}]}]
          volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

fn passes(name: &str, text: &str) {
    let folder = std::env::temp_dir().join(format!("wavetank-storage-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    let scenario = support::load(path.to_str().unwrap());
    let report = support::run(&scenario);
    assert!(support::passed(&report), "{}", support::told(&report));
}

/// §5.2, §5.5, §7.40: the volume is made before the Pod is bound; a zone without room gives the claim back, and the scheduler
/// says so.
#[test]
fn a_claim_that_is_given_back_is_scheduled_anew() {
    let cluster = "    drivers: [{name: disk.example.com, room: {zone-a: 1Gi, zone-b: 1Gi, zone-c: 1Gi}}]";
    let rest = CLAIM_AND_POD.to_owned()
        + "  steps:
    - {at: 2m, driver: {name: disk.example.com, room: {zone-a: 1Ti, zone-b: 1Ti, zone-c: 1Ti}}}
  expect:
    - {name: no node before the volume, during: [1s, 2m], pods: {name: db, scheduled: false, count: 1}}
    - {name: the driver says that it is full, by: 5s, event: {reason: ProvisioningFailed, message: 'failed to provision volume with StorageClass \"disk\": rpc error: code = ResourceExhausted desc = *'}}
    - {name: the scheduler says why it begins anew, by: 10s, event: {reason: FailedScheduling, object: Pod/db, message: 'running PreBind plugin \"VolumeBinding\": binding volumes: provisioning failed for PVC \"data\"'}}
    - {name: with room it goes on, by: 8m, pods: {name: db, ready: true, count: 1}}
";
    passes("given-back", &scenario("given-back", cluster, &rest));
}

/// §5.2: the scheduler waits for its claims for ten minutes, and looks once a second.
#[test]
fn a_volume_that_is_not_made_in_ten_minutes_is_given_up() {
    let cluster = "    drivers: [{name: disk.example.com, latencies: {create: 15m}}]";
    let rest = CLAIM_AND_POD.to_owned()
        + "  expect:
    - {name: it waits without a word, during: [10s, 10m], event: {reason: FailedScheduling, count: 0}}
    - {name: and gives up, by: 10m2s, event: {reason: FailedScheduling, object: Pod/db, message: 'running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded'}}
    - {name: the call goes on and the next cycle finds the volume, by: 16m, pods: {name: db, ready: true, count: 1}}
";
    passes("given-up", &scenario("given-up", cluster, &rest));
}

/// §5.2, §6.5: what a first Pod waits for: the volume, the poll, the attachment.
#[test]
fn the_steps_of_a_first_start_add_up() {
    let rest = CLAIM_AND_POD.to_owned()
        + "  expect:
    - {name: the volume takes a second, at: 900ms, pvc: {name: data, phase: Pending}}
    - {name: and a little, by: 1200ms, pvc: {name: data, phase: Bound}}
    - {name: the scheduler looks at the second second, at: 1900ms, pods: {name: db, scheduled: false, count: 1}}
    - {name: and binds, by: 2200ms, pods: {name: db, scheduled: true, count: 1}}
    - {name: the disk takes a second, at: 3s, pods: {name: db, phase: Pending, count: 1}}
    - {name: the container another, by: 4500ms, pods: {name: db, ready: true, count: 1}}
";
    passes("first-start", &scenario("first-start", "", &rest));
}

/// §5.10: a generic ephemeral volume comes and goes with its Pod.
#[test]
fn an_ephemeral_volume_goes_with_its_pod() {
    let rest = "        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: job}
        spec:
          containers: [{name: c, image: \"job:1\", volumeMounts: [{name: tmp, mountPath: /tmp}]}]
          volumes:
            - name: tmp
              ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], storageClassName: disk, resources: {requests: {storage: 1Gi}}}}}
  steps:
    - {at: 1m, delete: {resource: pod/job}}
  expect:
    - {name: it is there, at: 30s, pvc: {name: job-tmp, phase: Bound}}
    - {name: and gone with the Pod, by: 2m, object: {resource: pvc/job-tmp, absent: true}}
";
    passes("ephemeral", &scenario("ephemeral", "", rest));
}

/// §5.9, §5.10, §7.38: a local volume is lost with its node, and the Pod waits for ever.
#[test]
fn a_local_volume_holds_its_pod_to_a_dead_node() {
    let rest = "        ---
        apiVersion: storage.k8s.io/v1
        kind: StorageClass
        metadata: {name: local}
        provisioner: kubernetes.io/no-provisioner
        volumeBindingMode: WaitForFirstConsumer
        ---
        apiVersion: v1
        kind: PersistentVolume
        metadata: {name: ssd}
        spec:
          capacity: {storage: 100Gi}
          accessModes: [ReadWriteOnce]
          storageClassName: local
          local: {path: /mnt/ssd}
          nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [workers-zone-a-1]}]}]}}
        ---
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: db}
        spec:
          serviceName: db
          selector: {matchLabels: {app: db}}
          template:
            metadata: {labels: {app: db}}
            spec: {containers: [{name: c, image: \"db:1\", volumeMounts: [{name: data, mountPath: /data}]}]}
          volumeClaimTemplates:
            - metadata: {name: data}
              spec: {accessModes: [ReadWriteOnce], storageClassName: local, resources: {requests: {storage: 1Gi}}}
  steps:
    - {at: 1m, removeNode: {nodes: [workers-zone-a-1]}}
  expect:
    - {name: it runs beside its disk, at: 50s, pods: {name: db-0, node: workers-zone-a-1, ready: true, count: 1}}
    - {name: and waits for ever, during: [3m, 20m], pods: {name: db-0, phase: Pending, cause: VolumeNodeAffinityConflict, count: 1}}
    - {name: nothing was attached, event: {reason: SuccessfulAttachVolume, count: 0}}
";
    passes("local", &scenario("local", "", rest));
}

/// §5.10, §7.47: a bucket is a folder that was written by hand: nothing is attached, and nobody makes one.
#[test]
fn a_bucket_is_not_made_on_demand() {
    let rest = "        ---
        apiVersion: storage.k8s.io/v1
        kind: StorageClass
        metadata: {name: s3}
        provisioner: s3.csi.aws.com
        ---
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata: {name: wished}
        spec: {accessModes: [ReadWriteMany], storageClassName: s3, resources: {requests: {storage: 1Gi}}}
        ---
        apiVersion: v1
        kind: PersistentVolume
        metadata: {name: bucket}
        spec:
          capacity: {storage: 1200Gi}
          accessModes: [ReadWriteMany]
          storageClassName: \"\"
          claimRef: {namespace: default, name: bucket}
          csi: {driver: s3.csi.aws.com, volumeHandle: s3-csi-driver-volume}
        ---
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata: {name: bucket}
        spec: {accessModes: [ReadWriteMany], storageClassName: \"\", volumeName: bucket, resources: {requests: {storage: 1200Gi}}}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 3
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec:
              containers: [{name: c, image: \"web:1\", volumeMounts: [{name: b, mountPath: /b}]}]
              volumes: [{name: b, persistentVolumeClaim: {claimName: bucket}}]
  expect:
    - {name: three nodes have it, by: 30s, deployment: {name: web, available: 3}}
    - {name: nothing was attached, event: {reason: SuccessfulAttachVolume, count: 0}}
    - {name: the other claim waits, at: 15m, pvc: {name: wished, phase: Pending}}
    - {name: for somebody who makes it, event: {reason: ExternalProvisioning, object: PersistentVolumeClaim/wished, count: '>= 1'}}
";
    passes("bucket", &scenario("bucket", "", rest));
}

/// §5.6, §5.1: a Pod that names its node comes past the scheduler; its claim of a delayed class is then never bound.
#[test]
fn a_pod_that_names_its_node_waits_for_a_claim_that_waits_for_the_scheduler() {
    let rest = CLAIM_AND_POD.replace("        spec:\n          containers", "        spec:\n          nodeName: workers-zone-a-1\n          containers")
        + "  expect:
    - {name: the claim waits for a consumer, at: 10m, pvc: {name: data, phase: Pending}}
    - {name: the kubelet for the claim, by: 30s, event: {reason: FailedMount, object: Pod/db, message: 'Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[data]: error processing PVC default/data: PVC is not bound'}}
    - {name: for ever, pods: {name: db, phase: Pending, scheduled: true, count: 1}}
";
    passes("named-node", &scenario("named-node", "", &rest));
}

/// §5.5, §7.43: with Immediate binding the zone is chosen before anybody asks where there is room, whatever the seed. (With a
/// hundred seeds: `wavetank test scenarios/immediate-or-patient.yaml --seeds 0..100`.)
#[test]
fn immediate_binding_strands_pods_whatever_the_seed() {
    let mut scenario = support::load(&format!("{}/immediate-or-patient.yaml", support::scenarios_folder()));
    for seed in 0..15 {
        scenario.plan.seed = seed;
        let report = support::run(&scenario);
        assert!(support::passed(&report), "seed {seed}\n{}", support::told(&report));
    }
}
