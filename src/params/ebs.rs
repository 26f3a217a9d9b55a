//! What EBS volumes can be: types, sizes, operations per second, and the words in which others are refused.
//!
//! Upstream: aws-ebs-csi-driver v1.53 `pkg/driver/{controller,constants}.go`, `pkg/cloud/cloud.go`, `docs/parameters.md`; the limits
//! and messages of EC2's API are those of its documentation in November 2026.
//!
//! # Fidelity
//! * Of a class's parameters `type`, `iops`, `iopsPerGB`, `allowAutoIOPSPerGBIncrease` and `throughput` are looked at, and unknown
//!   ones refused. Volumes have no speed: what is allowed is made, and all are equally fast.
//! * The blocks of a restored volume are there at once, not only when they are first read.
//! * EC2's quotas of an account (`VolumeLimitExceeded`, `MaxIOPSLimitExceeded`) are not kept; use `room` or `denied`.

use crate::api::Labels;
use crate::base::Str;

/// Whole units of storage and speed between which a volume must lie.
type Range = (u64, u64);

/// A type of volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeType {
    /// `gp3`.
    pub name: &'static str,
    /// Its sizes in GiB.
    pub gib: Range,
    /// Operations per second that can be asked for; none: they follow from the size.
    pub iops: Option<Range>,
    /// The most of them for each GiB.
    pub iops_per_gib_max: u64,
    /// MiB per second that can be asked for; none: they follow from the rest.
    pub throughput: Option<Range>,
}

const fn plain(name: &'static str, gib: Range) -> VolumeType {
    VolumeType { name, gib, iops: None, iops_per_gib_max: 0, throughput: None }
}

/// All types.
pub const VOLUME_TYPES: &[VolumeType] = &[
    VolumeType {
        iops: Some((3_000, 80_000)),
        iops_per_gib_max: 500,
        throughput: Some((125, 2_000)),
        ..plain("gp3", (1, 65_536))
    },
    plain("gp2", (1, 16_384)),
    VolumeType { iops: Some((100, 64_000)), iops_per_gib_max: 50, ..plain("io1", (4, 16_384)) },
    VolumeType { iops: Some((100, 256_000)), iops_per_gib_max: 1_000, ..plain("io2", (4, 65_536)) },
    plain("st1", (125, 16_384)),
    plain("sc1", (125, 16_384)),
    plain("standard", (1, 1_024)),
];

/// The type of volumes of classes that name none.
const DEFAULT: &str = "gp3";

/// Parameters that the driver knows, in lower case. Beyond them those that begin with `tagspecification`, and the
/// provisioner's own.
const PARAMETERS: &[&str] = &[
    "fstype",
    "type",
    "iopspergb",
    "allowautoiopspergbincrease",
    "allowautoiopsincreaseonmodify",
    "iops",
    "volumeinitializationrate",
    "throughput",
    "encrypted",
    "kmskeyid",
    "blockexpress",
    "blocksize",
    "inodesize",
    "bytesperinode",
    "numberofinodes",
    "ext4bigalloc",
    "ext4clustersize",
    "ext4encryptionsupport",
    "blockattachuntilinitialized",
];

/// Why a volume is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The driver does not even ask: the words behind the status `InvalidArgument`.
    Argument(String),
    /// The driver does not ask, and takes it for its own failure.
    Driver(&'static str),
    /// EC2 refuses: its code and message, and whether the driver takes the request for wrong.
    Ec2 {
        /// EC2's code.
        code: &'static str,
        /// EC2's message.
        message: String,
        /// Whether the driver passes it on as `InvalidArgument`.
        wrong: bool,
    },
}

impl Refusal {
    fn value(message: String) -> Self {
        Self::Ec2 { code: "InvalidParameterValue", message, wrong: false }
    }
}

/// What a class asks for.
struct Wish<'a>(&'a Labels);

impl Wish<'_> {
    /// A parameter, whatever the case of its key.
    fn get(&self, key: &str) -> Option<&Str> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let parsed = text.parse::<i32>().ok().and_then(|n| u64::try_from(n).ok());
        parsed.map(Some).ok_or_else(|| {
            Refusal::Argument(format!(
                "Could not parse invalid {key}: strconv.ParseInt: parsing {text:?}: invalid syntax"
            ))
        })
    }
}

/// Whether a volume of so many GiB can be made with a class's parameters; `shared`: for several nodes at once.
///
/// # Errors
/// Why not.
pub fn check(parameters: &Labels, gib: u64, shared: bool) -> Result<(), Refusal> {
    let unknown = |key: &str| {
        let lower = key.to_ascii_lowercase();
        !PARAMETERS.contains(&lower.as_str())
            && !lower.starts_with("tagspecification")
            && !lower.starts_with("csi.storage.k8s.io/")
    };
    if let Some((key, _)) = parameters.iter().find(|(key, _)| unknown(key)) {
        return Err(Refusal::Argument(format!("Invalid parameter key {key} for CreateVolume")));
    }
    let wish = Wish(parameters);
    let (iops, per_gib) = (wish.number("iops")?, wish.number("iopsPerGB")?);
    let throughput = wish.number("throughput")?;
    if iops.is_some_and(|n| n > 0) && per_gib.is_some_and(|n| n > 0) {
        return Err(Refusal::Driver(
            "invalid StorageClass parameters; specify either IOPS or IOPSPerGb, not both",
        ));
    }
    let name = wish.get("type").map_or(DEFAULT, Str::as_str);
    if shared && name != "io2" {
        return Err(Refusal::Driver("CreateDisk: multi-attach is only supported for io2 volumes"));
    }
    let Some(kind) = VOLUME_TYPES.iter().find(|t| t.name == name) else {
        let message = format!("Unsupported volume type '{name}' for volume creation.");
        return Err(Refusal::Ec2 { code: "UnknownVolumeType", message, wrong: false });
    };
    let increase = wish.get("allowAutoIOPSPerGBIncrease").is_some_and(|v| v == "true");
    let asked = iops.or(per_gib.map(|n| n.saturating_mul(gib))).filter(|n| *n > 0);
    check_size(kind, gib)?;
    check_iops(kind, asked.map(|n| capped(kind, n, gib, increase)))?;
    check_throughput(kind, throughput.filter(|n| *n > 0))
}

fn check_size(kind: &VolumeType, gib: u64) -> Result<(), Refusal> {
    let (least, most) = kind.gib;
    if gib < least {
        return Err(Refusal::value(format!("Volume of {gib}GiB is too small; minimum is {least}GiB.")));
    }
    if gib > most {
        return Err(Refusal::value(format!("Volume of {gib}GiB is too large; maximum is {most}GiB.")));
    }
    Ok(())
}

/// What the driver asks EC2 for (`capIOPS`): never more than the type can have, and never less if the class allows it.
fn capped(kind: &VolumeType, asked: u64, gib: u64, increase: bool) -> u64 {
    let Some((least, most)) = kind.iops else { return asked };
    let raised = if increase { asked.max(least) } else { asked };
    let by_size = kind.iops_per_gib_max.saturating_mul(gib);
    let capped = raised.min(most);
    if by_size >= least { capped.min(by_size) } else { capped }
}

fn check_iops(kind: &VolumeType, asked: Option<u64>) -> Result<(), Refusal> {
    match (kind.iops, asked) {
        (None, Some(_)) => Err(not_supported("iops", kind)),
        (Some((least, _)), Some(asked)) if asked < least => {
            Err(Refusal::value(format!("Volume iops of {asked} is too low; minimum is {least}.")))
        }
        (Some(_), None) if kind.name.starts_with("io") => Err(Refusal::Ec2 {
            code: "MissingParameter",
            message: "The request must contain the parameter iops".to_owned(),
            wrong: false,
        }),
        (None | Some(_), _) => Ok(()),
    }
}

fn check_throughput(kind: &VolumeType, asked: Option<u64>) -> Result<(), Refusal> {
    match (kind.throughput, asked) {
        (None, Some(_)) => Err(not_supported("throughput", kind)),
        (Some((least, _)), Some(asked)) if asked < least => Err(Refusal::value(format!(
            "Volume throughput of {asked}MiBps is too low; minimum is {least}MiBps."
        ))),
        (Some((_, most)), Some(asked)) if asked > most => Err(Refusal::value(format!(
            "Volume throughput of {asked}MiBps is too high; maximum is {most}MiBps."
        ))),
        (None | Some(_), _) => Ok(()),
    }
}

fn not_supported(what: &str, kind: &VolumeType) -> Refusal {
    let message = format!("The parameter {what} is not supported for {} volumes.", kind.name);
    Refusal::Ec2 { code: "InvalidParameterCombination", message, wrong: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(parameters: &[(&str, &str)], gib: u64, shared: bool) -> String {
        let parameters: Labels = parameters.iter().copied().collect();
        match check(&parameters, gib, shared) {
            Ok(()) => String::new(),
            Err(Refusal::Argument(why)) => format!("argument: {why}"),
            Err(Refusal::Driver(why)) => why.to_owned(),
            Err(Refusal::Ec2 { code, message, wrong }) => {
                format!("{code}{}: {message}", if wrong { " (wrong)" } else { "" })
            }
        }
    }

    /// autoscaling-storage.md §5.6: the default volume, and block volumes for several nodes on io2 alone.
    #[test]
    fn volumes_that_cannot_be_are_refused_in_the_drivers_words_or_ec2s() {
        let cases: &[(&[(&str, &str)], u64, &str)] = &[
            (&[], 1, ""),
            (&[("type", "gp3"), ("iops", "4000"), ("throughput", "250")], 100, ""),
            (
                &[("csi.storage.k8s.io/fstype", "xfs"), ("encrypted", "true"), ("tagSpecification_1", "a=b")],
                10,
                "",
            ),
            (&[("type", "gp9")], 10, "UnknownVolumeType: Unsupported volume type 'gp9' for volume creation."),
            (
                &[("type", "st1")],
                10,
                "InvalidParameterValue: Volume of 10GiB is too small; minimum is 125GiB.",
            ),
            (
                &[("type", "gp2")],
                20_000,
                "InvalidParameterValue: Volume of 20000GiB is too large; maximum is 16384GiB.",
            ),
            (
                &[("type", "gp3"), ("iops", "100")],
                10,
                "InvalidParameterValue: Volume iops of 100 is too low; minimum is 3000.",
            ),
            (&[("type", "gp3"), ("iops", "100"), ("allowAutoIOPSPerGBIncrease", "true")], 10, ""),
            (&[("type", "io1"), ("iopsPerGB", "500")], 100, ""),
            (&[("type", "io1")], 100, "MissingParameter: The request must contain the parameter iops"),
            (
                &[("type", "gp2"), ("iops", "3000")],
                100,
                "InvalidParameterCombination (wrong): The parameter iops is not supported for gp2 volumes.",
            ),
            (
                &[("type", "sc1"), ("throughput", "200")],
                500,
                "InvalidParameterCombination (wrong): The parameter throughput is not supported for sc1 volumes.",
            ),
            (
                &[("iops", "3000"), ("iopsPerGB", "10")],
                10,
                "invalid StorageClass parameters; specify either IOPS or IOPSPerGb, not both",
            ),
            (
                &[("iops", "fast")],
                10,
                "argument: Could not parse invalid iops: strconv.ParseInt: parsing \"fast\": invalid syntax",
            ),
            (&[("speed", "high")], 10, "argument: Invalid parameter key speed for CreateVolume"),
        ];
        for (parameters, gib, expected) in cases {
            assert_eq!(ask(parameters, *gib, false), *expected, "{parameters:?} {gib}");
        }
        let shared = "CreateDisk: multi-attach is only supported for io2 volumes";
        assert_eq!(ask(&[], 10, true), shared);
        assert_eq!(ask(&[("type", "io2"), ("iops", "100")], 10, true), "");
    }

    #[test]
    fn speed_is_capped_by_the_type_and_the_size() {
        let kind = |name: &str| VOLUME_TYPES.iter().find(|t| t.name == name).unwrap();
        assert_eq!(capped(kind("io1"), 50_000, 100, false), 5_000, "50 for each GiB");
        assert_eq!(capped(kind("gp3"), 90_000, 1_000, false), 80_000);
        assert_eq!(
            capped(kind("gp3"), 4_000, 1, false),
            4_000,
            "a small volume has the minimum whatever its size"
        );
    }
}
