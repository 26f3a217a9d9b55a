//! Probes: asked on their own grid, and only as long as an answer can change something.
//!
//! Upstream: `pkg/kubelet/prober/{worker,prober,prober_manager}.go`, v1.34.
//!
//! # Fidelity
//!
//! * A probe that passes and cannot but pass is not asked.
//! * After [`SAID_MAX`] failures in a row that change nothing, a probe is asked again when the container can
//!   answer: upstream's recorder drops nearly all further Events.
//! * Every handler asks the same: whether the container answers. None has an error (`errored and resulted in …`), a
//!   warning (`ProbeWarning`) or a status code but 500.

use super::pod::Run;
use super::worker::Worker;
use super::{ContainerStep, ProbeKind};
use crate::api::k8s::core::v1 as core;
use crate::api::pod::Probe;
use crate::base::{SimDuration, SimTime, Str, text::lit};

/// Failures in a row that are said.
const SAID_MAX: u32 = 25;

/// The probes of a running container.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    startup: Watch,
    readiness: Watch,
    liveness: Watch,
}

/// One probe.
#[derive(Clone, Debug, Default)]
struct Watch {
    /// When it is asked next.
    due: Option<SimTime>,
    /// Where its grid lies.
    anchor: SimTime,
    /// The last answer.
    success: bool,
    /// How often in a row.
    run: u32,
    /// It fails, whether the container answers or not.
    fails: bool,
}

impl Probes {
    fn watch(&mut self, kind: ProbeKind) -> &mut Watch {
        match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Readiness => &mut self.readiness,
            ProbeKind::Liveness => &mut self.liveness,
        }
    }
}

impl Worker<'_, '_> {
    /// A container has started.
    pub fn begin_probes(&mut self, index: usize) {
        let container = self.pod.container(index);
        let startup = container.startup_probe.is_some();
        let any = startup || container.readiness_probe.is_some() || container.liveness_probe.is_some();
        let anchor = self.pod.seen;
        let watch = || Watch { anchor, ..Watch::default() };
        let life = &mut self.pod.containers[index];
        life.ready = false;
        life.started = false;
        life.probes =
            any.then(|| Box::new(Probes { startup: watch(), readiness: watch(), liveness: watch() }));
        if startup {
            self.plan(index, ProbeKind::Startup, self.now());
        } else {
            self.has_started(index);
        }
    }

    /// Its startup probe has passed, or it has none: readiness is asked at once, liveness in its turn.
    fn has_started(&mut self, index: usize) {
        let now = self.now();
        let container = self.pod.container(index);
        let (readiness, liveness) = (container.readiness_probe, container.liveness_probe.is_some());
        let life = &mut self.pod.containers[index];
        life.started = true;
        let Run::Running { since, answers } = life.run else { return };
        match readiness {
            None => life.ready = true,
            Some(_) => {
                if let Some(probes) = &mut life.probes {
                    // Upstream: a manual run resets the ticker.
                    probes.readiness.anchor = now;
                }
                if let Some(delay) = self.ctx.params.latencies.probe_ready {
                    let at = since + self.sample_container(&delay, "probe-ready", index);
                    self.container_at(index, at.max(answers).max(now), ContainerStep::Ready);
                } else {
                    self.plan(index, ProbeKind::Readiness, now);
                }
            }
        }
        if liveness {
            self.plan(index, ProbeKind::Liveness, now);
        }
    }

    fn probe_of(&self, index: usize, kind: ProbeKind) -> Option<Probe> {
        let container = self.pod.container(index);
        match kind {
            ProbeKind::Startup => container.startup_probe,
            ProbeKind::Readiness => container.readiness_probe,
            ProbeKind::Liveness => container.liveness_probe,
        }
    }

    /// Finds the next instant from `from` on at which a probe's answer matters, and asks for a timer.
    fn plan(&mut self, index: usize, kind: ProbeKind, from: SimTime) {
        let Some(probe) = self.probe_of(index, kind) else { return };
        let life = &mut self.pod.containers[index];
        let Run::Running { since, answers } = life.run else { return };
        let (hung, ready) = (life.hung, life.ready);
        let signal = life.doom.as_ref().map(|doom| doom.signal);
        let Some(probes) = &mut life.probes else { return };
        let watch = probes.watch(kind);
        let fails = hung || watch.fails;
        let tick = |at: SimTime| {
            let phase = SimDuration::from_nanos(watch.anchor.as_nanos());
            at.next_on_grid(phase, SimDuration::from_api_secs(probe.period_seconds))
        };
        let mut at = tick(from.max(since + initial_delay(&probe)));
        if let Some(signal) = signal.filter(|_| ready && !fails) {
            // Until then it passes.
            at = at.max(tick(signal));
        }
        let passes = !fails && answers <= at && signal.is_none_or(|signal| at < signal);
        let settled = match kind {
            ProbeKind::Startup => false,
            ProbeKind::Readiness => ready && passes,
            ProbeKind::Liveness => passes,
        };
        let weary = kind == ProbeKind::Readiness && !ready && !watch.success && watch.run >= SAID_MAX;
        if settled || weary && fails {
            watch.due = None;
            if settled {
                (watch.success, watch.run) = (true, 0);
            }
            return;
        }
        if weary {
            at = at.max(tick(answers));
        }
        if hung {
            at += SimDuration::from_api_secs(probe.timeout_seconds);
        }
        watch.due = Some(at);
        self.container_at(index, at, ContainerStep::Probe(kind));
    }

    /// A probe's timer is due.
    pub fn probe_due(&mut self, index: usize, kind: ProbeKind) {
        let now = self.now();
        let Some(probes) = &mut self.pod.containers[index].probes else { return };
        if probes.watch(kind).due != Some(now) {
            return;
        }
        if self.ask(index, kind) {
            if self.pod.is_over() {
                self.report();
            } else {
                self.advance();
            }
        }
    }

    /// A container is being stopped: its readiness is asked for further on.
    pub fn readiness_goes_on(&mut self, index: usize) {
        if self.pod.containers[index].probes.is_some() && self.pod.containers[index].started {
            self.plan(index, ProbeKind::Readiness, self.now());
        }
    }

    /// Asks a probe; whether that changed what the container is.
    fn ask(&mut self, index: usize, kind: ProbeKind) -> bool {
        let Some(probe) = self.probe_of(index, kind) else { return false };
        let now = self.now();
        let life = &mut self.pod.containers[index];
        let answers = life.answers(now);
        let Some(probes) = &mut life.probes else { return false };
        let watch = probes.watch(kind);
        let success = answers && !watch.fails;
        watch.due = None;
        watch.run = if watch.success == success { watch.run + 1 } else { 1 };
        watch.success = success;
        let run = i64::from(watch.run);
        if !success {
            self.unhealthy(index, kind, &probe);
        }
        let threshold = if success { probe.success_threshold } else { probe.failure_threshold };
        let reached = run >= threshold;
        let changed = reached && self.conclude(index, kind, success);
        // A container that is to be restarted is not asked any more.
        let stopped = self.pod.containers[index].doom.is_some() && kind != ProbeKind::Readiness;
        if !(stopped || kind == ProbeKind::Startup && reached) {
            self.plan(index, kind, now + SimDuration::from_nanos(1));
        }
        changed
    }

    /// A probe has reached its threshold; whether that changed what the container is.
    fn conclude(&mut self, index: usize, kind: ProbeKind, success: bool) -> bool {
        let life = &mut self.pod.containers[index];
        match (kind, success) {
            (ProbeKind::Startup, true) => {
                self.has_started(index);
                true
            }
            (ProbeKind::Readiness, _) => std::mem::replace(&mut life.ready, success) != success,
            (ProbeKind::Liveness, true) => false,
            (ProbeKind::Startup | ProbeKind::Liveness, false) => {
                if life.doom.is_none() {
                    self.kill(index, kind);
                }
                false
            }
        }
    }

    /// The container becomes ready by the latency `probeReady`.
    pub fn ready_by_latency(&mut self, index: usize) {
        let now = self.now();
        let life = &mut self.pod.containers[index];
        let fails = life.probes.as_ref().is_some_and(|probes| probes.readiness.fails);
        if life.answers(now) && !fails {
            life.ready = true;
            self.advance();
        } else {
            self.plan(index, ProbeKind::Readiness, now);
        }
    }

    /// Startup and liveness are not asked any more.
    pub fn pause_probes(&mut self, index: usize) {
        if let Some(probes) = &mut self.pod.containers[index].probes {
            probes.startup.due = None;
            probes.liveness.due = None;
        }
    }

    /// Something has changed about how the container answers.
    pub fn replan_probes(&mut self, index: usize) {
        let now = self.now();
        let life = &self.pod.containers[index];
        if !life.is_running() || life.doom.is_some() {
            return;
        }
        if !life.started {
            self.plan(index, ProbeKind::Startup, now);
            return;
        }
        for kind in [ProbeKind::Readiness, ProbeKind::Liveness] {
            self.plan(index, kind, now);
        }
    }

    /// A probe fails from now on though the container answers, or passes again.
    pub fn probe_fails(&mut self, index: usize, kind: ProbeKind, fails: bool) {
        if let Some(probes) = &mut self.pod.containers[index].probes {
            probes.watch(kind).fails = fails;
            self.replan_probes(index);
        }
    }

    /// The container answers nothing any more.
    pub fn hang(&mut self, index: usize, duration: Option<SimDuration>) -> bool {
        let now = self.now();
        let life = &mut self.pod.containers[index];
        if !self.machine.power || !life.is_running() {
            return false;
        }
        life.hung = true;
        if let Some(duration) = duration {
            self.container_at(index, now + duration, ContainerStep::Recover);
        }
        self.replan_probes(index);
        true
    }

    /// The container answers again.
    pub fn recover(&mut self, index: usize) {
        self.pod.containers[index].hung = false;
        self.replan_probes(index);
    }

    fn unhealthy(&mut self, index: usize, kind: ProbeKind, probe: &Probe) {
        if !self.speaks() {
            return;
        }
        let word = match kind {
            ProbeKind::Startup => "Startup",
            ProbeKind::Readiness => "Readiness",
            ProbeKind::Liveness => "Liveness",
        };
        let output = self.output(index, kind, probe).unwrap_or_default();
        self.warning(lit!("Unhealthy"), format!("{word} probe failed: {output}"));
    }

    /// What a failed probe says.
    fn output(&self, index: usize, kind: ProbeKind, probe: &Probe) -> Option<String> {
        let container = self.pod.raw_container(index)?;
        let asked = match kind {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
        }?;
        let (life, ip) = (&self.pod.containers[index], &self.pod.ip);
        let hung = life.hung;
        if life.answers(self.now()) {
            return unhealthy_answer(asked);
        }
        if let Some(http) = &asked.http_get {
            let scheme = http.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
            let host = http.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(ip);
            let place = format!("{host}:{}", self.port(index, &http.port));
            let path = http.path.as_deref().unwrap_or("/");
            let slash = if path.starts_with('/') { "" } else { "/" };
            let why = if hung {
                "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned()
            } else {
                format!("dial tcp {place}: connect: connection refused")
            };
            return Some(format!("Get \"{scheme}://{place}{slash}{path}\": {why}"));
        }
        if let Some(tcp) = &asked.tcp_socket {
            let host = tcp.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(ip);
            let why = if hung { "i/o timeout" } else { "connect: connection refused" };
            return Some(format!("dial tcp {host}:{}: {why}", self.port(index, &tcp.port)));
        }
        if let Some(grpc) = &asked.grpc {
            let seconds = probe.timeout_seconds;
            return Some(format!(
                "timeout: failed to connect service \"{ip}:{}\" within {seconds}s: context deadline exceeded",
                grpc.port
            ));
        }
        let command = asked.exec.as_ref()?.command.as_ref()?.join(" ");
        let seconds = probe.timeout_seconds;
        hung.then(|| format!("command timed out: \"{command}\" timed out after {seconds}s"))
    }

    fn port(&self, index: usize, port: &core_port::Port) -> Str {
        match port {
            core_port::Port::Int(number) => number.to_string().into(),
            core_port::Port::String(name) => {
                let ports = &self.pod.container(index).ports;
                let found = ports.iter().find(|p| p.name == name.as_str()).map(|p| p.container_port);
                found.map_or_else(|| name.as_str().into(), |number| number.to_string().into())
            }
        }
    }
}

/// What a probe says of a container that answers, but not well.
fn unhealthy_answer(asked: &core::Probe) -> Option<String> {
    if asked.http_get.is_some() {
        return Some("HTTP probe failed with statuscode: 500".to_owned());
    }
    asked.grpc.as_ref().map(|_| "service unhealthy (responded with \"NOT_SERVING\")".to_owned())
}

mod core_port {
    pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString as Port;
}

fn initial_delay(probe: &Probe) -> SimDuration {
    SimDuration::from_api_secs(probe.initial_delay_seconds)
}
