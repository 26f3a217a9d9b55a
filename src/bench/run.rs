//! Carries a workload out.
//!
//! Upstream: `test/integration/scheduler_perf/scheduler_perf.go` (`runWorkload`), v1.34.

use std::collections::VecDeque;

use serde_json::json;

use super::Meter;
use super::cluster::{Batch, Cluster};
use super::make::{self, PodMaker};
use super::result::{Measured, Times};
use super::template::{Template, object};
use super::workload::{Amount, Barrier, Case, Churn, CreateNodes, CreatePods, DeletePods, Op, Size};
use crate::api::{Kind, Labels, Object, ObjectKey, Pod};
use crate::base::{SimDuration, SimTime, Str};
use crate::kernel::Seed;
use crate::scheduler::{Scheduler, Wording};

/// So long, in virtual time, nothing may come of the waiting before it is given up.
const PATIENCE: SimDuration = SimDuration::from_secs(600);

/// What is asked for beside a case and a size.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `percentageOfNodesToScore`, in place of the configuration's.
    pub percentage: Option<i32>,
    /// What draws are made from.
    pub seed: u64,
    /// The scheduler asks every plugin of every node in every cycle and keeps nothing.
    pub plain: bool,
}

/// Carries a workload out in one of its sizes.
///
/// # Errors
/// What is wrong with the workload.
pub fn run(case: &Case, size: &Size, options: Options, meter: &mut dyn Meter) -> Result<Measured, String> {
    let mut config = case.config.clone();
    config.percentage_of_nodes_to_score = options.percentage.unwrap_or(config.percentage_of_nodes_to_score);
    config.frameworks(Wording::default())?;
    let mut scheduler = Scheduler::new(config, Wording::default());
    scheduler.keep_verdicts(!options.plain);
    let cluster = Cluster::new(scheduler, Seed(options.seed));
    let mut run = Run {
        cluster,
        size,
        meter,
        timers: Vec::new(),
        serial: 0,
        unnamed: 0,
        times: Times::default(),
        begun: None,
    };
    for op in &case.ops {
        run.carry_out(op)?;
    }
    run.stop();
    Ok(Measured::of(case, size, &run.cluster, run.times))
}

/// What goes on beside the operations.
enum Timer<'a> {
    Churn { churn: &'a Churn, namespace: Str, round: usize, made: VecDeque<Vec<(Kind, ObjectKey)>> },
    Delete { pods: VecDeque<ObjectKey>, every: SimDuration },
}

struct Run<'a> {
    cluster: Cluster,
    size: &'a Size,
    meter: &'a mut dyn Meter,
    timers: Vec<(SimTime, Timer<'a>)>,
    /// Numbers names that are made.
    serial: usize,
    /// Numbers namespaces that are not named.
    unnamed: usize,
    times: Times,
    /// When measuring began, on the wall and on the CPU.
    begun: Option<(u64, Option<u64>)>,
}

/// When a wait is over.
enum Until {
    /// These batches are placed.
    Placed(Vec<usize>),
    /// These batches are tried.
    Tried(Vec<usize>),
    /// An instant has come.
    Time(SimTime),
    /// Timers that are counted have ended.
    Deleted,
}

impl<'a> Run<'a> {
    fn carry_out(&mut self, op: &'a Op) -> Result<(), String> {
        match op {
            Op::CreateNodes(nodes) => self.create_nodes(nodes),
            Op::CreateNamespaces { count, prefix, template } => {
                let none = Template::new(json!({"apiVersion": "v1", "kind": "Namespace"}));
                let template = template.as_ref().unwrap_or(&none);
                let count = count.of(self.size)?;
                for index in 0..count {
                    self.cluster.put(object(
                        template.manifest(index, count),
                        "",
                        &format!("{prefix}-{index}"),
                    )?);
                }
                Ok(())
            }
            Op::CreatePods(pods) => {
                let namespace = pods.namespace.clone().unwrap_or_else(|| self.next_namespace());
                self.create_pods(pods, &namespace)
            }
            Op::CreatePodSets { count, prefix, pods } => {
                for index in 0..count.of(self.size)? {
                    self.create_pods(pods, &format!("{prefix}-{index}").into())?;
                }
                Ok(())
            }
            Op::CreateAny { count, namespace, template } => self.create_any(count, namespace, template),
            Op::DeletePods(pods) => {
                self.delete_pods(pods);
                Ok(())
            }
            Op::Churn(churn) => {
                let namespace = churn.namespace.clone().unwrap_or_else(|| self.next_namespace());
                let timer = Timer::Churn { churn, namespace, round: 0, made: VecDeque::new() };
                self.timers.push((self.cluster.now + churn.interval, timer));
                Ok(())
            }
            Op::Barrier(barrier) => {
                let until = self.barrier(barrier);
                self.wait(&until)
            }
            Op::Sleep(time) => self.wait(&Until::Time(self.cluster.now + *time)),
            Op::StartMeasuring => {
                self.start();
                Ok(())
            }
            Op::StopMeasuring => {
                self.stop();
                Ok(())
            }
        }
    }

    /// The name of a namespace for an operation that names none.
    fn next_namespace(&mut self) -> Str {
        self.unnamed += 1;
        format!("namespace-{}", self.unnamed - 1).into()
    }

    fn start(&mut self) {
        if self.begun.is_none() {
            self.cluster.samples.on = true;
            self.begun = Some((self.meter.wall(), self.meter.cpu()));
        }
    }

    fn stop(&mut self) {
        let Some((wall, cpu)) = self.begun.take() else { return };
        self.cluster.samples.on = false;
        self.times.wall += self.meter.wall().saturating_sub(wall);
        let spent = self.meter.cpu().zip(cpu).map(|(end, begin)| end.saturating_sub(begin));
        self.times.cpu = spent.map(|spent| self.times.cpu.unwrap_or(0) + spent);
    }

    fn create_nodes(&mut self, nodes: &CreateNodes) -> Result<(), String> {
        let count = nodes.count.of(self.size)?;
        for object in make::nodes(nodes, count, &mut self.serial)? {
            self.cluster.put(object);
        }
        Ok(())
    }

    fn create_any(&mut self, count: &Amount, namespace: &Str, template: &Template) -> Result<(), String> {
        let count = count.of(self.size)?;
        for index in 0..count {
            self.make(template, index, count, namespace)?;
        }
        Ok(())
    }

    /// Makes one object; its kind and key.
    fn make(
        &mut self,
        template: &Template,
        index: usize,
        count: usize,
        namespace: &Str,
    ) -> Result<(Kind, ObjectKey), String> {
        let manifest = template.manifest(index, count);
        self.serial += 1;
        let name = Template::name(&manifest, self.serial);
        let made = make::any(manifest, namespace, &name)?;
        let (kind, key) = (made.kind(), made.key());
        match made {
            Object::Pod(pod) => {
                let batch = self.batch(namespace, &pod.meta.labels, false);
                self.cluster.put_pod(Pod::clone(&pod), batch);
            }
            other => self.cluster.put(other),
        }
        Ok((kind, key))
    }

    fn batch(&mut self, namespace: &Str, labels: &Labels, steady: bool) -> usize {
        let batch =
            Batch { namespace: namespace.clone(), labels: labels.clone(), steady, ..Batch::default() };
        self.cluster.batches.push(batch);
        self.cluster.batches.len() - 1
    }

    fn create_pods(&mut self, pods: &CreatePods, namespace: &Str) -> Result<(), String> {
        let count = pods.count.of(self.size)?;
        let mut maker = PodMaker::new(pods, namespace, count)?;
        let mut made = Vec::with_capacity(count);
        for index in 0..count {
            self.serial += 1;
            made.push(maker.make(index, self.serial)?);
        }
        if pods.measured {
            self.start();
        }
        let batch = self.batch(namespace, &maker.labels(), pods.steady.is_some());
        self.cluster.batches[batch].measured = self.begun.is_some();
        for (objects, pod) in made {
            objects.into_iter().for_each(|object| self.cluster.put(object));
            self.cluster.put_pod(pod, batch);
        }
        match pods.steady {
            Some(time) => self.keep_steady(&mut maker, batch, self.cluster.now + time)?,
            None if pods.goes_on => {}
            None => self.wait(&Until::Placed(vec![batch]))?,
        }
        if pods.measured {
            self.stop();
        }
        Ok(())
    }

    /// Replaces each Pod of a batch by a new one once it is placed, until an instant.
    fn keep_steady(&mut self, maker: &mut PodMaker<'_>, batch: usize, until: SimTime) -> Result<(), String> {
        while self.cluster.now < until {
            if !self.step(until)? {
                break;
            }
            for gone in std::mem::take(&mut self.cluster.batches[batch].to_replace) {
                self.cluster.delete(Kind::Pod, &gone);
                self.serial += 1;
                let (objects, pod) = maker.make(0, self.serial)?;
                objects.into_iter().for_each(|object| self.cluster.put(object));
                self.cluster.put_pod(pod, batch);
            }
        }
        Ok(())
    }

    fn delete_pods(&mut self, pods: &DeletePods) {
        let mut found: VecDeque<ObjectKey> = self.cluster.pods(&pods.namespace, &pods.labels).into();
        if pods.per_second == 0 {
            found.drain(..).for_each(|key| self.cluster.delete(Kind::Pod, &key));
            return;
        }
        let every = SimDuration::from_nanos(1_000_000_000 / pods.per_second as u64);
        self.timers.push((self.cluster.now + every, Timer::Delete { pods: found, every }));
        if !pods.goes_on {
            // Deleting cannot fail.
            let _ = self.wait(&Until::Deleted);
        }
    }

    fn barrier(&self, barrier: &Barrier) -> Until {
        let meant = |batch: &Batch| {
            (barrier.namespaces.is_empty() || barrier.namespaces.contains(&batch.namespace))
                && barrier.labels.iter().all(|(k, v)| batch.labels.get(k) == Some(v))
        };
        let batches =
            self.cluster.batches.iter().enumerate().filter(|(_, b)| meant(b)).map(|(i, _)| i).collect();
        if barrier.attempted { Until::Tried(batches) } else { Until::Placed(batches) }
    }

    fn is_over(&self, until: &Until) -> bool {
        let all = |indices: &[usize], count: fn(&Batch) -> usize| {
            indices.iter().all(|i| count(&self.cluster.batches[*i]) >= self.cluster.batches[*i].made)
        };
        match until {
            Until::Placed(batches) => all(batches, |b| b.placed),
            Until::Tried(batches) => all(batches, |b| b.tried),
            Until::Time(at) => self.cluster.now >= *at,
            Until::Deleted => !self.timers.iter().any(|(_, timer)| matches!(timer, Timer::Delete { .. })),
        }
    }

    /// Goes on until a wait is over, or nothing has come of it for long.
    fn wait(&mut self, until: &Until) -> Result<(), String> {
        let progress = |run: &Self| run.cluster.placements.writes();
        let (mut since, mut placed) = (self.cluster.now, progress(self));
        let limit = if let Until::Time(at) = until { *at } else { SimTime::MAX };
        while !self.is_over(until) && self.step(limit)? {
            if progress(self) != placed {
                (since, placed) = (self.cluster.now, progress(self));
            } else if limit == SimTime::MAX && self.cluster.now >= since + PATIENCE {
                break;
            }
        }
        Ok(())
    }

    /// One cycle, or a jump to the next instant at which something happens, `limit` at the latest. False if nothing will.
    fn step(&mut self, limit: SimTime) -> Result<bool, String> {
        self.run_timers()?;
        if self.cluster.cycle(&mut *self.meter) {
            return Ok(true);
        }
        let wakes = self.cluster.scheduler.next_wakeup(self.cluster.now).into_iter();
        let next =
            wakes.chain(self.timers.iter().map(|(at, _)| *at)).min().unwrap_or(SimTime::MAX).min(limit);
        if next == SimTime::MAX {
            return Ok(false);
        }
        self.cluster.now = next.max(self.cluster.now);
        Ok(true)
    }

    fn run_timers(&mut self) -> Result<(), String> {
        while let Some(index) = self.timers.iter().position(|(at, _)| *at <= self.cluster.now) {
            let (at, timer) = self.timers.remove(index);
            if let Some((next, timer)) = self.fire(at, timer)? {
                self.timers.push((next, timer));
            }
        }
        Ok(())
    }

    /// What a timer does now, and when it wants to be called again.
    fn fire(&mut self, at: SimTime, timer: Timer<'a>) -> Result<Option<(SimTime, Timer<'a>)>, String> {
        match timer {
            Timer::Delete { mut pods, every } => {
                if let Some(key) = pods.pop_front() {
                    self.cluster.delete(Kind::Pod, &key);
                }
                Ok((!pods.is_empty()).then_some((at + every, Timer::Delete { pods, every })))
            }
            Timer::Churn { churn, namespace, round, mut made } => {
                let deletes = churn.recreate && (round / churn.number.max(1)) % 2 == 1;
                if deletes {
                    for (kind, key) in made.pop_front().into_iter().flatten() {
                        self.cluster.delete(kind, &key);
                    }
                } else {
                    let mut objects = Vec::new();
                    for template in &churn.templates {
                        objects.push(self.make(template, round, churn.number, &namespace)?);
                    }
                    if churn.recreate {
                        made.push_back(objects);
                    }
                }
                let round = round + 1;
                let ends = !churn.recreate && churn.number > 0 && round >= churn.number;
                Ok((!ends).then(|| (at + churn.interval, Timer::Churn { churn, namespace, round, made })))
            }
        }
    }
}
