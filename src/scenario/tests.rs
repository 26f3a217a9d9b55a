use super::*;
use crate::base::{SimDuration, SimTime};
use crate::params::{Delay, ImagePull};

mod accepted;
mod refused;
mod timelines;

/// A Deployment, a claim and a Service that scenarios can refer to.
const SHOP: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: 'web:v1'}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80}]
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, namespace: shop}
";

fn files() -> MemoryFiles {
    MemoryFiles::default().with("s/manifests/shop.yaml", SHOP)
}

/// Reads a scenario whose `spec` is given.
fn read(spec: &str) -> (Option<Plan>, Vec<Diagnostic>, SourceMap) {
    let indented: String = spec.trim_matches('\n').lines().map(|l| format!("  {l}\n")).collect();
    let text = format!(
        "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec:\n{indented}"
    );
    let mut sources = SourceMap::default();
    let (plan, diagnostics) = load_text(&files(), "s/test.yaml", &text, &mut sources);
    (plan, diagnostics, sources)
}

/// The plan of a scenario without errors.
fn plan(spec: &str) -> Plan {
    let (plan, diagnostics, sources) = read(spec);
    let told = crate::report::diagnostics::render(&diagnostics, &sources, false);
    plan.unwrap_or_else(|| panic!("{told}"))
}

/// What is wrong with a scenario: `code line:column message | help` for each mistake.
fn mistakes(spec: &str) -> Vec<String> {
    let (_, diagnostics, sources) = read(spec);
    let told = |d: &Diagnostic| {
        let place = d.label.as_ref().and_then(|(span, _)| sources.line_column(*span));
        let place =
            place.map_or_else(String::new, |(line, column)| format!("{}:{column} ", line.saturating_sub(4)));
        let help = d.help.as_ref().map(|h| format!(" | {h}")).unwrap_or_default();
        format!("{} {place}{}{help}", d.code, d.message)
    };
    diagnostics.iter().filter(|d| d.severity != Severity::Note).map(told).collect()
}

fn s(seconds: u64) -> SimTime {
    SimTime::from_secs(seconds)
}
