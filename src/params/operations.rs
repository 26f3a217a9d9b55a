//! What drivers are asked to do, and what a scenario says of it: how long it takes, how often it fails, what the cloud
//! forbids, and how much room there is.

use std::collections::BTreeMap;

use super::Delay;
use super::drivers::EBS;
use crate::base::{Arc, Quantity, SimTime, Str};
use crate::kernel::{Seed, Stream};

/// What a driver's controller is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Make a volume.
    Create,
    /// Delete one.
    Delete,
    /// Attach one to a node.
    Attach,
    /// Detach one from a node.
    Detach,
    /// Make one larger.
    Expand,
    /// Take a snapshot of one.
    Snapshot,
    /// Mount one on a node.
    Mount,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Delete, Self::Attach, Self::Detach, Self::Expand, Self::Snapshot, Self::Mount];
    /// Their names in the scenario file.
    pub const WORDS: &'static [&'static str] =
        &["create", "delete", "attach", "detach", "expand", "snapshot", "mount"];

    /// The name in the scenario file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Expand => "expand",
            Self::Snapshot => "snapshot",
            Self::Mount => "mount",
        }
    }

    /// The operation of this name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.as_str() == word)
    }
}

/// What a scenario says of a driver from some instant on. What it does not mention stays as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DriverChange {
    /// The driver.
    pub driver: Str,
    /// What the cloud forbids it.
    pub denied: Option<Vec<Operation>>,
    /// Failures among a thousand calls.
    pub error_rates: Vec<(Operation, u64)>,
    /// How long calls take.
    pub latencies: Vec<(Operation, Delay)>,
    /// How much can be stored in a zone.
    pub room: Vec<(Str, Quantity)>,
    /// How many volumes a machine really takes, whatever its CSINode says.
    pub attach_limit: Option<usize>,
    /// Zones in which a file system can be mounted.
    pub mount_targets: Option<Vec<Str>>,
}

/// How drivers do, over time: what was said of them, in the order of the instants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    changes: Arc<Vec<(SimTime, DriverChange)>>,
}

/// Why a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The cloud forbids it.
    Denied,
    /// It does so now and then.
    Error,
}

impl Operations {
    /// What is said of drivers, and from when on.
    pub fn new(mut changes: Vec<(SimTime, DriverChange)>) -> Self {
        changes.sort_by_key(|(at, _)| *at);
        Self { changes: Arc::new(changes) }
    }

    /// What holds at `now`: the last that was said.
    fn last<'a, T>(
        &'a self,
        driver: &str,
        now: SimTime,
        said: impl Fn(&'a DriverChange) -> Option<T>,
    ) -> Option<T> {
        let until_now = self.changes.iter().filter(|(at, _)| *at <= now);
        until_now.rev().filter(|(_, change)| change.driver == driver).find_map(|(_, change)| said(change))
    }

    /// How long a call takes, if something was said of it.
    pub fn latency(&self, driver: &str, operation: Operation, now: SimTime) -> Option<Delay> {
        let of =
            |change: &DriverChange| change.latencies.iter().find(|(o, _)| *o == operation).map(|(_, d)| *d);
        self.last(driver, now, of)
    }

    /// Whether a call fails; `entity` and `now` address the draw.
    pub fn trouble(
        &self,
        driver: &str,
        operation: Operation,
        entity: &str,
        (now, seed): (SimTime, Seed),
    ) -> Option<Trouble> {
        if self.changes.is_empty() {
            return None;
        }
        let denied = self.last(driver, now, |c| c.denied.as_ref());
        if denied.is_some_and(|denied| denied.contains(&operation)) {
            return Some(Trouble::Denied);
        }
        let of =
            |change: &DriverChange| change.error_rates.iter().find(|(o, _)| *o == operation).map(|(_, r)| *r);
        let rate = self.last(driver, now, of)?;
        let parts = [
            driver.as_bytes(),
            operation.as_str().as_bytes(),
            entity.as_bytes(),
            &now.as_nanos().to_le_bytes(),
        ];
        (seed.stream_of("driver-error", &parts).below(1000) < rate).then_some(Trouble::Error)
    }

    /// How much can be stored in each zone that something was said of.
    pub fn room(&self, driver: &str, now: SimTime) -> BTreeMap<Str, Quantity> {
        let until_now = self.changes.iter().filter(|(at, change)| *at <= now && change.driver == driver);
        until_now.flat_map(|(_, change)| change.room.iter().cloned()).collect()
    }

    /// How many volumes a machine takes, if something was said of it.
    pub fn attach_limit(&self, driver: &str, now: SimTime) -> Option<usize> {
        self.last(driver, now, |change| change.attach_limit)
    }

    /// Zones in which a file system can be mounted, if something was said of them.
    pub fn mount_targets(&self, driver: &str, now: SimTime) -> Option<&[Str]> {
        self.last(driver, now, |change| change.mount_targets.as_deref())
    }
}

/// What a driver says of a call that failed: the gRPC status, without what callers put in front. `what` names the volume, or
/// volume and node, as the driver does.
///
/// Upstream: aws-ebs-csi-driver v1.53 `pkg/driver/controller.go`, `pkg/cloud/cloud.go`; other drivers' words are assumed.
pub fn words(
    driver: &str,
    operation: Operation,
    what: &str,
    trouble: Trouble,
    stream: &mut Stream,
) -> String {
    if driver != EBS {
        return match trouble {
            Trouble::Denied => format!(
                "rpc error: code = PermissionDenied desc = not authorized to {} {what}",
                operation.as_str()
            ),
            Trouble::Error => {
                format!("rpc error: code = Internal desc = cannot {} {what}", operation.as_str())
            }
        };
    }
    let error = match trouble {
        Trouble::Denied => Ec2Error {
            status: 403,
            ..Ec2Error::of("UnauthorizedOperation", "You are not authorized to perform this operation.")
        },
        Trouble::Error => {
            Ec2Error { status: 503, ..Ec2Error::of("RequestLimitExceeded", "Request limit exceeded.") }
        }
    };
    ec2_words(operation, what, &error, stream)
}

/// An error of EC2's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ec2Error<'a> {
    /// The code by which the driver passes it on.
    pub grpc: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// EC2's own code.
    pub code: &'a str,
    /// What it says.
    pub message: &'a str,
}

impl<'a> Ec2Error<'a> {
    /// A request that is refused, which the driver passes on as Internal.
    pub const fn of(code: &'a str, message: &'a str) -> Self {
        Self { grpc: "Internal", status: 400, code, message }
    }

    /// The code by which the driver passes it on, for errors that it tells apart.
    pub const fn passed_on_as(self, grpc: &'a str) -> Self {
        Self { grpc, ..self }
    }
}

/// The code for limits of the account or the machine.
pub const RESOURCE_EXHAUSTED: &str = "ResourceExhausted";
/// The code for requests that are wrong.
pub const INVALID_ARGUMENT: &str = "InvalidArgument";

/// What the EBS driver says of a call that EC2 refuses.
pub fn ec2_words(operation: Operation, what: &str, error: &Ec2Error<'_>, stream: &mut Stream) -> String {
    let (front, inner, call) = match operation {
        Operation::Create => (
            format!("Could not create volume {what}"),
            "could not create volume in EC2".to_owned(),
            "CreateVolume",
        ),
        Operation::Delete => (
            format!("Could not delete volume ID {what}"),
            "DeleteDisk could not delete volume".to_owned(),
            "DeleteVolume",
        ),
        Operation::Attach if error.grpc == RESOURCE_EXHAUSTED => (
            format!("Attachment limit exceeded for volume {}", what.replacen(" to node ", " on node ", 1)),
            String::new(),
            "AttachVolume",
        ),
        Operation::Attach => (
            format!("Could not attach volume {what}"),
            format!("could not attach volume {what}"),
            "AttachVolume",
        ),
        Operation::Detach => (
            format!("Could not detach volume {what}"),
            format!("could not detach volume {what}"),
            "DetachVolume",
        ),
        Operation::Expand => (
            format!("Could not resize volume {what}"),
            format!("unable to modify AWS volume {what}"),
            "ModifyVolume",
        ),
        Operation::Snapshot => (
            format!("Could not create snapshot {what}"),
            format!("error creating snapshot of volume {what}"),
            "CreateSnapshot",
        ),
        // No call of the cloud: the node's side has words of its own ([`super::mounts`]).
        Operation::Mount => return format!("rpc error: code = Internal desc = cannot mount {what}"),
    };
    let Ec2Error { grpc, status, code, message } = error;
    let inner = match *grpc {
        RESOURCE_EXHAUSTED => "limit exceeded",
        INVALID_ARGUMENT => "invalid argument",
        _ => &inner,
    };
    let request = stream.uuid();
    format!(
        "rpc error: code = {grpc} desc = {front}: {inner}: operation error EC2: {call}, https response error StatusCode: {status}, RequestID: {request}, api error {code}: {message}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SimDuration;

    fn at(secs: u64, change: DriverChange) -> (SimTime, DriverChange) {
        (SimTime::from_secs(secs), DriverChange { driver: EBS.into(), ..change })
    }

    #[test]
    fn what_was_said_last_holds_and_the_rest_stays() {
        let second = SimDuration::from_secs(1);
        let operations = Operations::new(vec![
            at(60, DriverChange { denied: Some(Vec::new()), ..DriverChange::default() }),
            at(
                0,
                DriverChange {
                    denied: Some(vec![Operation::Create]),
                    latencies: vec![(Operation::Attach, Delay::Constant(second))],
                    ..DriverChange::default()
                },
            ),
        ]);
        let trouble =
            |operation, secs| operations.trouble(EBS, operation, "x", (SimTime::from_secs(secs), Seed(1)));
        assert_eq!(trouble(Operation::Create, 59), Some(Trouble::Denied));
        assert_eq!(trouble(Operation::Attach, 59), None);
        assert_eq!(trouble(Operation::Create, 60), None);
        let latency = |driver| operations.latency(driver, Operation::Attach, SimTime::from_secs(99));
        assert_eq!((latency(EBS), latency("other")), (Some(Delay::Constant(second)), None));
    }

    #[test]
    fn so_many_calls_fail_as_are_said_to() {
        let change = DriverChange { error_rates: vec![(Operation::Attach, 250)], ..DriverChange::default() };
        let operations = Operations::new(vec![at(0, change)]);
        let failed = |n: &u64| {
            operations.trouble(EBS, Operation::Attach, "x", (SimTime::from_secs(*n), Seed(7))).is_some()
        };
        let count = (0..1000u64).filter(failed).count();
        assert!((200..300).contains(&count), "{count}");
    }

    #[test]
    fn every_operation_has_its_word() {
        for (operation, word) in Operation::ALL.into_iter().zip(Operation::WORDS) {
            assert_eq!((operation.as_str(), Operation::parse(word)), (*word, Some(operation)));
        }
    }
}
