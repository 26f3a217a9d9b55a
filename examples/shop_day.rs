//! Prints a scenario: a day of a shop of a hundred services with daily load, horizontal autoscalers for all of them, and a
//! cluster autoscaler over 50 to 200 nodes.
//!
//! ```sh
//! cargo run --release --example shop_day > day.yaml
//! wavetank run day.yaml --stats
//! ```

use std::fmt::Write as _;
use std::io::Write as _;

/// Services in each of four layers; those of one call some of the next.
const LAYERS: [usize; 4] = [10, 30, 35, 25];
/// How many services one of each layer calls.
const CALLS: [usize; 4] = [5, 4, 2, 0];

/// The scenario.
pub fn scenario(duration: &str) -> String {
    let mut text = format!(
        "apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {{name: shop-day}}
spec:
  duration: {duration}
  cluster:
    zones: [a, b, c]
    nodeGroups: [{{name: workers, instanceType: m6i.2xlarge, size: 50, min: 50, max: 200}}]
  manifests:
    - inline: |
"
    );
    let all: usize = LAYERS.iter().sum();
    for number in 0..all {
        let _ = write!(text, "{}", manifests(number));
    }
    text += "  behaviour:
    - {cpu: {idle: 20m, perRequest: 10m}, latency: 5ms, startup: 5s}
  traffic:
";
    let mut first = 0;
    for (layer, size) in LAYERS.into_iter().enumerate() {
        for place in 0..size {
            let _ = writeln!(text, "    - {}", requests(layer, first + place, place, first + size));
        }
        first += size;
    }
    let _ = write!(
        text,
        "  expect:
    - availability: {{service: svc-0, during: [10m, {duration}], atLeast: 99%}}
"
    );
    text
}

/// A Deployment with a Service and an autoscaler.
fn manifests(number: usize) -> String {
    let limits = if number.is_multiple_of(3) { "memory: 1Gi" } else { "cpu: '1', memory: 1Gi" };
    format!(
        "        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: svc-{number}}}
        spec:
          replicas: 3
          selector: {{matchLabels: {{app: svc-{number}}}}}
          template:
            metadata: {{labels: {{app: svc-{number}}}}}
            spec:
              containers:
                - name: app
                  image: shop/svc-{number}:1
                  readinessProbe: {{httpGet: {{path: /, port: 80}}}}
                  resources: {{requests: {{cpu: 500m, memory: 512Mi}}, limits: {{{limits}}}}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {{name: svc-{number}}}
        spec: {{selector: {{app: svc-{number}}}, ports: [{{port: 80}}]}}
        ---
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {{name: svc-{number}}}
        spec:
          scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: svc-{number}}}
          minReplicas: 2
          maxReplicas: 40
          metrics:
            - {{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}
        ---
"
    )
}

/// What comes from outside (to the first layer only), and what each request calls in the next layer.
fn requests(layer: usize, number: usize, place: usize, next: usize) -> String {
    let mut fields = vec![format!("service: svc-{number}"), "timeout: 5s".to_owned()];
    if layer == 0 {
        let mean = 120 + place * 6;
        let hour = if place % 4 == 3 { 13 } else { 20 };
        fields.push(format!("rate: {{daily: {{mean: {mean}, peak: {}, peakAt: {hour}h}}}}", mean * 9 / 5));
    }
    if CALLS[layer] > 0 {
        let size = LAYERS[layer + 1];
        let call = |k: usize| {
            let to = next + (place * 7 + k * (size / CALLS[layer])) % size;
            format!("{{service: svc-{to}, perRequest: {}}}", [0.3, 0.5, 0.8][(place + k) % 3])
        };
        let calls: Vec<String> = (0..CALLS[layer]).map(call).collect();
        fields.push(format!("calls: [{}]", calls.join(", ")));
    }
    format!("{{{}}}", fields.join(", "))
}

#[allow(dead_code, reason = "a benchmark takes the scenario only")]
fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(scenario("24h").as_bytes())
}
