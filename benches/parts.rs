//! Parts on their own: the event queue, the store and the scheduler.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use wavetank::api::service::Namespace;
use wavetank::api::{Inert, Meta, ObjectKey};
use wavetank::base::time::Calendar;
use wavetank::base::{SimTime, Timestamp};
use wavetank::bench::{NoMeter, Options, catalogue, run};
use wavetank::kernel::queue::Lane;
use wavetank::kernel::{EventQueue, Seed};
use wavetank::store::{DeleteOptions, Store};

const EVENTS: u64 = 10_000;
const OBJECTS: usize = 1_000;

/// Fills a queue in a scattered order and empties it.
fn queue(c: &mut Criterion) {
    let mut random = Seed(1).stream("bench", "queue");
    let times: Vec<SimTime> = (0..EVENTS).map(|_| SimTime::from_secs(random.below(EVENTS))).collect();
    c.bench_function("event queue, 10,000 in and out", |b| {
        b.iter(|| {
            let mut queue = EventQueue::default();
            for (number, time) in times.iter().enumerate() {
                queue.push(*time, Lane(0), number);
            }
            while let Some(event) = queue.pop_until(SimTime::MAX) {
                black_box(event);
            }
        });
    });
}

fn empty_store() -> Store {
    let mut store = Store::new(Calendar { start: Timestamp::new(0) }, Seed(1));
    let namespace = Namespace { meta: Meta::named("", "default"), ..Namespace::default() };
    store.create(namespace).expect("an empty store takes a namespace");
    store
}

fn config_map(number: usize) -> Inert {
    Inert {
        meta: Meta::named("default", format!("object-{number}")),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespaced: true,
        body: "{}".into(),
    }
}

/// Creates, updates and deletes objects, the log drained after every write.
fn store(c: &mut Criterion) {
    let keys: Vec<ObjectKey> = (0..OBJECTS)
        .map(|n| ObjectKey::new("default", Inert::table_name("ConfigMap", &format!("object-{n}"))))
        .collect();
    c.bench_function("store, 1,000 objects created, updated, deleted", |b| {
        b.iter_batched(
            empty_store,
            |mut store| {
                for number in 0..OBJECTS {
                    store.create(config_map(number)).expect("a new name");
                    black_box(store.drain_changes());
                }
                for key in &keys {
                    store.update::<Inert>(key, |o| o.body = "{\"a\":1}".into()).expect("it is there");
                    black_box(store.drain_changes());
                }
                for key in &keys {
                    store.delete::<Inert>(key, &DeleteOptions::default()).expect("it is there");
                    black_box(store.drain_changes());
                }
                store
            },
            BatchSize::SmallInput,
        );
    });
}

/// Two of the workloads of `wavetank bench`, the making of their nodes and Pods included.
fn scheduler(c: &mut Criterion) {
    for case in catalogue::all() {
        let Some(size) =
            case.size("100Nodes").filter(|_| matches!(case.name.as_str(), "peer/basic" | "peer/spread"))
        else {
            continue;
        };
        c.bench_function(&format!("scheduler, {}/{}, 750 Pods", case.name, size.name), |b| {
            b.iter(|| black_box(run(&case, size, Options::default(), &mut NoMeter).expect("it runs")));
        });
    }
}

criterion_group!(parts, queue, store, scheduler);
criterion_main!(parts);
