use super::*;
use crate::api::service::Namespace;
use crate::api::{Event, EventType, Inert, Meta, ObjectRef};
use crate::base::SimDuration;

fn store() -> Store {
    let start = Timestamp::parse_rfc3339("2026-01-05T08:00:00Z").unwrap();
    let mut store = Store::new(Calendar { start }, Seed(1));
    store.create(namespace("default")).unwrap();
    store
}

fn namespace(name: &'static str) -> Namespace {
    Namespace {
        meta: Meta::named("", name),
        spec_finalizers: vec!["kubernetes".into()],
        ..Namespace::default()
    }
}

fn thing(name: &'static str) -> Inert {
    Inert {
        meta: Meta::named("default", name),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespaced: true,
        body: "{}".into(),
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", Inert::table_name("ConfigMap", name))
}

#[test]
fn creation_assigns_identity_and_refuses_doubles() {
    let mut store = store();
    let made = store.create(thing("a")).unwrap();
    assert!(!made.meta.uid.is_empty() && made.meta.created.is_some() && made.meta.resource_version > 0);
    assert!(matches!(store.create(thing("a")), Err(ApiError::AlreadyExists { .. })));
    let lost = Inert { meta: Meta::named("nowhere", "b"), ..thing("b") };
    assert_eq!(store.create(lost).unwrap_err().to_string(), "namespaces \"nowhere\" not found");
}

#[test]
fn names_are_generated_from_their_prefix() {
    let mut store = store();
    let mut object = thing("");
    object.meta.generate_name = "web-".into();
    let (a, b) = (store.create(object.clone()).unwrap(), store.create(object).unwrap());
    assert!(a.meta.name.starts_with("web-") && a.meta.name.len() == 9, "{}", a.meta.name);
    assert_ne!(a.meta.name, b.meta.name);
}

#[test]
fn a_write_without_change_is_no_write() {
    let mut store = store();
    store.create(thing("a")).unwrap();
    let before = store.revision();
    store.update::<Inert>(&key("a"), |_| {}).unwrap();
    assert_eq!(store.revision(), before);
    store.update::<Inert>(&key("a"), |o| o.body = "{\"x\":1}".into()).unwrap();
    assert!(store.revision() > before);
}

#[test]
fn finalizers_hold_a_deleted_object() {
    let mut store = store();
    store.create(thing("a")).unwrap();
    store.update::<Inert>(&key("a"), |o| o.meta.finalizers.push("x".into())).unwrap();
    assert_eq!(store.delete::<Inert>(&key("a"), &DeleteOptions::default()), Ok(Deleted::Accepted));
    assert!(store.get::<Inert>(&key("a")).unwrap().meta.is_deleting());
    store.update::<Inert>(&key("a"), |o| o.meta.finalizers.clear()).unwrap();
    assert!(store.get::<Inert>(&key("a")).is_none());
    let verbs: Vec<Verb> =
        store.drain_changes().iter().filter(|c| c.kind() == Kind::Inert).map(|c| c.verb).collect();
    assert_eq!(verbs, [Verb::Added, Verb::Modified, Verb::Modified, Verb::Deleted]);
}

#[test]
fn preconditions_are_kept() {
    let mut store = store();
    store.create(thing("a")).unwrap();
    let options = DeleteOptions { uid: Some("other".into()), ..DeleteOptions::default() };
    assert!(matches!(store.delete::<Inert>(&key("a"), &options), Err(ApiError::Conflict { .. })));
}

#[test]
fn a_terminating_namespace_takes_nothing_new() {
    let mut store = store();
    store.create(namespace("shop")).unwrap();
    let default = store.delete::<Namespace>(&ObjectKey::cluster("default"), &DeleteOptions::default());
    assert_eq!(
        default.unwrap_err().to_string(),
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
    store.delete::<Namespace>(&ObjectKey::cluster("shop"), &DeleteOptions::default()).unwrap();
    let refused = store.create(Inert { meta: Meta::named("shop", "a"), ..thing("a") }).unwrap_err();
    assert!(refused.is_namespace_terminating());
    assert!(refused.to_string().ends_with(
        "is forbidden: unable to create new content in namespace shop because it is being terminated"
    ));
}

fn say(store: &mut Store, message: &str, series: bool) {
    store.emit(Emit {
        source: "kubelet".into(),
        host: Str::new(),
        regarding: ObjectRef { kind: "Pod".into(), namespace: "default".into(), ..ObjectRef::default() },
        event_type: EventType::Warning,
        reason: "BackOff".into(),
        message: message.into(),
        series,
    });
}

#[test]
fn equal_events_are_counted_and_similar_ones_combined() {
    let mut store = store();
    say(&mut store, "a", false);
    say(&mut store, "a", false);
    assert_eq!(store.list::<Event>().map(|e| e.count).collect::<Vec<_>>(), [2]);
    for i in 0..12 {
        say(&mut store, &format!("m{i}"), false);
    }
    let combined: Vec<_> =
        store.list::<Event>().filter(|e| e.message.starts_with("(combined")).map(|e| e.count).collect();
    assert_eq!(combined, [4], "the 10th distinct message and the three after it");
}

#[test]
fn a_source_may_not_flood_one_object() {
    let mut store = store();
    for _ in 0..40 {
        say(&mut store, "a", false);
    }
    assert_eq!(store.list::<Event>().next().unwrap().count, 25);
    store.advance(SimTime::ZERO + SimDuration::from_mins(5));
    say(&mut store, "a", false);
    assert_eq!(store.list::<Event>().next().unwrap().count, 41, "those left out were counted");
}

#[test]
fn a_series_shows_its_second_occurrence_and_ends_in_silence() {
    let mut store = store();
    for message in ["a", "b", "c"] {
        say(&mut store, message, true);
    }
    let seen: Vec<_> = store.list::<Event>().map(|e| (e.message.to_string(), e.count)).collect();
    assert_eq!(seen, [("a".to_owned(), 2)]);
    store.advance(SimTime::ZERO + SimDuration::from_mins(7));
    say(&mut store, "d", true);
    assert_eq!(store.list::<Event>().count(), 2);
}
