use super::*;
use crate::api::service::Namespace;
use crate::api::{Deletion, Event, EventType, Inert, Kind, Lasting, Meta, ObjectRef, Pod};
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
fn it_is_known_of_which_kinds_there_are_objects() {
    let mut store = store();
    store.create(thing("a")).unwrap();
    store.create(thing("b")).unwrap();
    let there =
        |store: &Store| [Kind::Inert, Kind::Namespace, Kind::Pod].map(|kind| store.kinds().contains(kind));
    assert_eq!(there(&store), [true, true, false]);
    store.delete::<Inert>(&key("a"), &DeleteOptions::default()).unwrap();
    assert_eq!(there(&store), [true, true, false]);
    store.delete::<Inert>(&key("b"), &DeleteOptions::default()).unwrap();
    assert_eq!(there(&store), [false, true, false]);
    let some = [Kind::Pod, Kind::Namespace].into_iter().collect();
    assert_eq!(store.kinds().and(some), [Kind::Namespace].into_iter().collect());
}

/// Facts §0.3, §13.53: suffixes.
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

/// Facts §0.2, §8.1: finalizers.
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

/// Facts §8.2, points 1 and 2.
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

/// Pods are found by their identity whenever the first question comes, and in copies.
#[test]
fn whatever_is_there_is_found_by_its_identity() {
    let mut store = store();
    let mut here = Vec::new();
    for name in ["a", "b", "c", "d"] {
        here.push(store.create(crate::testkit::pod(name, "app=web")).unwrap().meta.uid.clone());
        here.push(store.create(thing(name)).unwrap().meta.uid.clone());
    }
    let found = |store: &Store, uid: &Uid| store.by_uid(uid).is_some_and(|object| object.meta().uid == *uid);
    let untouched = store.clone();
    assert!(here.iter().all(|uid| found(&store, uid)));
    assert!(!found(&store, &"other".into()));
    let gone = here.swap_remove(2);
    let b = store.by_uid(&gone).unwrap().key();
    store.delete::<Pod>(&b, &DeleteOptions::default()).unwrap();
    here.push(store.create(crate::testkit::pod("b", "app=web")).unwrap().meta.uid.clone());
    assert!(here.iter().all(|uid| found(&store, uid)));
    assert!(!found(&store, &gone) && found(&untouched, &gone));
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

/// Facts §0.4: counting and aggregation.
#[test]
fn equal_events_are_counted_and_similar_ones_combined() {
    let mut store = store();
    say(&mut store, "a", false);
    say(&mut store, "a", false);
    assert_eq!(store.events().map(|e| e.count).collect::<Vec<_>>(), [2]);
    for i in 0..12 {
        say(&mut store, &format!("m{i}"), false);
    }
    let combined: Vec<_> =
        store.events().filter(|e| e.message.starts_with("(combined")).map(|e| e.count).collect();
    assert_eq!(combined, [4], "the 10th distinct message and the three after it");
}

/// Facts §0.4: `--event-ttl`, counted from the last time something was said.
#[test]
fn events_are_forgotten_after_their_time() {
    let left = |store: &Store| -> Vec<String> { store.events().map(|e| e.message.to_string()).collect() };
    let mut store = store();
    say(&mut store, "first", false);
    say(&mut store, "second", false);
    store.advance(SimTime::from_secs(3000));
    say(&mut store, "first", false);
    store.advance(SimTime::from_secs(3601));
    say(&mut store, "third", false);
    assert_eq!(left(&store), ["first", "third"], "the first was said again");
    store.keep_events_for(SimDuration::from_secs(60));
    store.advance(SimTime::from_secs(3700));
    say(&mut store, "fourth", false);
    assert_eq!(left(&store), ["fourth"]);
    store.keep_events_for(SimDuration::ZERO);
    store.advance(SimTime::from_secs(100_000));
    say(&mut store, "fifth", false);
    assert_eq!(left(&store), ["fourth", "fifth"]);
}

/// Events of users take part in that; of one from the future nobody knows when its time is over.
#[test]
fn events_of_users_are_forgotten_as_well() {
    let mut store = store();
    say(&mut store, "said", false);
    let said = store.events().next().unwrap();
    let named = |name: &str| Event {
        meta: Lasting { created: None, ..Lasting::named("default", name) }.into(),
        message: name.into(),
        ..Event::clone(&said)
    };
    let mut future = named("future");
    future.meta.created = Some(store.timestamp().plus_secs(1_000_000));
    store.create(future).unwrap();
    store.create(named("user's")).unwrap();
    let key = said.meta.key();
    let first = ObjId(said.meta.resource_version);
    store.update_meta(Kind::Event, &key, |meta| meta.labels = meta.labels.with("kept", "no")).unwrap();
    store.advance(SimTime::from_secs(10));
    say(&mut store, "said", false);
    let shown = |store: &Store| -> Vec<_> {
        store.events().map(|e| (e.message.to_string(), e.count, e.meta.labels.len())).collect()
    };
    let (future, user) = (("future".to_owned(), 1, 0), ("user's".to_owned(), 1, 0));
    assert_eq!(shown(&store), [("said".to_owned(), 2, 1), future.clone(), user], "a label stays");
    assert_eq!(store.id_of::<Event>(&key), Some(first), "found by its name");
    store.advance(SimTime::from_secs(3605));
    say(&mut store, "other", false);
    assert_eq!(shown(&store), [("said".to_owned(), 2, 1), future.clone(), ("other".to_owned(), 1, 0)]);
    store.advance(SimTime::from_secs(3615));
    say(&mut store, "last", false);
    assert_eq!(shown(&store)[..2], [future, ("other".to_owned(), 1, 0)]);
}

/// What is remembered of thousands of objects is forgotten once it makes no difference, and not before.
#[test]
fn recorders_forget_what_makes_no_difference() {
    let mut store = store();
    let about = |store: &mut Store, name: String, message: &str| {
        store.emit(Emit {
            source: "kubelet".into(),
            host: Str::new(),
            regarding: ObjectRef { kind: "Pod".into(), name: name.into(), ..ObjectRef::default() },
            event_type: EventType::Normal,
            reason: "Started".into(),
            message: message.into(),
            series: false,
        })
    };
    for number in 0..26 {
        assert_eq!(about(&mut store, "loud".into(), "again"), number < 25);
    }
    store.advance(SimTime::from_secs(660));
    for number in 0..10_000 {
        about(&mut store, format!("quiet-{number}"), "once");
    }
    // Two tokens have come since, and no more.
    let said = (0..3).map(|_| about(&mut store, "loud".into(), "again"));
    assert_eq!(said.collect::<Vec<_>>(), [true, true, false]);
    store.advance(SimTime::from_secs(100_000));
    for number in 0..10_000 {
        about(&mut store, format!("late-{number}"), "once");
    }
    assert!(about(&mut store, "quiet-7".into(), "once"));
    let seventh = store.events().filter(|event| event.regarding.name == "quiet-7");
    assert_eq!(seventh.map(|event| event.count).collect::<Vec<_>>(), [2], "the count goes on, as upstream");
}

/// Facts §0.4: the spam filter.
#[test]
fn a_source_may_not_flood_one_object() {
    let mut store = store();
    for _ in 0..40 {
        say(&mut store, "a", false);
    }
    assert_eq!(store.events().next().unwrap().count, 25);
    store.advance(SimTime::ZERO + SimDuration::from_mins(5));
    say(&mut store, "a", false);
    assert_eq!(store.events().next().unwrap().count, 41, "those left out were counted");
}

/// Facts §0.4: series of `events.k8s.io`.
#[test]
fn a_series_shows_its_second_occurrence_and_ends_in_silence() {
    let mut store = store();
    for message in ["a", "b", "c"] {
        say(&mut store, message, true);
    }
    let seen: Vec<_> = store.events().map(|e| (e.message.to_string(), e.count)).collect();
    assert_eq!(seen, [("a".to_owned(), 2)]);
    store.advance(SimTime::ZERO + SimDuration::from_mins(7));
    say(&mut store, "d", true);
    assert_eq!(store.events().count(), 2);
}

/// What is said once is as the beginning of a series, and a series may follow it.
#[test]
fn what_is_said_once_is_like_what_begins_a_series() {
    let (mut once, mut begins) = (store(), store());
    let regarding = ObjectRef { kind: "Pod".into(), namespace: "default".into(), ..ObjectRef::default() };
    let (source, host, event_type) = (Str::from("kubelet"), Str::new(), EventType::Warning);
    let speaker = Speaker { source, host, regarding, event_type, series: true };
    for store in [&mut once, &mut begins] {
        store.advance(SimTime::from_secs(3));
    }
    once.emit_once(speaker, Words { reason: "BackOff".into(), message: "a".into() });
    say(&mut begins, "a", true);
    let all = |store: &Store| store.events().collect::<Vec<_>>();
    assert_eq!(all(&once), all(&begins));
    say(&mut once, "b", true);
    let seen: Vec<_> = once.events().map(|e| (e.message.to_string(), e.count)).collect();
    assert_eq!(seen, [("a".to_owned(), 1), ("b".to_owned(), 1)], "nothing of it is remembered");
}

/// A Pod on a node with a grace of its own, and the phase it is in.
fn pod(store: &mut Store, name: &str, grace: i64, change: impl FnOnce(&mut Pod)) -> ObjectKey {
    let mut pod = crate::testkit::pod(name, "app=web");
    pod.node_name = Some("n".into());
    let spec = crate::base::Arc::make_mut(&mut pod.spec);
    // The admitted spec is shared by fingerprint.
    (spec.termination_grace_seconds, spec.fingerprint) = (grace, crate::api::fingerprint::of(&grace));
    change(&mut pod);
    store.create(pod).unwrap().meta.key()
}

/// Facts §0.2, §13.7, §13.8: the mark is in the future, and only Pods on nodes that have not ended have grace.
#[test]
fn pods_are_deleted_with_grace() {
    let mut store = store();
    let now = store.timestamp();
    let ask = |seconds| DeleteOptions { grace_seconds: seconds, ..DeleteOptions::default() };
    for (name, grace, asked, expected) in
        [("a", 30, None, 30), ("b", 45, None, 45), ("c", 30, Some(5), 5), ("d", 30, Some(-3), 1)]
    {
        let key = pod(&mut store, name, grace, |_| {});
        assert_eq!(store.delete::<Pod>(&key, &ask(asked)), Ok(Deleted::Accepted), "{name}");
        let deletion = store.get::<Pod>(&key).unwrap().meta.deletion.unwrap();
        assert_eq!((deletion.timestamp, deletion.grace_seconds), (now.plus_secs(expected), Some(expected)));
    }
    let unbound = pod(&mut store, "e", 30, |p| p.node_name = None);
    let ended = pod(&mut store, "f", 30, |p| p.status.phase = crate::api::Phase::Failed);
    let running = pod(&mut store, "g", 30, |_| {});
    for (key, asked) in [(unbound, Some(60)), (ended, None), (running, Some(0))] {
        store.drain_changes();
        assert_eq!(store.delete::<Pod>(&key, &ask(asked)), Ok(Deleted::Gone), "{key}");
        let change = store.drain_changes().remove(0);
        let (last, before) = (change.object(), change.latest());
        assert_eq!(Some(before), change.old(), "{key}");
        assert_eq!((change.verb, change.key(), last.key()), (Verb::Deleted, key.clone(), key));
        let (last, before) = (last.meta(), before.meta());
        let mark = Deletion { timestamp: now, grace_seconds: Some(0) };
        assert_eq!((before.deletion, last.deletion), (None, Some(mark)), "its last state shows the mark");
        assert_eq!(last.generation, before.generation + 1);
    }
}

/// Facts §0.2: a second deletion may only shorten the grace, counted from the first.
#[test]
fn a_second_deletion_may_only_shorten_the_grace() {
    let mut store = store();
    let start = store.timestamp();
    let key = pod(&mut store, "a", 60, |_| {});
    let again = |store: &mut Store, seconds| {
        let options = DeleteOptions { grace_seconds: Some(seconds), ..DeleteOptions::default() };
        let deleted = store.delete::<Pod>(&key, &options).unwrap();
        let left = store.get::<Pod>(&key).map(|p| p.meta.deletion.unwrap());
        (deleted, left.map(|d| (d.timestamp.secs_since(start), d.grace_seconds.unwrap())))
    };
    assert_eq!(again(&mut store, 60), (Deleted::Accepted, Some((60, 60))));
    store.advance(SimTime::ZERO + SimDuration::from_secs(10));
    assert_eq!(again(&mut store, 90), (Deleted::Accepted, Some((60, 60))), "no longer");
    assert_eq!(again(&mut store, 30), (Deleted::Accepted, Some((30, 30))), "from the first on");
    assert_eq!(again(&mut store, 3), (Deleted::Accepted, Some((11, 1))), "never in the past");
    assert_eq!(again(&mut store, 0), (Deleted::Gone, None));
}

/// Facts §8.1: without a wish the finalizer that is there decides, then the kind's default.
#[test]
fn the_propagation_of_a_plain_deletion_depends_on_what_is_there() {
    let mut store = store();
    for (held, expected) in
        [(write::FINALIZER_FOREGROUND, true), (write::FINALIZER_ORPHAN, true), ("x", false)]
    {
        let mut object = thing("a");
        object.meta.name = format!("a-{held}").to_lowercase().into();
        object.meta.finalizers.push(held.into());
        let key = key(&object.meta.name);
        store.create(object).unwrap();
        store.delete::<Inert>(&key, &DeleteOptions::default()).unwrap();
        let finalizers = store.get::<Inert>(&key).unwrap().meta.finalizers.clone();
        assert_eq!(finalizers, [held]);
        store.delete::<Inert>(&key, &DeleteOptions::with(Propagation::Background)).unwrap();
        let kept = store.get::<Inert>(&key).is_some();
        assert_eq!(kept, !expected, "a wish for the background takes {held} off if it is one of propagation");
    }
}
