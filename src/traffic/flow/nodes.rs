//! How the CPU of nodes is divided among the Pods that bear requests and those beside them.
//!
//! A node knows the sum of what its Pods want, in whole parts of a millicore, so that it can be kept up to date
//! when one of them wants another amount, and is the same as if it were added up anew.

use std::collections::BTreeMap;

use super::super::profile::{Neighbours, Profile, Profiles};
use super::super::share::{Claim, share};
use super::Ctx;
use super::marks::Marks;
use super::service::Service;
use crate::api::Pod;
use crate::base::{Arc, LookupMap, Str};
use crate::store::ObjId;

/// Parts of a millicore in which sums are kept.
const PARTS: f64 = 1_048_576.0;
/// Bits of the CPU that nobody wants which count, rounded down: within a hundredth. Pods without a limit may use it;
/// a small change of one Pod does not reach all others of its node by that.
const BITS_SPARE: u32 = 7;
/// By more than so many millicores a Pod's part must change for the flows to be worked out again.
const CHANGE_MIN: f64 = 1e-6;

/// All nodes with Pods that bear requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    numbers: LookupMap<Str, usize>,
    all: Vec<Node>,
    /// CPU that Pods use which bear requests, or live beside such and had to give way. Millicores.
    used: LookupMap<ObjId, f64>,
    /// What Pods used whose use has changed since [`Nodes::take_changed`], in the order of the changes.
    before: Vec<(ObjId, Option<f64>)>,
    /// Nodes of which something is to be worked out.
    stale: Marks,
}

/// A node.
#[derive(Clone, Debug)]
struct Node {
    name: Str,
    /// The Pods that answer requests.
    tenants: BTreeMap<ObjId, Tenant>,
    /// What they want together, in [`PARTS`].
    wanted: i64,
    /// Those of them whose wants may have changed.
    suspects: Vec<ObjId>,
    /// The other Pods; none if they are to be looked for.
    neighbours: Option<Neighbours>,
    /// Whether its Pods had to give way.
    short: bool,
    /// Those of the other Pods that did.
    gave_way: Vec<ObjId>,
    /// What nobody wants, rounded down.
    spare: f64,
}

/// A Pod that answers requests.
#[derive(Clone, Debug)]
struct Tenant {
    /// Of these services.
    services: Vec<usize>,
    profile: Arc<Profile>,
    /// CPU that is set from outside; none if it is to be asked.
    load: Option<i64>,
    claim: Claim,
}

impl Nodes {
    /// The number of a node.
    pub fn number(&mut self, name: &Str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.all.len();
        self.numbers.insert(name.clone(), number);
        self.all.push(Node {
            name: name.clone(),
            tenants: BTreeMap::new(),
            wanted: 0,
            suspects: Vec::new(),
            neighbours: None,
            short: false,
            gave_way: Vec::new(),
            spare: 0.0,
        });
        number
    }

    /// CPU that a Pod uses, in millicores; none if it neither bears requests nor gives way to such.
    pub fn used(&self, pod: ObjId) -> Option<f64> {
        self.used.get(&pod).copied()
    }

    /// A Pod answers requests to these services from now on.
    pub fn join(&mut self, number: usize, pod: ObjId, services: &[usize], profile: &Arc<Profile>) {
        let node = &mut self.all[number];
        let claim = Claim { weight: profile.weight, wants: 0.0 };
        let tenant = Tenant { services: services.to_vec(), profile: Arc::clone(profile), load: None, claim };
        if let Some(old) = node.tenants.insert(pod, tenant) {
            node.wanted -= parts(old.claim.wants);
        }
        node.suspects.push(pod);
        node.neighbours = None;
        self.stale.insert(number);
    }

    /// A Pod answers no requests any more.
    pub fn leave(&mut self, number: usize, pod: ObjId) {
        let node = &mut self.all[number];
        if let Some(old) = node.tenants.remove(&pod) {
            node.wanted -= parts(old.claim.wants);
            node.neighbours = None;
            set_used(&mut self.used, &mut self.before, pod, None);
            self.stale.insert(number);
        }
    }

    /// A Pod that answers may want another amount.
    pub fn suspect(&mut self, number: usize, pod: ObjId) {
        self.all[number].suspects.push(pod);
        self.stale.insert(number);
    }

    /// The other Pods of a node may be others now, or the node another. Whether that matters to requests.
    pub fn look_again(&mut self, name: &str) -> bool {
        let Some(number) = self.numbers.get(name).copied() else { return false };
        let node = &mut self.all[number];
        node.neighbours = None;
        let matters = !node.tenants.is_empty();
        if matters {
            node.suspects.extend(node.tenants.keys());
            self.stale.insert(number);
        }
        matters
    }

    /// CPU that is set from outside has changed. Whether that matters to requests.
    pub fn load_changed(&mut self) -> bool {
        let mut matters = false;
        for (number, node) in self.all.iter_mut().enumerate().filter(|(_, node)| !node.tenants.is_empty()) {
            node.neighbours = None;
            node.tenants.values_mut().for_each(|tenant| tenant.load = None);
            node.suspects.extend(node.tenants.keys());
            self.stale.insert(number);
            matters = true;
        }
        matters
    }

    /// Divides the CPU of those nodes of which something has changed; each service that gets another part is passed
    /// to `given`. Whether anybody gets a part that is other than before by more than nothing.
    pub fn divide(
        &mut self,
        services: &mut [Service],
        profiles: &mut Profiles,
        ctx: &Ctx<'_>,
        mut given: impl FnMut(usize),
    ) -> bool {
        let (mut changed, mut from) = (false, 0);
        while let Some(number) = self.stale.take_from(from) {
            from = number + 1;
            let node = &mut self.all[number];
            node.find_neighbours(profiles, ctx);
            let moved = node.claim(services, ctx);
            let mut out = Out { used: &mut self.used, before: &mut self.before, given: &mut given };
            changed |= node.divide(moved, services, &mut out);
        }
        changed
    }

    /// Adds the Pods that use another amount of CPU than when this was last asked.
    pub fn take_changed(&mut self, changed: &mut Vec<ObjId>) {
        // The first that is said of a Pod is what it used then.
        self.before.sort_by_key(|(pod, _)| *pod);
        self.before.dedup_by_key(|(pod, _)| *pod);
        let used = &self.used;
        let other = self.before.drain(..).filter(|(pod, milli)| used.get(pod).copied() != *milli);
        changed.extend(other.map(|(pod, _)| pod));
    }
}

/// Where it is said what has changed.
struct Out<'a, G> {
    used: &'a mut LookupMap<ObjId, f64>,
    before: &'a mut Vec<(ObjId, Option<f64>)>,
    given: &'a mut G,
}

impl Node {
    /// Brings what is known of the other Pods up to date.
    fn find_neighbours(&mut self, profiles: &mut Profiles, ctx: &Ctx<'_>) {
        if self.neighbours.is_none() && !self.tenants.is_empty() {
            let tenants = &self.tenants;
            self.neighbours = Some(Neighbours::of(
                &self.name,
                ctx.store,
                |id| tenants.contains_key(&id),
                |id| profiles.get(id, ctx.store, ctx.behaviours),
                ctx.load,
            ));
        }
    }

    /// Asks those again that may want another amount. Who they are.
    fn claim(&mut self, services: &[Service], ctx: &Ctx<'_>) -> Vec<ObjId> {
        let capacity = self.neighbours.as_ref().map_or(0.0, |n| n.capacity);
        let suspects = std::mem::take(&mut self.suspects);
        for pod in &suspects {
            let Some(tenant) = self.tenants.get_mut(pod) else { continue };
            let load = *tenant.load.get_or_insert_with(|| {
                ctx.store.get_id::<Pod>(*pod).map_or(0, |object| (ctx.load)(*pod, object))
            });
            let mut wants = tenant.profile.idle + load as f64;
            for bearer in tenant.services.iter().filter_map(|s| services[*s].bearer(*pod)) {
                wants = (wants + bearer.wants(capacity)).min(tenant.profile.limit).min(capacity);
            }
            self.wanted += parts(wants) - parts(tenant.claim.wants);
            tenant.claim.wants = wants;
        }
        suspects
    }

    /// Divides the CPU among all Pods, `moved` being those who want another amount than before.
    fn divide<G: FnMut(usize)>(
        &mut self,
        moved: Vec<ObjId>,
        services: &mut [Service],
        out: &mut Out<'_, G>,
    ) -> bool {
        for pod in std::mem::take(&mut self.gave_way) {
            if !self.tenants.contains_key(&pod) {
                set_used(out.used, out.before, pod, None);
            }
        }
        let Some(neighbours) = &self.neighbours else {
            (self.short, self.spare) = (false, 0.0);
            return false;
        };
        let left = parts(neighbours.capacity) - self.wanted - parts(neighbours.wanted);
        let was_short = std::mem::replace(&mut self.short, left < 0);
        let spare = rounded_down(left.max(0) as f64 / PARTS);
        let all = self.short || was_short || spare.to_bits() != self.spare.to_bits();
        self.spare = spare;
        let mut got: Vec<f64> = Vec::new();
        if self.short {
            let mut claims: Vec<Claim> = self.tenants.values().map(|tenant| tenant.claim).collect();
            claims.extend(neighbours.claims.iter().map(|(_, claim)| *claim));
            got = share(neighbours.capacity, &claims);
        }
        for ((pod, _), milli) in neighbours.claims.iter().zip(got.iter().skip(self.tenants.len())) {
            set_used(out.used, out.before, *pod, Some(*milli));
            self.gave_way.push(*pod);
        }
        let mut changed = false;
        if all {
            for (at, (pod, tenant)) in self.tenants.iter().enumerate() {
                let milli = got.get(at).copied().unwrap_or(tenant.claim.wants);
                changed |= tenant.give(*pod, (milli, spare), services, out);
            }
        } else {
            for (pod, tenant) in moved.iter().filter_map(|pod| Some((pod, self.tenants.get(pod)?))) {
                changed |= tenant.give(*pod, (tenant.claim.wants, spare), services, out);
            }
        }
        changed
    }
}

impl Tenant {
    /// Gives the Pod what it got; `spare` is what nobody wants. Whether it may use another amount than before.
    fn give<G: FnMut(usize)>(
        &self,
        pod: ObjId,
        (got, spare): (f64, f64),
        services: &mut [Service],
        out: &mut Out<'_, G>,
    ) -> bool {
        set_used(out.used, out.before, pod, Some(got));
        let needs = |s: &usize| services[*s].bearer(pod).map_or(0.0, |b| b.need());
        let total: f64 = self.services.iter().map(needs).sum();
        let room = ((got + spare).min(self.profile.limit) - self.profile.idle).max(0.0);
        let mut changed = false;
        for service in &self.services {
            let Some(bearer) = services[*service].bearer_mut(pod) else { continue };
            let part = if total > 0.0 { bearer.need() / total } else { 1.0 / self.services.len() as f64 };
            let cpu = room * part;
            if cpu.to_bits() != bearer.cpu.to_bits() {
                changed |= (cpu - bearer.cpu).abs() > CHANGE_MIN;
                bearer.cpu = cpu;
                (out.given)(*service);
            }
        }
        changed
    }
}

fn set_used(
    used: &mut LookupMap<ObjId, f64>,
    before: &mut Vec<(ObjId, Option<f64>)>,
    pod: ObjId,
    milli: Option<f64>,
) {
    let old = match milli {
        Some(milli) => used.insert(pod, milli),
        None => used.remove(&pod),
    };
    if old != milli {
        before.push((pod, old));
    }
}

/// Millicores in whole parts.
fn parts(milli: f64) -> i64 {
    libm::round(milli * PARTS) as i64
}

/// A number with its first bits only.
fn rounded_down(value: f64) -> f64 {
    let dropped = f64::MANTISSA_DIGITS - 1 - BITS_SPARE;
    f64::from_bits(value.to_bits() & !((1 << dropped) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spare_counts_by_hundredths() {
        for (value, counts) in [(0.0, 0.0), (1.0, 1.0), (300.0, 300.0), (1023.0, 1020.0), (3900.5, 3888.0)] {
            assert_eq!(rounded_down(value), counts);
        }
    }
}
