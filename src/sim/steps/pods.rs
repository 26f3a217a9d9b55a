//! What happens to containers.

use super::Refusal;
use crate::api::Kind;
use crate::base::{SimDuration, Str};
use crate::kubelet::pressure::{InUse, Place, Scarce};
use crate::plan::step::{Fill, FillAmount, FillMatter, FillPlace, Load, LoadAmount, NodeSet, Target};
use crate::sim::world::World;
use crate::traffic::usage::{self, Amount};

impl World {
    pub(super) fn crash(
        &mut self,
        target: &Target,
        container: Option<&Str>,
        exit_code: i32,
        reason: &Str,
    ) -> Result<(), Refusal> {
        self.each_container(target, container, |kubelets, key, container, ctx| {
            kubelets.crash(key, container, exit_code, reason, ctx)
        })
    }

    pub(super) fn hang(
        &mut self,
        target: &Target,
        container: Option<&Str>,
        duration: Option<SimDuration>,
    ) -> Result<(), Refusal> {
        self.each_container(target, container, |kubelets, key, container, ctx| {
            kubelets.hang(key, container, duration, ctx)
        })
    }

    /// Does something to the running containers of Pods; refused if none of them runs.
    fn each_container(
        &mut self,
        target: &Target,
        container: Option<&Str>,
        mut act: impl FnMut(
            &mut crate::kubelet::Kubelets,
            &crate::api::ObjectKey,
            Option<&str>,
            &mut crate::kubelet::Ctx<'_>,
        ) -> usize,
    ) -> Result<(), Refusal> {
        let mut reached = 0;
        for object in self.resolve(target)? {
            if object.kind() != Kind::Pod {
                return Err(format!("{target} is not a Pod"));
            }
            let key = object.key();
            reached +=
                self.with_kubelets(|kubelets, ctx| act(kubelets, &key, container.map(Str::as_str), ctx));
        }
        if reached > 0 { Ok(()) } else { Err(format!("no running container of {target}")) }
    }

    pub(super) fn fill(&mut self, fill: &Fill) -> Result<(), Refusal> {
        let amount = match fill.amount {
            FillAmount::Amount(amount) => InUse::Amount(amount),
            FillAmount::Percent(percent) => InUse::Percent(percent),
        };
        let what = match fill.matter {
            FillMatter::Memory => Scarce::Memory,
            FillMatter::Disk => Scarce::Disk,
            FillMatter::Processes => Scarce::Pids,
        };
        let how = (what, amount, fill.over);
        match &fill.place {
            FillPlace::Container(target, name) => {
                self.fill_pods(target, Place::Container(name.as_ref().map(Str::as_str)), how)
            }
            FillPlace::Volume(target, name) => self.fill_pods(target, Place::Volume(name), how),
            FillPlace::Nodes(nodes) => self.fill_nodes(nodes, how),
        }
    }

    fn fill_pods(
        &mut self,
        target: &Target,
        place: Place<'_>,
        fill: (Scarce, InUse, SimDuration),
    ) -> Result<(), Refusal> {
        let mut reached = false;
        for object in self.resolve(target)? {
            if object.kind() != Kind::Pod {
                return Err(format!("{target} is not a Pod"));
            }
            let key = object.key();
            reached |= self.with_kubelets(|kubelets, ctx| kubelets.fill_pod(&key, place, fill, ctx));
        }
        if reached {
            return Ok(());
        }
        let what = match place {
            Place::Container(_) => format!("no running container of {target}"),
            Place::Volume(name) => format!("no emptyDir volume {name} on disk in a started Pod of {target}"),
        };
        Err(match fill.1 {
            InUse::Percent(_) => format!("{what} has a limit to take a percentage of"),
            InUse::Amount(_) => what,
        })
    }

    fn fill_nodes(&mut self, nodes: &NodeSet, fill: (Scarce, InUse, SimDuration)) -> Result<(), Refusal> {
        for name in self.resolve_nodes(nodes)? {
            if !self.with_kubelets(|kubelets, ctx| kubelets.fill_node(&name, fill, ctx)) {
                return Err(format!("node {name} has no power, or no capacity that could fill up"));
            }
        }
        Ok(())
    }

    pub(super) fn load(&mut self, load: &Load) -> Result<(), Refusal> {
        let amount = match load.amount {
            LoadAmount::Total { milli, cap } => Amount::Shared { total: milli, cap },
            LoadAmount::PerPod { milli } => Amount::Each(milli),
        };
        let load = usage::Load { namespace: load.namespace.clone(), selector: load.selector.clone(), amount };
        self.usage.set_load(&self.store, load);
        self.manager.on_metrics_change(self.usage.seen_from(self.store.now()), None, &self.store);
        Ok(())
    }
}
