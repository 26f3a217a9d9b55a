//! Who gets how much of a node's CPU when not all can have what they want.
//!
//! Linux' scheduler shares by the weight of control groups, which the kubelet sets from CPU requests, and a quota from
//! the limit bounds each. What one leaves, the others share.
//!
//! Upstream: `pkg/kubelet/cm/helpers_linux.go` `MilliCPUToShares`, v1.34.

/// One who wants CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Its weight: millicores of its request.
    pub weight: f64,
    /// Millicores that it would use if it could.
    pub wants: f64,
}

/// The weight of Pods without a CPU request: two shares of the 1024 that a core has.
pub const WEIGHT_MIN: f64 = 2.0 * 1000.0 / 1024.0;

/// What each gets of `capacity` millicores.
pub fn share(capacity: f64, claims: &[Claim]) -> Vec<f64> {
    let wanted: f64 = claims.iter().map(|c| c.wants).sum();
    if wanted <= capacity {
        return claims.iter().map(|c| c.wants).collect();
    }
    // Whoever wants least for its weight is satisfied first; the rest is shared by those who are left.
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by(|a, b| {
        let per_weight = |i: usize| claims[i].wants / claims[i].weight.max(WEIGHT_MIN);
        per_weight(*a).total_cmp(&per_weight(*b)).then(a.cmp(b))
    });
    let mut left = capacity.max(0.0);
    let mut weights: f64 = claims.iter().map(|c| c.weight.max(WEIGHT_MIN)).sum();
    let mut got = vec![0.0; claims.len()];
    for index in order {
        let weight = claims[index].weight.max(WEIGHT_MIN);
        let fair = if weights > 0.0 { left * weight / weights } else { 0.0 };
        got[index] = claims[index].wants.min(fair);
        left -= got[index];
        weights -= weight;
    }
    got
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(capacity: f64, claims: &[(f64, f64)]) -> Vec<i64> {
        let claims: Vec<Claim> =
            claims.iter().map(|(weight, wants)| Claim { weight: *weight, wants: *wants }).collect();
        share(capacity, &claims).into_iter().map(|milli| milli.round() as i64).collect()
    }

    #[test]
    fn all_get_what_they_want_while_there_is_enough() {
        assert_eq!(given(2000.0, &[(100.0, 500.0), (0.0, 1500.0)]), [500, 1500]);
    }

    #[test]
    fn a_noisy_neighbour_without_a_request_takes_what_the_others_leave() {
        assert_eq!(given(2000.0, &[(500.0, 400.0), (500.0, 500.0), (0.0, 8000.0)]), [400, 500, 1100]);
    }

    #[test]
    fn those_who_want_more_share_by_their_requests() {
        assert_eq!(given(2000.0, &[(100.0, 2000.0), (300.0, 2000.0)]), [500, 1500]);
        assert_eq!(given(2000.0, &[(100.0, 2000.0), (300.0, 2000.0), (100.0, 100.0)]), [475, 1425, 100]);
    }
}
