//! ImageLocality: nodes that hold the Pod's images already are preferred, big and widespread images above all.
//!
//! Upstream: `pkg/scheduler/framework/plugins/imagelocality/image_locality.go`, v1.34.

use crate::base::Str;
use crate::scheduler::framework::{
    CycleState, Extensions, Foreseen, MAX_NODE_SCORE, NodeId, NodeInfo, PodInfo, PreScore, PreScored, Score,
    Setup, Snapshot, Status,
};

/// The plugin's name.
pub const NAME: &str = "ImageLocality";

const MIB: i64 = 1024 * 1024;
/// Less than this on a node does not count.
const MIN_THRESHOLD: i64 = 23 * MIB;
/// More than this for a container does not count.
const MAX_CONTAINER_THRESHOLD: i64 = 1000 * MIB;

#[derive(Debug)]
struct ImageLocality;

/// Makes the plugin.
///
/// Upstream has no PreScore; here it looks each image up once for all nodes.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, ImageLocality).pre_score().score().done()
}

/// The Pod's images that are anywhere: what each is worth, and where it is.
#[derive(Clone, Debug, Default)]
struct Found(Vec<(i64, Vec<NodeId>)>);

/// The name as container runtimes report it: a missing tag is `latest`.
fn normalized(image: &Str) -> Str {
    let tagged = match (image.rfind(':'), image.rfind('/')) {
        (Some(colon), Some(slash)) => colon > slash,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if tagged { image.clone() } else { format!("{image}:latest").into() }
}

fn find(snapshot: &Snapshot, pod: &PodInfo) -> Found {
    let mut found = Found::default();
    if snapshot.images().is_empty() {
        return found;
    }
    let spec = &pod.pod.spec;
    for container in spec.init_containers.iter().chain(&spec.containers) {
        if let Some(image) = snapshot.images().get(&normalized(&container.image)) {
            let spread = image.nodes.len() as f64 / snapshot.len() as f64;
            found.0.push(((image.size as f64 * spread) as i64, image.nodes.clone()));
        }
    }
    found
}

impl PreScore for ImageLocality {
    fn pre_score(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
        _: &[&NodeInfo],
    ) -> Result<PreScored, Status> {
        state.write(find(snapshot, pod));
        Ok(PreScored::Score)
    }

    fn foresee(
        &self,
        snapshot: &Snapshot,
        state: &mut CycleState,
        pod: &PodInfo,
    ) -> Result<Foreseen, Status> {
        let found = find(snapshot, pod);
        if found.0.is_empty() {
            return Ok(Foreseen::Equal);
        }
        state.write(found);
        Ok(Foreseen::Ready)
    }
}

impl Found {
    /// The score of a node whose images are worth so much together.
    fn score(sum: i64, pod: &PodInfo) -> i64 {
        let spec = &pod.pod.spec;
        let containers = (spec.init_containers.len() + spec.containers.len()) as i64;
        let max = MAX_CONTAINER_THRESHOLD * containers;
        MAX_NODE_SCORE * (sum.max(MIN_THRESHOLD).min(max) - MIN_THRESHOLD) / (max - MIN_THRESHOLD)
    }

    /// What the images on each node are worth together, by the node's place in the scheduler's tables.
    fn sums(&self, slots: usize) -> Vec<i64> {
        let mut sums = vec![0i64; slots];
        for (worth, nodes) in &self.0 {
            for node in nodes {
                sums[node.index()] = sums[node.index()].saturating_add(*worth);
            }
        }
        sums
    }
}

impl Score for ImageLocality {
    fn score(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<i64, Status> {
        let mut scores = Vec::with_capacity(1);
        self.score_all(snapshot, state, pod, &[node], &mut scores)?;
        Ok(scores.first().copied().unwrap_or(0))
    }

    fn score_all(
        &self,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
        scores: &mut Vec<i64>,
    ) -> Result<(), Status> {
        let own;
        let found = match state.read::<Found>() {
            Some(found) => found,
            // PreScore is disabled.
            None => {
                own = find(snapshot, pod);
                &own
            }
        };
        if found.0.is_empty() {
            scores.resize(scores.len() + nodes.len(), 0);
            return Ok(());
        }
        let sums = found.sums(snapshot.slots());
        scores.extend(nodes.iter().map(|node| Found::score(sums[node.id.index()], pod)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_tag_is_filled_in() {
        for (image, expected) in [
            ("nginx", "nginx:latest"),
            ("nginx:1.27", "nginx:1.27"),
            ("registry:5000/nginx", "registry:5000/nginx:latest"),
            ("registry:5000/nginx:1", "registry:5000/nginx:1"),
            ("docker.io/library/nginx@sha256:abc", "docker.io/library/nginx@sha256:abc"),
        ] {
            assert_eq!(normalized(&image.into()), expected);
        }
    }
}
