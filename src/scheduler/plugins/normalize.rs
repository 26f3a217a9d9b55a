//! The common normalisation of scores.
//!
//! Upstream: `pkg/scheduler/framework/plugins/helper/normalize_score.go`, v1.34.

use crate::scheduler::framework::MAX_NODE_SCORE;

/// Scales scores so that the largest becomes 100, and turns them round if `reverse`.
pub fn default_normalize(reverse: bool, scores: &mut [i64]) {
    let largest = scores.iter().copied().max().unwrap_or(0);
    if largest <= 0 {
        if reverse {
            scores.fill(MAX_NODE_SCORE);
        }
        return;
    }
    for score in scores {
        let scaled = MAX_NODE_SCORE.wrapping_mul(*score) / largest;
        *score = if reverse { MAX_NODE_SCORE - scaled } else { scaled };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_score_becomes_a_hundred() {
        for (reverse, scores, expected) in [
            (false, [1, 2, 3], [33, 66, 100]),
            (true, [1, 2, 3], [67, 34, 0]),
            (false, [0, 0, 0], [0, 0, 0]),
            (true, [0, 0, 0], [100, 100, 100]),
        ] {
            let mut got = scores;
            default_normalize(reverse, &mut got);
            assert_eq!(got, expected);
        }
    }
}
