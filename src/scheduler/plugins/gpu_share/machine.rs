//! Pods and nodes as placement policies see them: CPU, and GPUs in thousandths of a device.

use crate::base::Str;

/// A whole device, in thousandths.
pub const DEVICE: i64 = 1000;

/// What a Pod asks for. Ordered by CPU, then share, devices and models.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    /// CPU in thousandths of a core.
    pub milli_cpu: i64,
    /// Thousandths of each device.
    pub milli_gpu: i64,
    /// Devices.
    pub gpus: usize,
    /// Models of which the devices must be one; none: any.
    pub models: Vec<Str>,
}

/// How a Pod uses devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A part of one.
    Share,
    /// So many whole ones.
    Whole(usize),
}

impl Demand {
    /// All it asks of devices together, in thousandths.
    pub fn total(&self) -> i64 {
        self.milli_gpu.saturating_mul(i64::try_from(self.gpus).unwrap_or(i64::MAX))
    }

    /// How it uses devices; none if it uses none.
    pub const fn kind(&self) -> Option<Kind> {
        match (self.gpus, self.milli_gpu) {
            (0, _) | (_, 0) => None,
            (1, milli) if milli < DEVICE => Some(Kind::Share),
            (gpus, _) => Some(Kind::Whole(gpus)),
        }
    }

    /// Whether devices of this model will do.
    pub fn takes_model(&self, model: &Str) -> bool {
        self.models.is_empty() || self.models.contains(model)
    }
}

/// What a node has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// CPU in thousandths of a core.
    pub milli_cpu: i64,
    /// Thousandths of each device.
    pub left: Vec<i64>,
    /// The model of its devices.
    pub model: Str,
    /// How the Pods on it use devices, with their number, in no order.
    pub kinds: Vec<(Kind, usize)>,
}

impl Machine {
    /// A node that nothing runs on.
    pub fn new(milli_cpu: i64, devices: usize, model: impl Into<Str>) -> Self {
        Self { milli_cpu, left: vec![DEVICE; devices], model: model.into(), kinds: Vec::new() }
    }

    /// What is left of all its devices together.
    pub fn idle(&self) -> i64 {
        self.left.iter().sum()
    }

    /// Devices that nobody uses.
    pub fn free(&self) -> usize {
        self.left.iter().filter(|left| **left == DEVICE).count()
    }

    /// Whether as many devices have as much left as the Pod asks of each.
    pub fn has_devices(&self, demand: &Demand) -> bool {
        self.left.iter().filter(|left| **left >= demand.milli_gpu).count() >= demand.gpus.max(1)
    }

    /// Whether a Pod can run on it.
    pub fn fits(&self, demand: &Demand) -> bool {
        self.milli_cpu >= demand.milli_cpu
            && (demand.kind().is_none() || (demand.takes_model(&self.model) && self.has_devices(demand)))
    }

    /// Puts a Pod on these devices.
    pub fn put(&mut self, demand: &Demand, devices: &[usize]) {
        self.milli_cpu -= demand.milli_cpu;
        for device in devices {
            if let Some(left) = self.left.get_mut(*device) {
                *left -= demand.milli_gpu;
            }
        }
        let Some(kind) = demand.kind() else { return };
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.kinds.push((kind, 1)),
        }
    }

    /// The first free devices, as many as the Pod asks for.
    pub fn first_free(&self, demand: &Demand) -> Vec<usize> {
        let free = self.left.iter().enumerate().filter(|(_, left)| **left == DEVICE);
        free.map(|(device, _)| device).take(demand.gpus).collect()
    }

    /// Devices that a Pod fits into, those with the least left first; of equal ones the first.
    pub fn tightest(&self, demand: &Demand) -> Vec<usize> {
        let mut fitting: Vec<usize> =
            (0..self.left.len()).filter(|device| self.left[*device] >= demand.milli_gpu).collect();
        fitting.sort_by_key(|device| self.left[*device]);
        fitting.truncate(demand.gpus);
        fitting
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A Pod that asks for CPU and devices.
    pub fn demand(milli_cpu: i64, gpus: usize, milli_gpu: i64) -> Demand {
        Demand { milli_cpu, milli_gpu, gpus, models: Vec::new() }
    }

    /// A node with this left.
    pub fn machine(milli_cpu: i64, left: &[i64]) -> Machine {
        Machine { left: left.to_vec(), ..Machine::new(milli_cpu, 0, "P100") }
    }

    #[test]
    fn shares_need_one_device_with_enough_left_and_whole_devices_free_ones() {
        let node = machine(8000, &[200, 1000, 500, 1000]);
        for (pod, fits) in [
            (demand(8000, 0, 0), true),
            (demand(8001, 0, 0), false),
            (demand(1000, 1, 600), true),
            (demand(1000, 2, 1000), true),
            (demand(1000, 3, 1000), false),
            (Demand { models: vec!["T4".into(), "P100".into()], ..demand(1, 1, 1) }, true),
            (Demand { models: vec!["T4".into()], ..demand(1, 1, 1) }, false),
            // Without devices the model does not matter.
            (Demand { models: vec!["T4".into()], ..demand(1, 0, 0) }, true),
        ] {
            assert_eq!(node.fits(&pod), fits, "{pod:?}");
        }
        assert_eq!(node.tightest(&demand(1, 1, 300)), [2]);
        assert_eq!(node.tightest(&demand(1, 1, 100)), [0]);
        assert_eq!(node.first_free(&demand(1, 2, 1000)), [1, 3]);
    }

    #[test]
    fn a_node_remembers_how_its_devices_are_used() {
        let mut node = machine(8000, &[1000, 1000, 1000]);
        node.put(&demand(1000, 1, 400), &[0]);
        node.put(&demand(1000, 1, 400), &[0]);
        node.put(&demand(1000, 2, 1000), &[1, 2]);
        node.put(&demand(1000, 0, 0), &[]);
        assert_eq!(
            (node.milli_cpu, &node.left[..], node.idle(), node.free()),
            (4000, &[200, 0, 0][..], 200, 0)
        );
        assert_eq!(node.kinds, [(Kind::Share, 2), (Kind::Whole(2), 1)]);
    }
}
