//! What of a recommendation a Pod can be given: bounds of LimitRanges, of policies, of its own limits.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/utils/{vpa/{capping,limit_and_request_scaling},limitrange/limit_range_calculator,resources/resourcehelpers}.go`,
//! 1.5.1.

use super::amounts::{Amounts, Policy, RESOURCES, Recommendation, policy_of};
use crate::api::policy::LimitRange;
use crate::api::{Pod, k8s};
use crate::base::{Quantity, Str};
use crate::store::Store;
use k8s::core::v1::LimitRangeItem;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Boundary;

/// What a container has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The container.
    pub container: Str,
    /// Its requests: those that are in force, if they were changed in place.
    pub requests: Amounts,
    /// Its limits.
    pub limits: Amounts,
}

/// What the regular containers of a Pod have.
pub fn held(pod: &Pod) -> Vec<Held> {
    let one = |container: &crate::api::Container| {
        let status = pod.status.containers.iter().find(|status| status.name == container.name);
        let resized = status.and_then(|status| status.resized.as_deref());
        let (requests, limits) = match resized.and_then(|r| r.actual_requests.as_ref()) {
            Some(requests) => (requests, resized.and_then(|r| r.actual_limits.as_ref())),
            None => (&container.requests, Some(&container.limits)),
        };
        let limits = limits.map(Amounts::from_list).unwrap_or_default();
        Held { container: container.name.clone(), requests: Amounts::from_list(requests), limits }
    };
    pod.spec.containers.iter().map(one).collect()
}

/// Bounds of all LimitRanges of a namespace, of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The highest minimum.
    pub min: Amounts,
    /// The lowest maximum.
    pub max: Amounts,
    /// Limits of containers that say nothing.
    pub default: Amounts,
}

/// Bounds of containers and of whole Pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Of containers.
    pub container: Option<Range>,
    /// Of Pods.
    pub pod: Option<Range>,
}

impl Ranges {
    /// Those of a namespace.
    pub fn of(store: &Store, namespace: &str) -> Self {
        let mut ranges = Self::default();
        for range in store.list_in::<LimitRange>(namespace) {
            for item in &range.spec.value.limits {
                let place = match item.type_.as_str() {
                    "Container" => &mut ranges.container,
                    "Pod" => &mut ranges.pod,
                    _ => continue,
                };
                if item.max.is_some() || item.min.is_some() || item.default.is_some() {
                    place.get_or_insert_default().add(item);
                }
            }
        }
        ranges
    }
}

impl Range {
    fn add(&mut self, item: &LimitRangeItem) {
        let read = |list: &Option<std::collections::BTreeMap<String, Boundary>>| {
            let parsed = list.iter().flatten().filter_map(|(name, quantity)| {
                Some((Str::from(name.as_str()), Quantity::parse(&quantity.0).ok()?))
            });
            Amounts::from_list(&parsed.collect())
        };
        if item.default.is_some() {
            self.default = read(&item.default);
        }
        let (min, max) = (read(&item.min), read(&item.max));
        for resource in RESOURCES {
            if let Some(amount) = max.of(resource) {
                self.max.set(resource, self.max.of(resource).map_or(amount, |old| old.min(amount)));
            }
            if let Some(amount) = min.of(resource) {
                self.min.set(resource, self.min.of(resource).map_or(amount, |old| old.max(amount)));
            }
        }
    }
}

/// A recommendation that a Pod can be given, and what was done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capped {
    /// The recommendation.
    pub recommendation: Recommendation,
    /// What capped its target.
    pub notes: Vec<String>,
}

/// Caps what is recommended for the containers of a Pod.
pub fn cap(list: &[Recommendation], policies: &[Policy], held: &[Held], ranges: &Ranges) -> Vec<Capped> {
    let mut list = list.to_vec();
    if let Some(range) = &ranges.pod {
        keep_the_rest(&mut list, held);
        for field in [Field::Upper, Field::Target, Field::Lower] {
            RESOURCES.iter().for_each(|resource| fit_pod(&mut list, field, resource, held, range));
        }
    }
    list.into_iter()
        .filter_map(|mut recommendation| {
            let held = held.iter().find(|held| held.container == recommendation.container)?;
            let policy = policy_of(policies, &recommendation.container);
            let mut notes = Vec::new();
            for field in [Field::Target, Field::Lower, Field::Upper] {
                let said =
                    fit_container(field.of(&mut recommendation), policy, held, ranges.container.as_ref());
                if field == Field::Target {
                    notes = said;
                }
            }
            Some(Capped { recommendation, notes })
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Lower,
    Target,
    Upper,
}

impl Field {
    const fn of(self, recommendation: &mut Recommendation) -> &mut Amounts {
        match self {
            Self::Lower => &mut recommendation.lower,
            Self::Target => &mut recommendation.target,
            Self::Upper => &mut recommendation.upper,
        }
    }
}

/// Containers for which nothing is recommended keep what they request.
fn keep_the_rest(list: &mut Vec<Recommendation>, held: &[Held]) {
    for held in held {
        let known = list.iter().any(|recommendation| recommendation.container == held.container);
        if !known && held.requests != Amounts::default() {
            let container = held.container.clone();
            list.push(Recommendation { container, target: held.requests, ..Recommendation::default() });
        }
    }
}

/// Bounds of the container's LimitRange, of its policy, and of its limits if those stay. What was done.
fn fit_container(
    amounts: &mut Amounts,
    policy: Option<&Policy>,
    held: &Held,
    range: Option<&Range>,
) -> Vec<String> {
    let (mut ranged, mut allowed, mut limited) = (Vec::new(), Vec::new(), Vec::new());
    for resource in RESOURCES {
        let Some(mut amount) = amounts.of(resource) else { continue };
        let mut clamp = |min: Option<i64>, max: Option<i64>, said: &mut Vec<String>, words: [&str; 2]| {
            if let Some(min) = min.filter(|min| *min > 0 && amount < *min) {
                amount = min;
                said.push(format!("{resource} capped to {}", words[0]));
            }
            if let Some(max) = max.filter(|max| *max > 0 && amount > *max) {
                amount = max;
                said.push(format!("{resource} capped to {}", words[1]));
            }
        };
        if let Some(range) = range {
            let boundary = |bound: Option<i64>| boundary(held, resource, bound?, range);
            let (min, max) = (boundary(range.min.of(resource)), boundary(range.max.of(resource)));
            // Requests must not be below the minimum either.
            let min = min.max(range.min.of(resource));
            let words = ["fit Min in container LimitRange", "fit Max in container LimitRange"];
            clamp(min, max, &mut ranged, words);
        }
        if let Some(policy) = policy {
            clamp(
                policy.min.of(resource),
                policy.max.of(resource),
                &mut allowed,
                ["minAllowed", "maxAllowed"],
            );
            if policy.requests_only {
                clamp(None, held.limits.of(resource), &mut limited, ["", "container limit"]);
            }
        }
        amounts.set(resource, amount);
    }
    [ranged, allowed, limited].concat()
}

/// The request that goes with a limit at the bound, the ratio of both kept. None: there is no limit to keep.
fn boundary(held: &Held, resource: &str, bound: i64, range: &Range) -> Option<i64> {
    let limit = above_zero(held.limits.of(resource)).or(above_zero(range.default.of(resource)))?;
    Some(match above_zero(held.requests.of(resource)) {
        Some(request) => in_proportion(request, limit, bound),
        None => bound,
    })
}

fn above_zero(amount: Option<i64>) -> Option<i64> {
    amount.filter(|amount| *amount > 0)
}

/// Shrinks or raises what is recommended so that the sums over the Pod's containers are within its LimitRange.
fn fit_pod(list: &mut [Recommendation], field: Field, resource: &str, held: &[Held], range: &Range) {
    let (mut limits, mut requests) = (0i64, 0i64);
    for held in held {
        let found = list.iter_mut().find(|recommendation| recommendation.container == held.container);
        let request = match found {
            Some(recommendation) => field.of(recommendation).of(resource),
            None => held.requests.of(resource),
        };
        let limit = proportional_limit(held, resource, request, range.default.of(resource));
        limits = limits.saturating_add(limit.unwrap_or(0));
        requests = requests.saturating_add(request.unwrap_or(0));
    }
    let (min, max) = (range.min.of(resource).unwrap_or(0), above_zero(range.max.of(resource)));
    if min <= limits && min <= requests && max.is_none_or(|max| max >= limits) {
        return;
    }
    let (base, goal) = match max {
        _ if limits == 0 => return,
        _ if min > requests => (requests, min),
        Some(max) if max < limits => (limits, max),
        Some(_) | None => (limits, min),
    };
    for recommendation in list {
        let amounts = field.of(recommendation);
        if let Some(amount) = amounts.of(resource) {
            amounts.set(resource, in_proportion(amount, base, goal));
        }
    }
}

/// The limit that keeps its ratio to the request.
///
/// # Errors
/// Why there is none.
pub fn proportional_limit(
    held: &Held,
    resource: &str,
    request: Option<i64>,
    default: Option<i64>,
) -> Result<i64, &'static str> {
    let limit = above_zero(held.limits.of(resource)).or(above_zero(default));
    let limit = limit.ok_or("limit NOT set since originalLimit is nil or 0")?;
    let request = above_zero(request).ok_or("limit NOT set since recommendedRequest is nil or 0")?;
    Ok(match above_zero(held.requests.of(resource)) {
        Some(before) if before != limit => in_proportion(limit, before, request),
        // A limit without a request is the request, and equal ones stay equal.
        Some(_) | None => request,
    })
}

/// `amount * to / base` in whole numbers.
fn in_proportion(amount: i64, base: i64, to: i64) -> i64 {
    if base == 0 {
        return 0;
    }
    i64::try_from(i128::from(amount) * i128::from(to) / i128::from(base)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(text: &str) -> Amounts {
        let (cpu, memory) = text.split_once('/').unwrap_or((text, "-"));
        Amounts { cpu: cpu.parse().ok(), memory: memory.parse().ok() }
    }

    fn holds(name: &'static str, requests: &str, limits: &str) -> Held {
        Held { container: name.into(), requests: amounts(requests), limits: amounts(limits) }
    }

    fn wants(name: &'static str, target: &str) -> Recommendation {
        let amounts = amounts(target);
        Recommendation {
            container: name.into(),
            target: amounts,
            lower: amounts,
            upper: amounts,
            uncapped: amounts,
        }
    }

    fn range(min: &str, max: &str, default: &str) -> Range {
        Range { min: amounts(min), max: amounts(max), default: amounts(default) }
    }

    fn policy(min: &str, max: &str, requests_only: bool) -> Policy {
        Policy {
            container: "*".into(),
            off: false,
            min: amounts(min),
            max: amounts(max),
            cpu: true,
            memory: true,
            requests_only,
        }
    }

    /// `§2.5`: bounds of the container's LimitRange in proportion of limit and request, then the policy, then limits that stay.
    #[test]
    fn a_container_is_capped_by_ranges_policies_and_its_limits() {
        let none = policy("-", "-", false);
        let any = range("-", "-", "-");
        // Requests and limits that it has, range, policy, what is recommended (millicores/bytes), what is left, why.
        for (has, range, policy, wanted, expected, notes) in [
            (("100/100", "-"), any, none.clone(), "300/300", "300/300", ""),
            // The limit is twice the request: at most 400m of a limit of 800m.
            (
                ("100", "200"),
                range("-", "800", "-"),
                none.clone(),
                "600",
                "400",
                "cpu capped to fit Max in container LimitRange",
            ),
            (("100", "200"), range("-", "800", "-"), none.clone(), "399", "399", ""),
            // Without a limit there is nothing to keep below the maximum.
            (("100", "-"), range("-", "800", "-"), none.clone(), "900", "900", ""),
            // The default limit counts as the container's own.
            (
                ("100", "-"),
                range("-", "800", "400"),
                none.clone(),
                "900",
                "200",
                "cpu capped to fit Max in container LimitRange",
            ),
            // A limit without a request is the request.
            (
                ("-", "200"),
                range("-", "800", "-"),
                none.clone(),
                "900",
                "800",
                "cpu capped to fit Max in container LimitRange",
            ),
            // The minimum holds for requests as for limits.
            (
                ("100", "200"),
                range("50", "-", "-"),
                none.clone(),
                "20",
                "50",
                "cpu capped to fit Min in container LimitRange",
            ),
            (
                ("-/100", "-/100"),
                range("-/64", "-", "-"),
                none.clone(),
                "-/20",
                "-/64",
                "memory capped to fit Min in container LimitRange",
            ),
            (("100", "-"), any, policy("200", "-", false), "150", "200", "cpu capped to minAllowed"),
            (
                ("100/1", "-"),
                any,
                policy("-", "200/300", false),
                "250/400",
                "200/300",
                "cpu capped to maxAllowed, memory capped to maxAllowed",
            ),
            // The policy comes after the LimitRange, and wins.
            (
                ("100", "100"),
                range("-", "200", "-"),
                policy("300", "-", false),
                "250",
                "300",
                "cpu capped to fit Max in container LimitRange, cpu capped to minAllowed",
            ),
            // `RequestsOnly`: below the limit, whatever the policy says.
            (
                ("100", "150"),
                any,
                policy("200", "-", true),
                "120",
                "150",
                "cpu capped to minAllowed, cpu capped to container limit",
            ),
            (("100", "150"), any, policy("-", "-", true), "120", "120", ""),
            (("100", "-"), any, policy("-", "-", true), "900", "900", ""),
        ] {
            let ranges = Ranges { container: Some(range), pod: None };
            let found = cap(&[wants("c", wanted)], &[policy], &[holds("c", has.0, has.1)], &ranges);
            let said = found[0].notes.join(", ");
            assert_eq!(
                (found[0].recommendation.target, said.as_str()),
                (amounts(expected), notes),
                "{has:?} {wanted}"
            );
            assert_eq!(found[0].recommendation.upper, amounts(expected), "bounds are capped alike");
        }
    }

    /// `§2.5`: the sums over a Pod's containers stay within its LimitRange.
    #[test]
    fn the_containers_of_a_pod_are_capped_together() {
        // Range, what is recommended for `a` (request 100m, limit 200m) and `b` (100m, 100m), what they get.
        for (range, a, b, expected) in [
            (range("-", "-", "-"), "300", "300", ["300", "300"]),
            // Limits of 600m and 300m are 900m in sum; they get two thirds of 600m/900m each.
            (range("-", "600", "-"), "300", "300", ["200", "200"]),
            (range("-", "900", "-"), "300", "300", ["300", "300"]),
            // Requests of 60m in sum are raised to 90m.
            (range("90", "-", "-"), "20", "40", ["30", "60"]),
        ] {
            let held = [holds("a", "100", "200"), holds("b", "100", "100")];
            let ranges = Ranges { container: None, pod: Some(range) };
            let found = cap(&[wants("a", a), wants("b", b)], &[], &held, &ranges);
            let found: Vec<Amounts> = found.iter().map(|c| c.recommendation.target).collect();
            assert_eq!(found, expected.map(amounts), "{range:?} {a} {b}");
        }
        // A container for which nothing is recommended counts with what it requests, and shrinks with the others.
        let held = [holds("a", "100", "100"), holds("b", "300", "300")];
        let ranges = Ranges { container: None, pod: Some(range("-", "600", "-")) };
        let found = cap(&[wants("a", "900")], &[], &held, &ranges);
        assert_eq!(
            found.iter().map(|c| c.recommendation.target.cpu).collect::<Vec<_>>(),
            [Some(450), Some(150)]
        );
        assert_eq!(found[1].recommendation.lower, Amounts::default());
    }

    /// `§2.5`: limits keep their ratio, by whole numbers.
    #[test]
    fn limits_keep_their_ratio() {
        for (has, request, default, expected) in [
            (("100", "200"), Some(150), None, Ok(300)),
            (("70", "100"), Some(150), None, Ok(214)),
            (("100", "100"), Some(150), None, Ok(150)),
            (("-", "1000"), Some(150), None, Ok(150)),
            (("100", "-"), Some(150), None, Err("limit NOT set since originalLimit is nil or 0")),
            (("100", "-"), Some(150), Some(300), Ok(450)),
            (("100", "200"), None, None, Err("limit NOT set since recommendedRequest is nil or 0")),
        ] {
            let found = proportional_limit(&holds("c", has.0, has.1), "cpu", request, default);
            assert_eq!(found, expected, "{has:?} {request:?}");
        }
    }
}
