//! The images of a node, the queue of its pulls, and the collection of those that nobody uses.
//!
//! Upstream: `pkg/kubelet/images/{image_manager,puller,image_gc_manager}.go`, v1.34.
//!
//! # Fidelity
//!
//! * A pull that takes no time asks no registry, and does not count for `registry-qps`.
//! * Images share no layers: each takes its whole `size` of the node's disk.
//! * The collector looks every 5 minutes from the start of the run, and only where the disk is full enough.

use super::habits::Habits;
use super::pod::Stage;
use super::pressure::Used;
use super::start::full_name;
use super::{Ctx, Kubelets, Params, say};
use crate::api::EventType;
use crate::base::{SimDuration, SimTime, Str};
use crate::kernel::TokenBucket;
use crate::params::ImagePull;
use crate::store::ObjId;

/// An image on a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Image {
    /// From when on it is there.
    since: SimTime,
    /// When a Pod that uses it was last seen.
    used: SimTime,
    /// What it takes of the disk.
    bytes: i64,
}

/// The images of a node.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// By name, in its order: of the few that a node has, a list has less memory to be fetched than a tree.
    present: Vec<(Str, Image)>,
    /// When each of the parallel pulls is free again.
    lanes: Vec<SimTime>,
    /// What the registry may be asked for; none before the first pull.
    budget: Option<TokenBucket>,
}

/// A pull under way: all is known when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// How long it takes by itself.
    pub takes: SimDuration,
    /// When it is over.
    pub done: SimTime,
    /// The registry is asked for too much: it fails.
    pub exceeded: bool,
}

impl Images {
    /// The place of an image, or that where it belongs.
    fn place(&self, image: &str) -> Result<usize, usize> {
        self.present.binary_search_by(|(name, _)| name.as_str().cmp(image))
    }

    fn of(&mut self, image: &str) -> Option<&mut Image> {
        let place = self.place(image).ok()?;
        Some(&mut self.present[place].1)
    }

    /// Whether an image is there.
    pub fn has(&self, image: &str, now: SimTime) -> bool {
        self.place(image).is_ok_and(|place| self.present[place].1.since <= now)
    }

    /// What images take of the disk that are there at `now` or were asked for; at zero: all of them.
    pub fn bytes(&self, now: SimTime) -> i64 {
        self.present
            .iter()
            .map(|(_, image)| image)
            .filter(|image| now == SimTime::ZERO || image.since <= now)
            .map(|image| image.bytes)
            .sum()
    }

    /// A Pod that used the image has ended.
    pub fn used(&mut self, image: &str, now: SimTime) {
        if let Some(image) = self.of(image) {
            image.used = now;
        }
    }

    /// How big the image is. Whether that is news.
    pub fn weigh(&mut self, image: &str, bytes: i64) -> bool {
        self.of(image).is_some_and(|image| std::mem::replace(&mut image.bytes, bytes) != bytes)
    }

    /// Deletes images for which `in_use` does not hold and that are older than `age`, those that were not used
    /// for longest first, until so many bytes are free. Their names and what was freed.
    pub fn collect(
        &mut self,
        (wanted, age, now): (i64, SimDuration, SimTime),
        in_use: impl Fn(&Str) -> bool,
    ) -> (Vec<Str>, i64) {
        let mut order: Vec<(SimTime, SimTime, Str)> = self
            .present
            .iter()
            .filter(|(name, image)| image.since + age <= now && !in_use(name))
            .map(|(name, image)| (image.used, image.since, name.clone()))
            .collect();
        order.sort();
        let (mut gone, mut freed) = (Vec::new(), 0_i64);
        for (_, _, name) in order {
            if freed >= wanted {
                break;
            }
            freed += self.place(&name).map_or(0, |place| self.present.remove(place).1.bytes);
            gone.push(name);
        }
        (gone, freed)
    }

    /// Asks for an image that takes so long by itself; `known` is how long it takes if its layers are there.
    pub fn pull(
        &mut self,
        image: &Str,
        takes: SimDuration,
        known: SimDuration,
        fails: bool,
        params: &Params<'_>,
        now: SimTime,
    ) -> Pull {
        let begins = self.lane(params, now);
        let there = self.has(image, begins);
        let takes = if there { known } else { takes };
        if !takes.is_zero() && !self.may_ask(params, begins) {
            return Pull { takes: SimDuration::ZERO, done: begins, exceeded: true };
        }
        let done = begins + takes;
        self.occupy(params, begins, done);
        if !fails {
            let new = Image { since: done, used: done, bytes: 0 };
            match self.place(image) {
                Ok(place) => self.present[place].1.since = self.present[place].1.since.min(done),
                Err(place) => self.present.insert(place, (image.clone(), new)),
            }
        }
        Pull { takes, done, exceeded: false }
    }

    /// Whether the registry may be asked for another image. Upstream: `throttleImagePulling` of
    /// `pkg/kubelet/images/helpers.go`.
    fn may_ask(&mut self, params: &Params<'_>, now: SimTime) -> bool {
        let settings = params.settings;
        let burst = u32::try_from(settings.registry_burst).unwrap_or(0);
        let budget = self.budget.get_or_insert_with(|| TokenBucket::new(settings.registry_qps, burst));
        let may = budget.wait(now).is_zero();
        if may {
            budget.spend(now);
        }
        may
    }

    /// Pulls that are not over are lost.
    pub fn lose_power(&mut self, now: SimTime) {
        self.present.retain(|(_, image)| image.since <= now);
        self.lanes.clear();
    }

    /// When the next pull can begin. Upstream: `--serialize-image-pulls`, `--max-parallel-image-pulls`.
    fn lane(&self, params: &Params<'_>, now: SimTime) -> SimTime {
        let busy = self.lanes.iter().filter(|at| **at > now);
        match lanes(params) {
            Some(limit) if busy.clone().count() >= limit => busy.min().copied().unwrap_or(now),
            _ => now,
        }
    }

    fn occupy(&mut self, params: &Params<'_>, begins: SimTime, done: SimTime) {
        if lanes(params).is_some() {
            self.lanes.retain(|at| *at > begins);
            self.lanes.push(done);
        }
    }
}

/// How often images are collected. Upstream: `ImageGCPeriod`.
const GC_PERIOD: SimDuration = SimDuration::from_mins(5);

impl Kubelets {
    /// Works out when the disk is full enough for images to be collected.
    pub(super) fn plan_collection(&mut self, number: u32, disk: &Used, ctx: &mut Ctx<'_>) {
        let now = ctx.store.now();
        let machine = &self.machines[number as usize];
        let at =
            (machine.images.bytes(SimTime::ZERO) > 0).then(|| self.full_from(number, disk, ctx)).flatten();
        let soon = now + SimDuration::from_nanos(1);
        self.collect_at(number, at.map(|at| at.max(soon).next_on_grid(SimDuration::ZERO, GC_PERIOD)), ctx);
    }

    /// The collector looks.
    pub(super) fn collect_images(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        if !self.collection_is_due(number, ctx.store.now()) || !self.machines[number as usize].acts() {
            return;
        }
        if let Some(wanted) = self.image_bytes_to_free(number, ctx) {
            let freed = self.delete_images(number, wanted, ctx);
            if freed < wanted {
                let message = format!(
                    "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
                );
                let machine = &self.machines[number as usize];
                say::of_node(machine, EventType::Warning, "FreeDiskSpaceFailed", &message, ctx);
            }
        }
        self.plan_monitor(number, ctx);
    }

    /// Deletes images that no Pod of the node uses until so many bytes are free; how many were freed.
    pub(super) fn delete_images(&mut self, number: u32, wanted: i64, ctx: &mut Ctx<'_>) -> i64 {
        let now = ctx.store.now();
        let age = ctx.params.settings.minimum_image_ttl_duration;
        let machine = &mut self.machines[number as usize];
        let pods: Vec<_> = machine
            .pods
            .iter()
            .filter_map(|id| self.pods.get(&ObjId(id)))
            .filter(|pod| pod.stage != Stage::Ended)
            .collect();
        let in_use = |image: &Str| {
            pods.iter().any(|pod| (0..pod.containers.len()).any(|index| pod.container(index).image == *image))
        };
        let (gone, freed) = machine.images.collect((wanted, age, now), in_use);
        let names: Vec<String> = gone.iter().map(|image| full_name(image)).collect();
        machine.post_images_gone(&names, ctx);
        freed
    }
}

/// How many pulls may run at once; none: any number.
fn lanes(params: &Params<'_>) -> Option<usize> {
    let settings = params.settings;
    if settings.serialize_image_pulls {
        Some(1)
    } else {
        usize::try_from(settings.max_parallel_image_pulls).ok().filter(|n| *n > 1)
    }
}

/// How long an image takes by itself, and how long if its layers are there already; and its size.
pub fn pull_time(
    params: &Params<'_>,
    habits: &Habits,
    sample: impl FnOnce(&crate::params::Delay) -> SimDuration,
) -> (SimDuration, SimDuration, u64) {
    let size = habits.size.and_then(|bytes| u64::try_from(bytes).ok());
    match &params.latencies.image_pull {
        ImagePull::Given(delay) => (sample(delay), SimDuration::ZERO, size.unwrap_or(0)),
        ImagePull::BySize { bytes_per_second, overhead, default_size } => {
            let bytes = size.unwrap_or(*default_size);
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from((*bytes_per_second).max(1));
            let transfer = SimDuration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            // An image that cannot be had is refused before any layer is fetched.
            let takes = if habits.pull_fails { *overhead } else { transfer + *overhead };
            (takes, *overhead, bytes)
        }
    }
}
