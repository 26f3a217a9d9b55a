//! How long hardware and clouds take. Every default is documented with its source.

use crate::base::SimDuration;
use crate::kernel::Stream;

/// A span of time that may differ from case to case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    /// Always the same.
    Constant(SimDuration),
    /// Evenly spread.
    Uniform {
        /// The shortest.
        min: SimDuration,
        /// The longest.
        max: SimDuration,
    },
    /// Bell-shaped, cut off at zero.
    Normal {
        /// The mean.
        mean: SimDuration,
        /// The standard deviation.
        sd: SimDuration,
    },
    /// Skewed, with a long tail.
    LogNormal {
        /// Half of all are shorter.
        median: SimDuration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Memoryless.
    Exponential {
        /// The mean.
        mean: SimDuration,
    },
}

/// The standard normal distribution's 99th percentile.
const Z99: f64 = 2.326_347_874_040_841;

impl Delay {
    /// No time at all.
    pub const ZERO: Self = Self::Constant(SimDuration::ZERO);

    /// Always so many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self::Constant(SimDuration::from_millis(millis))
    }

    /// A skewed delay of which one in a hundred is longer than `p99`.
    pub fn log_normal_p99(median: SimDuration, p99: SimDuration) -> Self {
        let ratio = p99.as_secs_f64() / median.as_secs_f64();
        let sigma = if ratio.is_finite() && ratio > 1.0 { libm::log(ratio) / Z99 } else { 0.0 };
        Self::LogNormal { median, sigma }
    }

    /// The middle of the distribution: half of all cases are shorter (the mean of `Exponential`).
    pub const fn typical(&self) -> SimDuration {
        match *self {
            Self::Constant(d) => d,
            Self::Uniform { min, max } => SimDuration::from_nanos(min.as_nanos() / 2 + max.as_nanos() / 2),
            Self::Normal { mean, .. } | Self::Exponential { mean } => mean,
            Self::LogNormal { median, .. } => median,
        }
    }

    /// One case, drawn from `stream`. Constant delays draw nothing.
    pub fn sample(&self, stream: &mut Stream) -> SimDuration {
        // Samples are in nanoseconds; what falls below zero is cut off.
        let positive = |nanos: f64| SimDuration::from_nanos(if nanos > 0.0 { nanos as u64 } else { 0 });
        let nanos = |d: SimDuration| d.as_nanos() as f64;
        match *self {
            Self::Constant(d) => d,
            Self::Uniform { min, max } => stream.duration_between(min, max),
            Self::Normal { mean, sd } => positive(nanos(mean) + nanos(sd) * stream.normal()),
            Self::LogNormal { median, sigma } => positive(nanos(median) * libm::exp(sigma * stream.normal())),
            Self::Exponential { mean } => positive(nanos(mean) * stream.exponential()),
        }
    }

    /// One case, drawn from a stream that is addressed only if something is drawn.
    pub fn draw(&self, stream: impl FnOnce() -> Stream) -> SimDuration {
        match *self {
            Self::Constant(d) => d,
            Self::Uniform { .. }
            | Self::Normal { .. }
            | Self::LogNormal { .. }
            | Self::Exponential { .. } => self.sample(&mut stream()),
        }
    }

    /// Whether it is always the same.
    pub const fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }
}

/// How long pulling an image takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ImagePull {
    /// As the scenario says, whatever the size.
    Given(Delay),
    /// The image's size over a bandwidth, after a fixed time for manifest and authentication.
    BySize {
        /// Bytes per second of download and unpacking together.
        bytes_per_second: u64,
        /// Time that every pull takes.
        overhead: SimDuration,
        /// Bytes of an image whose size no behaviour gives.
        default_size: u64,
    },
}

/// What is known of a latency by name.
#[derive(Clone, Copy, Debug)]
pub struct LatencyInfo {
    /// The name in the scenario file.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The default, as the scenario file would write it.
    pub default: &'static str,
    /// Where the default comes from.
    pub source: &'static str,
}

macro_rules! latencies {
    ($($field:ident, $name:literal, $default:expr, $text:literal, $doc:literal, $source:literal;)*) => {
        /// All latencies of a run.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Latencies {
            /// The pull of an image.
            pub image_pull: ImagePull,
            /// From Running to Ready for a Pod with a readiness probe. None: the probe's own timing
            /// and the container's `startup` decide.
            pub probe_ready: Option<Delay>,
            /// The span over which the nodes' lease renewals are spread; zero: all in one instant.
            pub lease_stagger: SimDuration,
            $(#[doc = $doc] pub $field: Delay,)*
        }

        impl Default for Latencies {
            fn default() -> Self {
                Self {
                    image_pull: DEFAULT_IMAGE_PULL,
                    probe_ready: None,
                    lease_stagger: SimDuration::from_secs(10),
                    $($field: $default,)*
                }
            }
        }

        impl Latencies {
            /// The delay called `name` in the scenario file, if it is one of the plain ones.
            pub fn get_mut(&mut self, name: &str) -> Option<&mut Delay> {
                match name { $($name => Some(&mut self.$field),)* _ => None }
            }
        }

        /// Latencies that are plain delays.
        pub const PLAIN: &[LatencyInfo] = &[$(LatencyInfo {
            name: $name, doc: $doc, default: $text, source: $source,
        },)*];
    };
}

/// 25 MB/s for a layer from a registry (containerd issue 8160), and an image of 100 MB.
const DEFAULT_IMAGE_PULL: ImagePull = ImagePull::BySize {
    bytes_per_second: 25_000_000,
    overhead: SimDuration::from_millis(500),
    default_size: 100_000_000,
};

latencies! {
    container_start, "containerStart", Delay::millis(1000), "1s",
        "From the binding (for a Pod with volumes: from the attachment of the last one) to phase Running, image pulls not counted.",
        "sandbox, CNI and container creation, then up to 1 s until the kubelet's PLEG relist sees it; estimate";
    container_restart, "containerRestart", Delay::millis(1000), "1s",
        "From the sync that starts a container anew to its start: making it, and up to 1 s until the kubelet's PLEG relist sees it.",
        "pkg/kubelet/kubelet.go genericPlegRelistPeriod; estimate";
    pod_termination, "podTermination", Delay::millis(1000), "1s",
        "From the deletion mark to the end of the containers, for containers whose behaviour gives no `shutdown`; never longer than the grace period.",
        "a process that obeys SIGTERM, and a PLEG relist; estimate";
    node_ready, "nodeReady",
        Delay::Uniform { min: SimDuration::from_secs(10), max: SimDuration::from_secs(20) },
        "{uniform: {min: 10s, max: 20s}}",
        "From the Node object to its Ready: CNI and CSI DaemonSets start.",
        "estimate; no published measurement";
    driver_ready, "driverReady", Delay::ZERO, "0s",
        "From a new node's Ready to the registration of its CSI drivers, whose Pods start then: until it is over nothing can be attached or mounted there. A taint `<driver>/agent-not-ready` goes with it.",
        "zero: the drivers are there with the node. Their images and Pods take some 10 s; estimate";
    node_boot, "nodeBoot",
        Delay::LogNormal { median: SimDuration::from_secs(32), sigma: 0.27 },
        "{lognormal: {median: 32s, sigma: 0.27}}",
        "From the request for a machine to its Node object: RunInstances, pending to running, boot, kubelet registration.",
        "composed: 2 s API, 10 s pending to running (Percival 2021; ec2-coldboot-research), 20 s boot to registration";
    scaling_activity, "scalingActivity",
        Delay::Uniform { min: SimDuration::from_secs(10), max: SimDuration::from_secs(30) },
        "{uniform: {min: 10s, max: 30s}}",
        "From a change of an autoscaling group's size to its request for a machine.",
        "estimate for EC2 Auto Scaling; no published measurement";
    sync_retry, "syncRetry", Delay::Constant(SimDuration::from_secs(12)), "12s",
        "From a sync of a Pod that failed (a back-off, an image, a ConfigMap that is missing) to the next; a back-off ends with the first sync after it.",
        "pkg/kubelet/kubelet.go backOffPeriod 10 s, drawn anew up to half as long again: {uniform: {min: 10s, max: 15s}}; the middle, as the recordings have it";
    zone_rebalance, "zoneRebalance", Delay::Constant(SimDuration::from_mins(2)), "2m",
        "From the instant at which the zones of a group with `spansZones` differ by two machines to the launch that evens them out.",
        "estimate for EC2 Auto Scaling's AZRebalance; no published measurement";
    node_reconnect, "nodeReconnect",
        Delay::Uniform { min: SimDuration::ZERO, max: SimDuration::from_millis(50) },
        "{uniform: {min: 0s, max: 50ms}}",
        "After `heal`, `startKubelet` or `restoreNode`: until the node's lease and first status are written.",
        "measured on the recorded control plane: nodes that return together speak within some 30 ms of one another; a kubelet that backs off may take 7 s";
    pod_resync, "podResync", Delay::millis(1000), "1s",
        "After `heal`: from the first status of the node to the new status of its Pods; Pods marked or removed meanwhile end then.",
        "measured on the recorded control plane";
    volume_provision, "volumeProvision",
        Delay::LogNormal { median: SimDuration::from_millis(1500), sigma: 0.42 },
        "{lognormal: {median: 1.5s, sigma: 0.42}}",
        "CreateVolume of the CSI driver.",
        "aws-ebs-csi-driver v1.53 pkg/cloud/cloud.go: median about 1.5 s, 99th percentile about 4 s";
    volume_attach, "volumeAttach",
        Delay::Uniform { min: SimDuration::from_secs(1), max: SimDuration::from_secs(4) },
        "{uniform: {min: 1s, max: 4s}}",
        "ControllerPublishVolume: attaching a disk to a machine.",
        "aws-ebs-csi-driver v1.53 pkg/cloud/cloud.go: usually 1 to 4 s";
    volume_detach, "volumeDetach",
        Delay::Uniform { min: SimDuration::from_secs(1), max: SimDuration::from_secs(4) },
        "{uniform: {min: 1s, max: 4s}}",
        "ControllerUnpublishVolume: detaching a disk from a machine.",
        "aws-ebs-csi-driver v1.53 pkg/cloud/cloud.go: usually 1 to 4 s";
    volume_mount, "volumeMount",
        Delay::Uniform { min: SimDuration::from_secs(1), max: SimDuration::from_secs(3) },
        "{uniform: {min: 1s, max: 3s}}",
        "Formatting and mounting on the node, before `containerStart` begins. Zero if the scenario gives `containerStart` and not this.",
        "estimate for ext4 on EBS";
    volume_report, "volumeReport",
        Delay::Uniform { min: SimDuration::ZERO, max: SimDuration::from_secs(10) },
        "{uniform: {min: 0s, max: 10s}}",
        "From the instant at which a node begins or ceases to use a disk to the status of the node that says so: only then is it mounted, or detached. Zero if the scenario gives `containerStart` and not this.",
        "pkg/kubelet/kubelet.go v1.34: the status is looked at every `nodeStatusUpdateFrequency`, 10 s";
    volume_snapshot, "volumeSnapshot",
        Delay::Uniform { min: SimDuration::from_secs(1), max: SimDuration::from_secs(3) },
        "{uniform: {min: 1s, max: 3s}}",
        "CreateSnapshot of the driver: until the instant is fixed whose data the snapshot has.",
        "estimate; no published measurement";
    snapshot_ready, "snapshotReady",
        Delay::LogNormal { median: SimDuration::from_secs(60), sigma: 0.5 },
        "{lognormal: {median: 60s, sigma: 0.5}}",
        "From there until a volume can be made from it: the blocks are copied.",
        "estimate; grows with the blocks that changed";
    service_routing, "serviceRouting", Delay::millis(1000), "1s",
        "From a change of an EndpointSlice (or of the Ready Pods of a selector) to requests that follow it: kube-proxy's rules, on all nodes.",
        "kube-proxy's minSyncPeriod, pkg/proxy/apis/config/v1alpha1/defaults.go v1.34: the longest pause between two syncs";
    watch, "watch", Delay::millis(4), "4ms",
        "From a write to the scheduler's and the controllers' hearing of it.",
        "a few milliseconds in a healthy control plane; estimate";
}

/// Latencies that are not plain delays.
pub const SPECIAL: &[LatencyInfo] = &[
    LatencyInfo {
        name: "imagePull",
        doc: "The pull of an image. Given here, it holds for every image; else the image's size (see `behaviour`, 100 MB if unknown) over `imagePullBandwidth`, plus 500 ms.",
        default: "by size",
        source: "containerd issue 8160: about 25 MB/s from a registry",
    },
    LatencyInfo {
        name: "imagePullBandwidth",
        doc: "Bytes per second of a pull, download and unpacking together, as a quantity.",
        default: "25M",
        source: "containerd issue 8160; large images measure 10M to 70M",
    },
    LatencyInfo {
        name: "probeReady",
        doc: "From Running to Ready for a Pod with a `readinessProbe`. Given here, it replaces the probe's own timing.",
        default: "the probe decides",
        source: "initialDelaySeconds, periodSeconds and the container's `startup`",
    },
    LatencyInfo {
        name: "leaseStagger",
        doc: "The span over which the nodes' lease renewals are spread; `0s`: all nodes renew in the same instant (every 10 s).",
        default: "10s",
        source: "kubelets start at different times, and renew every 10 s",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_reachable_and_unique() {
        let mut latencies = Latencies::default();
        for info in PLAIN {
            assert!(latencies.get_mut(info.name).is_some(), "{}", info.name);
        }
        let mut names: Vec<_> = PLAIN.iter().chain(SPECIAL).map(|i| i.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PLAIN.len() + SPECIAL.len());
    }

    /// autoscaling-storage.md §6.4: what the driver's authors measured, and what is assumed.
    #[test]
    fn storage_takes_as_long_as_was_measured() {
        let latencies = Latencies::default();
        let seconds = SimDuration::from_secs;
        let of = |delay: &Delay, n: u64| {
            let seed = crate::kernel::Seed(1);
            let mut all: Vec<SimDuration> =
                (0..1000u64).map(|i| delay.sample(&mut seed.stream("latency", &i.to_string()))).collect();
            all.sort_unstable();
            all[n as usize]
        };
        let create = &latencies.volume_provision;
        let (median, p99) = (of(create, 500), of(create, 990));
        assert!(
            median > SimDuration::from_millis(1350) && median < SimDuration::from_millis(1650),
            "{median}"
        );
        assert!(p99 > SimDuration::from_millis(3300) && p99 < SimDuration::from_millis(4700), "{p99}");
        for delay in [&latencies.volume_attach, &latencies.volume_detach] {
            assert_eq!(*delay, Delay::Uniform { min: seconds(1), max: seconds(4) });
        }
        assert_eq!(latencies.volume_mount, Delay::Uniform { min: seconds(1), max: seconds(3) });
    }

    #[test]
    fn a_percentile_fixes_the_skew() {
        let Delay::LogNormal { sigma, .. } =
            Delay::log_normal_p99(SimDuration::from_millis(1500), SimDuration::from_secs(4))
        else {
            panic!("not log-normal");
        };
        assert!((sigma - 0.4216).abs() < 1e-3, "{sigma}");
    }

    #[test]
    fn the_typical_case_is_the_middle() {
        let s = SimDuration::from_secs;
        assert_eq!(Delay::Uniform { min: s(1), max: s(3) }.typical(), s(2));
        assert_eq!(Delay::Constant(s(5)).typical(), s(5));
        assert!(!Delay::Exponential { mean: s(1) }.is_constant());
    }
}
