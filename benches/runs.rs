//! Whole runs: a shop for half an hour, the zone that fails, and clusters of a thousand nodes.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use wavetank::base::SourceMap;
use wavetank::cli::files::DiskFiles;
use wavetank::facts::NullRecorder;
use wavetank::plan::Plan;
use wavetank::scenario::{MemoryFiles, load, load_text};
use wavetank::sim::World;

#[path = "../examples/shop_day.rs"]
mod shop_day;

fn of_gallery(name: &str) -> Plan {
    let path = format!("{}/scenarios/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    load(&DiskFiles, &path, &mut SourceMap::default()).0.expect("the gallery can be read")
}

/// `deployments` Deployments of `replicas` on `nodes` machines, for half an hour.
fn cluster(nodes: usize, deployments: usize, replicas: usize) -> Plan {
    let mut text = format!(
        "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: cluster}}\nspec:\n  duration: 30m\n  cluster:\n    \
         zones: [zone-a, zone-b, zone-c]\n    nodeGroups: [{{name: workers, instanceType: m6i.4xlarge, size: {nodes}}}]\n  \
         manifests:\n    - inline: |\n"
    );
    for number in 0..deployments {
        let _ = write!(
            text,
            "        ---\n        apiVersion: apps/v1\n        kind: Deployment\n        metadata: {{name: app-{number}}}\n        spec: {{replicas: {replicas}, \
             selector: {{matchLabels: {{app: app-{number}}}}}, template: {{metadata: {{labels: {{app: app-{number}}}}}, spec: {{containers: [{{name: app, \
             image: 'app:1', resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}]}}}}}}\n"
        );
    }
    plan_of(&text)
}

fn plan_of(text: &str) -> Plan {
    load_text(&MemoryFiles::default(), "made.yaml", text, &mut SourceMap::default())
        .0
        .expect("the scenario can be read")
}

fn run(plan: &Plan) -> u64 {
    let mut world = World::new(plan, &mut NullRecorder);
    world.run_to_end(&mut NullRecorder).expect("no limit is hit");
    world.outcome().events
}

fn runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole runs");
    group.sample_size(10);
    let shop = Plan { steps: Vec::new(), expectations: Vec::new(), ..of_gallery("zone-outage") };
    group.bench_function("a shop on 6 nodes, 30 minutes", |b| b.iter(|| black_box(run(&shop))));
    let outage = of_gallery("zone-outage");
    group.bench_function("a zone fails, 30 minutes", |b| b.iter(|| black_box(run(&outage))));
    let hundred = cluster(100, 30, 100);
    group.bench_function("100 nodes, 3,000 Pods", |b| b.iter(|| black_box(run(&hundred))));
    let thousand = cluster(1_000, 300, 100);
    group.bench_function("1,000 nodes, 30,000 Pods", |b| b.iter(|| black_box(run(&thousand))));
    let mut standing = World::new(&thousand, &mut NullRecorder);
    standing.run_to_end(&mut NullRecorder).expect("no limit is hit");
    group.bench_function("a copy of 1,000 nodes, 30,000 Pods", |b| b.iter(|| black_box(standing.clone())));
    drop(standing);
    let day = plan_of(&shop_day::scenario("24h"));
    group.bench_function("a day of a shop of 100 services", |b| b.iter(|| black_box(run(&day))));
    group.finish();
}

criterion_group!(whole, runs);
criterion_main!(whole);
