use serde_json::{Value, json};

use crate::api::lower;
use crate::base::Timestamp;
use crate::report::kubectl::{TableOptions, table};

/// The table of one object, two minutes after it was made.
fn shown(mut json: Value, wide: bool) -> String {
    json["metadata"]["creationTimestamp"] = "2026-01-05T08:00:00Z".into();
    let object = lower::object(json).unwrap_or_else(|e| panic!("{e:?}"));
    let now = Timestamp::parse_rfc3339("2026-01-05T08:02:05Z").unwrap();
    table(&[object], now, &TableOptions { wide, ..TableOptions::default() })
}

#[test]
fn inert_kinds_have_their_columns() {
    for (json, expected) in [
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "", "b": ""}}),
            "NAME   DATA   AGE\nc      2      2m5s\n",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": ""},
                "stringData": {"a": "", "b": ""}}),
            "NAME   TYPE     DATA   AGE\ns      Opaque   2      2m5s\n",
        ),
        (
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
                "spec": {"ingressClassName": "nginx", "tls": [{}], "rules": [{"host": "a.b"}]}}),
            "NAME   CLASS   HOSTS   ADDRESS   PORTS     AGE\ni      nginx   a.b               80, 443   2m5s\n",
        ),
        (
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}),
            "NAME   CREATED AT\nr      2026-01-05T08:00:00Z\n",
        ),
        (
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}),
            "NAME   AGE\nw      2m5s\n",
        ),
    ] {
        assert_eq!(shown(json, false), expected);
    }
}

#[test]
fn load_balancers_are_cut_unless_wide() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "d"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "selector": {"a": "b"},
            "ports": [{"port": 80, "nodePort": 30001}]},
        "status": {"loadBalancer": {"ingress": [{"hostname": "abcdefghijklmnopqrstuvwxyz"}]}}});
    let narrow = shown(service.clone(), false);
    assert!(
        narrow.contains("LoadBalancer   10.0.0.1     abcdefghijklm...   80:30001/TCP   2m5s"),
        "{narrow}"
    );
    let wide = shown(service, true);
    assert!(wide.contains("abcdefghijklmnopqrstuvwxyz   80:30001/TCP   2m5s   a=b"), "{wide}");
}

#[test]
fn autoscalers_show_what_is_and_what_is_wanted() {
    let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "namespace": "d"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 9,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "5"}}}]}});
    let told = shown(hpa, false);
    assert!(
        told.contains("Deployment/web   cpu: <unknown>/50%, memory: <unknown>/1Gi + 1 more...   1         9"),
        "{told}"
    );
}
