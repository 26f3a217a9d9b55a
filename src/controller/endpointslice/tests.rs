use super::*;
use crate::api::service::Endpoint;
use crate::api::{Lasting, Node};
use crate::base::Str;
use crate::controller::testing::Harness;
use crate::testkit;

fn harness() -> Harness {
    Harness::new(vec![Box::new(EndpointSliceController::default())])
}

/// A Pod on a node of a zone, ready.
fn ready_pod(h: &mut Harness, name: &str) -> ObjectKey {
    if h.store.find::<Node>("", "n").is_none() {
        let labels = testkit::labels("topology.kubernetes.io/zone=z");
        h.store
            .create(Node { meta: Lasting { labels, ..Lasting::named("", "n") }.into(), ..Node::default() })
            .unwrap();
    }
    let mut pod = testkit::pod(name, "app=web");
    pod.node_name = Some("n".into());
    let key = h.store.create(pod).unwrap().meta.key();
    h.set_ready(&key, true);
    key
}

fn slices(h: &Harness) -> Vec<Arc<EndpointSlice>> {
    h.store.list::<EndpointSlice>().cloned().collect()
}

/// Name, ready, serving, terminating of every endpoint.
fn states(h: &Harness) -> Vec<String> {
    let flag = |e: &Endpoint| {
        let word = |on: bool, word: &'static str| if on { word } else { "-" };
        format!("{} {}{}{}", e.pod, word(e.ready, "r"), word(e.serving, "s"), word(e.terminating, "t"))
    };
    slices(h).iter().flat_map(|s| &s.endpoints).map(flag).collect()
}

/// Networking §1.5: the placeholder.
#[test]
fn a_service_without_pods_has_a_placeholder_that_becomes_its_slice() {
    let mut h = harness();
    h.store.create(testkit::service("web")).unwrap();
    h.advance_secs(1);
    let empty = slices(&h).remove(0);
    assert!(empty.ports.is_empty() && empty.meta.name.starts_with("web-"));
    assert_eq!(empty.meta.labels.get(LABEL_SERVICE_NAME).map(Str::as_str), Some("web"));
    ready_pod(&mut h, "a");
    h.advance_secs(1);
    let filled = slices(&h);
    assert_eq!((filled.len(), &filled[0].meta.name), (1, &empty.meta.name));
    assert_eq!(filled[0].ports, [(Str::new(), "TCP".into(), 80)]);
    assert_eq!(filled[0].endpoints[0].zone, "z");
    h.clear_log();
    h.advance_secs(60);
    assert!(h.writes(Kind::EndpointSlice).is_empty(), "nothing changes by itself");
}

/// Facts §0.6; §13.10; networking §1.5: no batching.
#[test]
fn readiness_and_deletion_show_at_once() {
    let mut h = harness();
    h.store.create(testkit::service("web")).unwrap();
    let (a, b) = (ready_pod(&mut h, "a"), ready_pod(&mut h, "b"));
    h.advance_millis(50);
    assert_eq!(states(&h), ["a rs-", "b rs-"]);
    h.set_ready(&a, false);
    h.store.delete::<Pod>(&b, &DeleteOptions::default()).unwrap();
    h.advance_millis(50);
    assert_eq!(states(&h), ["a ---", "b -st"]);
    h.set_ready(&b, false);
    h.advance_millis(50);
    assert_eq!(states(&h), ["a ---", "b --t"]);
    h.remove_pod(&b);
    h.advance_millis(50);
    assert_eq!(states(&h), ["a ---"]);
}

/// Facts §0.6: `publishNotReadyAddresses`.
#[test]
fn addresses_that_are_not_ready_are_published_on_wish() {
    let mut h = harness();
    h.store.create(Service { publish_not_ready: true, ..testkit::service("web") }).unwrap();
    let pod = ready_pod(&mut h, "a");
    h.set_ready(&pod, false);
    h.store.delete::<Pod>(&pod, &DeleteOptions::default()).unwrap();
    h.advance_millis(50);
    assert_eq!(states(&h), ["a r-t"]);
}

/// Networking §1.5: packing.
#[test]
fn a_hundred_endpoints_fill_a_slice() {
    let mut h = harness();
    h.store.create(testkit::service("web")).unwrap();
    for i in 0..250 {
        ready_pod(&mut h, &format!("p{i:03}"));
    }
    h.advance_secs(5);
    let mut sizes: Vec<usize> = slices(&h).iter().map(|s| s.endpoints.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
    h.remove_pod(&ObjectKey::new("default", "p000"));
    ready_pod(&mut h, "q");
    h.advance_secs(5);
    assert_eq!(slices(&h).iter().map(|s| s.endpoints.len()).sum::<usize>(), 250);
    assert_eq!(slices(&h).len(), 3);
}

#[test]
fn pods_that_lose_the_label_leave() {
    let mut h = harness();
    h.store.create(testkit::service("web")).unwrap();
    let pod = ready_pod(&mut h, "a");
    h.advance_secs(1);
    h.store.update::<Pod>(&pod, |p| p.meta.labels = testkit::labels("app=api")).unwrap();
    h.advance_secs(1);
    assert!(states(&h).is_empty());
    assert_eq!(slices(&h).len(), 1);
}

/// Networking §1.5: a second after a slice changes.
#[test]
fn a_slice_that_somebody_deletes_is_made_again() {
    let mut h = harness();
    h.store.create(testkit::service("web")).unwrap();
    ready_pod(&mut h, "a");
    h.advance_secs(1);
    let key = slices(&h)[0].meta.key();
    h.store.delete::<EndpointSlice>(&key, &DeleteOptions::default()).unwrap();
    h.advance_millis(900);
    assert!(slices(&h).is_empty());
    h.advance_millis(200);
    assert_eq!(states(&h), ["a rs-"]);
}

/// Networking §1.5: missing nodes.
#[test]
fn a_pod_of_a_missing_node_is_left_out_with_an_event() {
    let mut h = harness();
    h.store.create(testkit::service("web")).unwrap();
    let pod = testkit::pod("a", "app=web");
    let key = h.store.create(pod).unwrap().meta.key();
    h.bind(&key);
    h.set_ready(&key, true);
    h.advance_millis(50);
    assert_eq!(
        h.events_of("FailedToUpdateEndpointSlices"),
        [
            "Error updating Endpoint Slices for Service default/web: skipping Pod a for Service default/web: Node node-1 Not Found"
        ]
    );
}
