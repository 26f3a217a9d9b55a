//! The entry points: what changes, what is due, what befalls machines and containers.

use super::machine::{self, Machine};
use super::pod::{LocalPod, Run, Stage};
use super::volumes::Wait;
use super::worker::{Common, Worker};
use super::{Ctx, KubeletEvent, NodeStep, VolumeUse, say};
use crate::api::storage::{CsiNode, PersistentVolumeClaim, VolumeAttachment};
use crate::api::{EventType, Kind, Node, ObjectKey, Pod};
use crate::base::{Arc, LookupMap, Shared, SimDuration, SimTime, Skim, Str, fetch, gather};
use crate::params::Delay;
use crate::params::traffic::Health;
use crate::store::{ApiError, Change, ObjId, Source, Verb};

/// The kubelets and container runtimes of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Kubelets {
    pub(super) machines: Vec<Machine>,
    by_name: LookupMap<Str, u32>,
    pub(super) pods: LookupMap<ObjId, Shared<LocalPod>>,
    common: Common,
    /// Pods whose answers may have changed; none unless somebody wants to know.
    touched: Option<Vec<ObjId>>,
}

impl Kubelets {
    /// A machine that has been up for long registers: its Node is Ready at once.
    ///
    /// # Errors
    /// The API server refuses the Node.
    pub fn join_ready(
        &mut self,
        mut node: Node,
        csi_node: CsiNode,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), ApiError> {
        node.taints.retain(|taint| !machine::is_startup_taint(taint, &csi_node.drivers));
        let number = self.new_machine(&node);
        let machine = &mut self.machines[number as usize];
        machine.network = true;
        machine::register(machine, node, csi_node, ctx)?;
        self.look_for_pods(number, ctx);
        Ok(())
    }

    /// A machine registers: its Node becomes Ready after the latency `nodeReady`.
    ///
    /// # Errors
    /// The API server refuses the Node.
    pub fn join(&mut self, node: Node, mut csi_node: CsiNode, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
        let number = self.new_machine(&node);
        let machine = &mut self.machines[number as usize];
        if ctx.params.latencies.driver_ready != Delay::ZERO {
            machine.drivers = std::mem::take(&mut csi_node.drivers);
        }
        machine::register(machine, node, csi_node, ctx)?;
        say::of_node(machine, EventType::Normal, "Starting", "Starting kubelet.", ctx);
        self.network_later(number, ctx);
        self.look_for_pods(number, ctx);
        Ok(())
    }

    /// A machine of this name; one that was there before is forgotten with all that ran on it.
    fn new_machine(&mut self, node: &Node) -> u32 {
        let name = node.meta.name.clone();
        let next = u32::try_from(self.machines.len()).unwrap_or(u32::MAX);
        let number = self.by_name.get(&name).copied().unwrap_or(next);
        let mut machine = Machine::new(name.clone(), number, machine::node_address(number));
        if let Some(old) = self.machines.get_mut(number as usize) {
            for pod in old.pods.iter() {
                self.pods.remove(&ObjId(pod));
            }
            machine.epoch = old.epoch.wrapping_add(1);
            *old = machine;
        } else {
            self.machines.push(machine);
            self.by_name.insert(name, number);
        }
        number
    }

    fn network_later(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let machine = &self.machines[number as usize];
        let entity = format!("{}/{}", machine.name, machine.epoch);
        let takes =
            ctx.params.latencies.node_ready.sample(&mut ctx.store.seed().stream("node-ready", &entity));
        self.node_at(number, takes, NodeStep::Ready, ctx);
    }

    pub(super) fn node_at(&self, number: u32, after: SimDuration, step: NodeStep, ctx: &mut Ctx<'_>) {
        let epoch = self.machines[number as usize].epoch;
        ctx.out.push((ctx.store.now() + after, KubeletEvent::Node { node: number, epoch, step }));
    }

    /// Takes note of a change of the store; to be called right after each write.
    pub fn on_change(&mut self, change: &Change, ctx: &mut Ctx<'_>) {
        match change.kind() {
            Kind::Pod => self.pod_changed(change, ctx),
            Kind::PersistentVolumeClaim => {
                if let Some((_, Some(claim))) = change.of::<PersistentVolumeClaim>() {
                    self.wake(&Wait::Claim(claim.meta.key()), ctx);
                }
            }
            Kind::VolumeAttachment => self.attachment_changed(change, ctx),
            Kind::Node => self.node_changed(change, ctx),
            Kind::Inert if change.verb != Verb::Deleted => {
                let key = change.key();
                let wait = Wait::Object(key.namespace, key.name);
                for pod in self.common.waiting.remove(&wait).unwrap_or_default() {
                    self.work(pod, ctx, |worker| worker.object_written());
                }
            }
            _ => {}
        }
    }

    /// Somebody has cordoned or uncordoned a node: its kubelet says so when it next computes the status.
    fn node_changed(&mut self, change: &Change, ctx: &mut Ctx<'_>) {
        if let Some((Some(old), Some(new))) = change.of::<Node>()
            && old.unschedulable != new.unschedulable
            && let Some(number) = self.machine(&new.meta.name)
        {
            let (now, every) = (ctx.store.now(), ctx.params.settings.node_status_update_frequency);
            let at = self.machines[number as usize].next_status(now, every);
            self.node_at(number, at.since(now), NodeStep::Status, ctx);
        }
    }

    fn attachment_changed(&mut self, change: &Change, ctx: &mut Ctx<'_>) {
        let Some((old, new)) = change.of::<VolumeAttachment>() else { return };
        let Some(about) = new.or(old) else { return };
        let place = (about.node_name.clone(), about.pv_name.clone());
        match new {
            None => {
                self.common.attached.remove(&place);
            }
            Some(attachment) => {
                self.common.attached.insert(place.clone(), attachment.attached);
                if attachment.attached {
                    self.wake(&Wait::Attachment(place.0, place.1), ctx);
                }
            }
        }
    }

    /// Pods that wait for this look again.
    fn wake(&mut self, wait: &Wait, ctx: &mut Ctx<'_>) {
        for pod in self.common.waiting.remove(wait).unwrap_or_default() {
            self.work(pod, ctx, |worker| worker.mount());
        }
    }

    fn pod_changed(&mut self, change: &Change, ctx: &mut Ctx<'_>) {
        let Some((_, new)) = change.of::<Pod>() else { return };
        let Some(pod) = new else {
            self.pod_deleted(change, ctx);
            return;
        };
        let Some(name) = &pod.node_name else { return };
        if self.pods.contains_key(&change.id) {
            self.work(change.id, ctx, |worker| worker.changed(change.revision, pod));
        } else if !pod.is_terminal()
            && let Some(number) = self.by_name.get(name).copied()
            && self.machines[number as usize].hears()
        {
            self.arrive(change.id, pod, number, ctx);
        }
    }

    fn pod_deleted(&mut self, change: &Change, ctx: &mut Ctx<'_>) {
        if self.pods.get(&change.id).is_some_and(|pod| pod.mirror && pod.stage != Stage::Ended)
            && let Some((Some(pod), _)) = change.of::<Pod>()
        {
            self.mirror_again(change.id, pod, ctx);
        } else {
            self.work(change.id, ctx, |worker| worker.object_gone());
        }
    }

    /// A static Pod lives on when its mirror is deleted; the kubelet makes another.
    fn mirror_again(&mut self, id: ObjId, old: &Arc<Pod>, ctx: &mut Ctx<'_>) {
        let Some(mut pod) = self.pods.remove(&id) else { return };
        let machine = &mut self.machines[pod.node as usize];
        machine.pods.remove(id.0);
        machine.users.remove(&id);
        let mut new = Pod::clone(old);
        new.meta.uid = Str::new();
        new.meta.created = None;
        new.meta.deletion = None;
        new.status = crate::api::PodStatus { qos: new.status.qos, ..Default::default() };
        let key = new.meta.key();
        // A namespace that is being deleted refuses it; then the static Pod is not looked after any more.
        if machine.hears()
            && let Ok(new) = ctx.store.create(new)
            && let Some(id) = ctx.store.id_of::<Pod>(&key)
        {
            (pod.id, pod.uid, pod.told) = (id, new.meta.uid.clone(), None);
            // Timers named the old mirror.
            machine.pods.insert(id.0);
            if pod.is_user {
                machine.users.insert(id);
            }
            self.pods.insert(id, pod);
            self.work(id, ctx, |worker| worker.resync());
        }
    }

    /// Pods that were bound to a node before its agent could see them.
    fn look_for_pods(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let name = self.machines[number as usize].name.clone();
        let found: Vec<Arc<Pod>> = ctx.store.pods_on(&name).filter(|p| !p.is_terminal()).cloned().collect();
        for pod in found {
            let Some(id) = ctx.store.id_of::<Pod>(&pod.meta.key()) else { continue };
            if !self.pods.contains_key(&id) {
                self.arrive(id, &pod, number, ctx);
            }
        }
    }

    /// An agent sees a Pod for the first time.
    fn arrive(&mut self, id: ObjId, pod: &Arc<Pod>, number: u32, ctx: &mut Ctx<'_>) {
        let recipe = self.common.recipe(&pod.spec);
        let local = LocalPod::new(id, pod, number, recipe, ctx.store.now(), ctx.store.timestamp());
        self.pods.insert(id, local.into());
        self.machines[number as usize].pods.insert(id.0);
        let deletion = pod.meta.deletion;
        let missing = self.work(id, ctx, |worker| match deletion {
            None => worker.arrive(),
            Some(deletion) => {
                worker.terminate(SimDuration::from_api_secs(deletion.grace_seconds.unwrap_or(0)));
                None
            }
        });
        if let Some(missing) = missing.flatten() {
            self.make_room(id, number, &missing, ctx);
        }
    }

    /// Lets the agent of a Pod work on it; none if no agent knows it.
    pub(super) fn work<R>(
        &mut self,
        id: ObjId,
        ctx: &mut Ctx<'_>,
        act: impl FnOnce(&mut Worker<'_, '_>) -> R,
    ) -> Option<R> {
        let pod: &mut LocalPod = self.pods.get_mut(&id)?;
        let machine = &mut self.machines[pod.node as usize];
        let result = act(&mut Worker { pod, machine, common: &mut self.common, ctx });
        if let Some(touched) = &mut self.touched {
            touched.push(id);
        }
        let (number, stale) = (pod.node, machine.stale);
        let retry = machine.freed && !machine.deferred.is_empty();
        if pod.recipe.keeps_data {
            note_use(pod, machine, ctx);
        }
        let uses = !pod.gone && pod.uses_something();
        if uses != std::mem::replace(&mut pod.is_user, uses) {
            if uses {
                machine.users.insert(id);
            } else {
                machine.users.remove(&id);
            }
        }
        if pod.gone {
            machine.pods.remove(id.0);
            self.pods.remove(&id);
        }
        if stale {
            self.plan_monitor(number, ctx);
        }
        if retry {
            self.retry_resizes(number, ctx);
        }
        Some(result)
    }

    /// A number that is made of all that a Pod needs of a node's machine that arrives there.
    pub fn skim_node(&self, node: &str) -> u64 {
        self.machine(node).map_or(0, |number| self.machines[number as usize].skim_for(ObjId(u64::MAX)))
    }

    /// Fetches from memory what these Pods' timers will need, which are due soon.
    pub fn fetch(&self, ids: &[ObjId]) {
        let pods = gather(ids.iter().filter_map(|id| self.pods.get(id)).map(|pod| &**pod));
        fetch(pods.iter().map(|pod| pod.skim()));
        let machine_of = |pod: &LocalPod| &self.machines[pod.node as usize];
        // In passes of their own: the shorter a pass is, the more of it comes together.
        let told = || pods.iter().filter_map(|pod| pod.told.as_deref());
        fetch(pods.iter().map(|pod| pod.containers.skim() ^ machine_of(pod).skim_for(pod.id)));
        fetch(told().map(Source::skim));
        fetch(told().map(Source::skim_parts));
    }

    /// A timer is due.
    pub fn handle(&mut self, event: KubeletEvent, ctx: &mut Ctx<'_>) {
        match event {
            KubeletEvent::Pod { pod, epoch, step } => {
                self.work(pod, ctx, |worker| {
                    if epoch == worker.pod.epoch || epoch == u32::MAX {
                        worker.due(step);
                    }
                });
            }
            KubeletEvent::Container { pod, container, epoch, step } => {
                let index = usize::from(container);
                self.work(pod, ctx, |worker| {
                    if worker.pod.containers.get(index).is_some_and(|life| life.epoch == epoch) {
                        worker.container_due(index, step);
                    }
                });
            }
            KubeletEvent::Node { node, epoch, step } => {
                let current = self.machines.get(node as usize).is_some_and(|m| m.epoch == epoch);
                if current {
                    match step {
                        NodeStep::Ready => self.network_ready(node, ctx),
                        NodeStep::Heard => self.heard_again(node, ctx),
                        NodeStep::Resync => self.resync(node, ctx),
                        NodeStep::Monitor => self.monitor(node, ctx),
                        NodeStep::OutOfMemory => self.exhausted(node, ctx),
                        NodeStep::Images => self.collect_images(node, ctx),
                        NodeStep::Drivers => self.drivers_ready(node, ctx),
                        NodeStep::Volumes => self.volumes_reported(node, ctx),
                        NodeStep::Shutdown => self.shutdown_goes_on(node, ctx),
                        NodeStep::Preempt => self.admission_goes_on(node, ctx),
                        NodeStep::Status => self.machines[node as usize].note_cordon(ctx),
                    }
                }
            }
        }
    }

    fn network_ready(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let machine = &mut self.machines[number as usize];
        machine.network = true;
        machine.post_status(ctx);
        if machine.drivers.is_empty() {
            machine.take_startup_taints_off(ctx);
        } else {
            let mut stream = ctx.store.seed().stream("driver-ready", &machine.name);
            let after = ctx.params.latencies.driver_ready.sample(&mut stream);
            self.node_at(number, after, NodeStep::Drivers, ctx);
        }
        for pod in self.pods_of(number) {
            self.work(pod, ctx, |worker| {
                if worker.pod.stage == Stage::Arrived {
                    worker.proceed();
                }
            });
        }
    }

    /// The CSI drivers of a new node register.
    fn drivers_ready(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let machine = &mut self.machines[number as usize];
        let drivers = std::mem::take(&mut machine.drivers);
        // A CSINode that somebody has deleted is not made anew.
        let _ =
            ctx.store.update::<CsiNode>(&ObjectKey::cluster(&machine.name), |node| node.drivers = drivers);
        machine.take_startup_taints_off(ctx);
    }

    /// A node says which volumes it uses; Pods that waited for that go on.
    fn volumes_reported(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let machine = &mut self.machines[number as usize];
        machine.report_planned = false;
        machine.post_volumes(ctx);
        let name = machine.name.clone();
        self.wake(&Wait::Report(name), ctx);
    }

    pub(super) fn pods_of(&self, number: u32) -> Vec<ObjId> {
        self.machines[number as usize].pods.iter().map(ObjId).collect()
    }

    /// The Pods of a machine in the order of their creation.
    pub(super) fn pods_on(&self, number: u32) -> impl Iterator<Item = &LocalPod> {
        self.machines[number as usize]
            .pods
            .iter()
            .filter_map(|id| self.pods.get(&ObjId(id)))
            .map(|pod| &**pod)
    }

    /// After a time without agent or API server: each Pod is looked at, and those that came meanwhile.
    fn resync(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        if !self.machines[number as usize].hears() {
            return;
        }
        for pod in self.pods_of(number) {
            self.work(pod, ctx, |worker| worker.resync());
        }
        self.machines[number as usize].rebooted = false;
        self.look_for_pods(number, ctx);
    }

    pub(super) fn machine(&self, node: &str) -> Option<u32> {
        self.by_name.get(node).copied()
    }

    /// The machine loses power: kubelet and containers are gone at once, nothing is reported.
    /// The last renewal of its lease; none if the node is not known.
    pub fn fail_node(&mut self, node: &str, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        let number = self.machine(node)?;
        let now = ctx.store.now();
        let machine = &mut self.machines[number as usize];
        let last = machine.end_renewals(ctx);
        machine.power = false;
        machine.network = false;
        machine.shutdown = None;
        machine.admitting.clear();
        machine.rebooted = true;
        machine.report_planned = false;
        machine.epoch = machine.epoch.wrapping_add(1);
        machine.images.lose_power(now);
        for pod in self.pods_of(number) {
            self.work(pod, ctx, |worker| worker.lose_power());
        }
        last
    }

    /// The machine boots: it is Ready after the latency `nodeReady`, and its containers start anew.
    pub fn restore_node(&mut self, node: &str, ctx: &mut Ctx<'_>) {
        let Some(number) = self.machine(node) else { return };
        let machine = &mut self.machines[number as usize];
        if machine.power {
            return;
        }
        machine.power = true;
        machine.kubelet = true;
        say::of_node(machine, EventType::Normal, "Starting", "Starting kubelet.", ctx);
        let boot = ctx.store.seed().stream("boot-id", &format!("{node}/{}", machine.epoch)).uuid();
        let message = format!("Node {node} has been rebooted, boot id: {boot}");
        say::of_node(machine, EventType::Warning, "Rebooted", &message, ctx);
        self.network_later(number, ctx);
        self.hear_again(number, ctx);
    }

    /// Each kubelet finds its way to the API server by itself, after the latency `nodeReconnect`.
    fn hear_again(&self, number: u32, ctx: &mut Ctx<'_>) {
        let machine = &self.machines[number as usize];
        if machine.hears() {
            let entity = format!("{}/{}", machine.name, ctx.store.now().as_nanos());
            let mut stream = ctx.store.seed().stream("node-reconnect", &entity);
            let after = ctx.params.latencies.node_reconnect.sample(&mut stream);
            self.node_at(number, after, NodeStep::Heard, ctx);
        }
    }

    /// Lease and status at once, the Pods after the latency `podResync`.
    fn heard_again(&mut self, number: u32, ctx: &mut Ctx<'_>) {
        let machine = &mut self.machines[number as usize];
        if !machine.hears() {
            return;
        }
        let uid = ctx.store.find::<Node>("", &machine.name).map(|n| n.meta.uid.clone()).unwrap_or_default();
        machine.begin_renewals(&uid, ctx);
        machine.post_status(ctx);
        machine.note_cordon(ctx);
        let entity = format!("{}/{}", machine.name, ctx.store.now().as_nanos());
        let mut stream = ctx.store.seed().stream("pod-resync", &entity);
        let after = ctx.params.latencies.pod_resync.sample(&mut stream);
        self.node_at(number, after, NodeStep::Resync, ctx);
    }

    /// The kubelet stops; containers go on running, nobody looks after them. The last renewal of its lease.
    pub fn stop_kubelet(&mut self, node: &str, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        let number = self.machine(node)?;
        let machine = &mut self.machines[number as usize];
        let last = machine.end_renewals(ctx);
        machine.kubelet = false;
        last
    }

    /// The kubelet starts again: lease and status after the latency `nodeReconnect`, its Pods after `podResync`.
    pub fn start_kubelet(&mut self, node: &str, ctx: &mut Ctx<'_>) {
        let Some(number) = self.machine(node) else { return };
        let machine = &mut self.machines[number as usize];
        if machine.kubelet || !machine.power {
            return;
        }
        machine.kubelet = true;
        say::of_node(machine, EventType::Normal, "Starting", "Starting kubelet.", ctx);
        self.hear_again(number, ctx);
    }

    /// The node reaches the API server no longer, nor it the node; containers and kubelet go on.
    /// The last renewal of its lease.
    pub fn partition(&mut self, node: &str, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        let number = self.machine(node)?;
        let machine = &mut self.machines[number as usize];
        let last = machine.end_renewals(ctx);
        machine.connected = false;
        self.touch_all(number);
        last
    }

    /// The partition ends: lease and status after the latency `nodeReconnect`, its Pods after `podResync`.
    pub fn heal(&mut self, node: &str, ctx: &mut Ctx<'_>) {
        let Some(number) = self.machine(node) else { return };
        let machine = &mut self.machines[number as usize];
        if !std::mem::replace(&mut machine.connected, true) {
            self.touch_all(number);
            self.hear_again(number, ctx);
        }
    }

    /// From now on it is noted which Pods' answers may have changed.
    pub fn watch_answers(&mut self) {
        self.touched.get_or_insert_default();
    }

    /// Pods whose answers may have changed since the last call.
    pub fn take_touched(&mut self) -> Vec<ObjId> {
        self.touched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn touch_all(&mut self, number: u32) {
        let pods = self.pods_of(number);
        if let Some(touched) = &mut self.touched {
            touched.extend(pods);
        }
    }

    /// Running containers of a Pod end at once; `container` none: all regular ones. How many ended.
    pub fn crash(
        &mut self,
        pod: &ObjectKey,
        container: Option<&str>,
        exit_code: i32,
        reason: &Str,
        ctx: &mut Ctx<'_>,
    ) -> usize {
        self.each_container(pod, container, ctx, |worker, index| worker.crash(index, exit_code, reason))
    }

    /// Running containers of a Pod answer nothing any more, for `duration` or until they are restarted.
    /// How many hang.
    pub fn hang(
        &mut self,
        pod: &ObjectKey,
        container: Option<&str>,
        duration: Option<SimDuration>,
        ctx: &mut Ctx<'_>,
    ) -> usize {
        self.each_container(pod, container, ctx, |worker, index| worker.hang(index, duration))
    }

    fn each_container(
        &mut self,
        pod: &ObjectKey,
        container: Option<&str>,
        ctx: &mut Ctx<'_>,
        mut act: impl FnMut(&mut Worker<'_, '_>, usize) -> bool,
    ) -> usize {
        let Some(id) = ctx.store.id_of::<Pod>(pod) else { return 0 };
        let count = self.work(id, ctx, |worker| {
            let meant: Vec<usize> = (0..worker.pod.containers.len())
                .filter(|index| match container {
                    Some(name) => worker.pod.container(*index).name == name,
                    None => worker.pod.is_regular(*index),
                })
                .filter(|index| worker.pod.containers[*index].is_running())
                .collect();
            meant.into_iter().filter(|index| act(worker, *index)).count()
        });
        count.unwrap_or(0)
    }

    /// The kubelet evicts a Pod from its node: phase Failed, reason `Evicted`. Whether there was one to evict.
    pub fn evict(&mut self, pod: &ObjectKey, message: &Str, grace: SimDuration, ctx: &mut Ctx<'_>) -> bool {
        let Some(id) = ctx.store.id_of::<Pod>(pod) else { return false };
        self.work(id, ctx, |worker| worker.evict(message, grace, true)).unwrap_or(false)
    }

    /// The last renewal of a node's lease at or before `now`.
    pub fn last_renewal(&self, node: &str, now: SimTime) -> Option<SimTime> {
        self.machines[self.machine(node)? as usize].last_renewal(now)
    }

    /// Whether the node's machine has power and reaches the API server, and its kubelet runs.
    pub fn is_up(&self, node: &str) -> bool {
        self.machine(node).is_some_and(|number| self.machines[number as usize].hears())
    }

    /// What becomes of a request to a Pod, and when that changes by itself.
    pub fn health(&self, pod: ObjId, now: SimTime) -> (Health, Option<SimTime>) {
        let Some(pod) = self.pods.get(&pod) else { return (Health::Refuses, None) };
        let machine = &self.machines[pod.node as usize];
        let regular = pod.regular();
        if !machine.power || !machine.connected || regular.iter().any(|life| life.is_running() && life.hung) {
            return (Health::Silent, None);
        }
        if pod.sigterm.is_some_and(|at| at <= now) {
            return (Health::Refuses, None);
        }
        let mut until = pod.sigterm;
        let mut health = Health::Answers;
        for life in regular {
            match life.run {
                Run::Running { answers, .. } if answers <= now => {}
                Run::Running { answers, .. } => {
                    health = Health::Refuses;
                    until = Some(until.map_or(answers, |at| at.min(answers)));
                }
                Run::Waiting { .. } | Run::Exited(_) => health = Health::Refuses,
            }
        }
        (health, until)
    }

    /// Whether a Pod's regular containers run, have started up and answer at `now` (whatever the API says of
    /// it). A process that got SIGTERM answers no more.
    pub fn answers(&self, pod: ObjId, now: SimTime) -> bool {
        self.health(pod, now).0 == Health::Answers
    }
}

/// Says whether containers run that may use the Pod's volumes, if that has changed.
fn note_use(pod: &mut LocalPod, machine: &Machine, ctx: &mut Ctx<'_>) {
    let begins = machine.power && pod.containers.iter().any(|life| life.is_running());
    if std::mem::replace(&mut pod.in_use, begins) != begins {
        ctx.uses.push(VolumeUse {
            pod: pod.key.clone(),
            uid: pod.uid.clone(),
            labels: pod.labels.clone(),
            node: machine.name.clone(),
            spec: pod.spec.clone(),
            begins,
        });
    }
}
