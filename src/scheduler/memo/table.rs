//! What local plugins say of every node to Pods of one sort of wishes.

use crate::base::{Arc, Str};
use crate::scheduler::framework::layout::Layout;
use crate::scheduler::framework::runtime::{Weighted, run_filters};
use crate::scheduler::framework::{
    CycleState, Framework, MAX_NODE_SCORE, NodeId, NodeInfo, PodInfo, Ready, Snapshot, Status, Surely,
};

/// Positions that are looked at in one step: the bits of a word.
pub const WORD: usize = 64;

/// Nodes that are looked at together.
const AT_ONCE: usize = 16;

/// Refusals of different wording that are kept; those beyond are asked for again.
const REFUSALS_MAX: usize = 1000;

/// All local plugins let the node pass.
const PASSES: u16 = 0;
/// One refuses it, and has to be asked why.
const REFUSED: u16 = 1;
/// Nobody has been asked.
const UNKNOWN: u16 = 2;
/// The first of the refusals that are kept.
const FIRST: u16 = 3;

/// A plugin broke, or said something that no plugin may say: its name.
pub type Broken = &'static str;

/// What one plugin gave nodes, which will be normalised over the nodes that pass.
#[derive(Clone, Debug)]
struct Raw {
    bit: u64,
    /// By the node's place in the scheduler's tables; empty while all are 0.
    scores: Vec<i64>,
    /// Nodes with another score than 0.
    others: usize,
}

/// A local Score plugin that has to do with Pods of these wishes.
#[derive(Clone, Debug)]
struct Scorer {
    /// Its place in the profile.
    place: usize,
    /// What its scores are multiplied by.
    weight: i64,
    /// What it says to Pods of these wishes, if that can be worked out beforehand.
    ready: Option<Ready>,
    /// Where its scores are kept, if they will be normalised.
    raw: Option<usize>,
    /// Those that are kept change with the node's object only.
    stays: bool,
}

/// A local Filter plugin that has to do with Pods of these wishes.
#[derive(Clone, Debug)]
struct Asked {
    /// Its place in the profile.
    place: usize,
    /// A look that often spares the question.
    surely: Option<Surely>,
    /// It is one of those that run first; reasons of others are asked for when they are needed.
    first: bool,
}

/// The local plugins that have to do with Pods of these wishes.
#[derive(Clone, Debug, Default)]
struct Local {
    /// How many Filter plugins, of those that run first, look at the node's object alone.
    of_object: usize,
    /// The Filter plugins that look at more than that, or run later.
    filters: Vec<Asked>,
    scorers: Vec<Scorer>,
    /// All of them have worked out beforehand what they say of a node that passed and still does, whose object is the same.
    is_ready: bool,
}

/// Sixty-four positions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Block {
    /// Those whose nodes all local plugins let pass.
    pub passing: u64,
    /// The highest total among them; or more, if none is said to have it.
    pub best: i32,
    /// Those that have it; none until [`Table::find_best`], if those that had it have become worse.
    pub at_best: u64,
}

/// What local Filter plugins have said of a node.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// The version of its object at which they were last asked.
    version: u64,
    /// What those say that look at the object alone and run first.
    of_object: u16,
    /// What all say.
    verdict: u16,
}

impl Said {
    const NOTHING: Self = Self { version: 0, of_object: UNKNOWN, verdict: UNKNOWN };
}

/// A node and its position.
#[derive(Clone, Copy, Debug)]
struct Spot {
    node: NodeId,
    position: usize,
}

/// What local plugins say of a node that they are being asked of.
#[derive(Clone, Copy, Debug)]
struct Answer {
    verdict: u16,
    /// The node's object is the one that they were asked of the last time.
    same: bool,
    /// And it passes, or does not, as it did then: what was kept and changes with the object only stays.
    stays: bool,
    total: i64,
}

impl Answer {
    const fn passes(&self) -> bool {
        self.verdict == PASSES
    }
}

/// What is kept for Pods of the same wishes.
#[derive(Clone, Debug)]
pub struct Table {
    profile: Str,
    wishes: u64,
    /// When it was last of use.
    pub(super) used: u64,
    /// What local plugins remember from PreScore, and which of them are asked.
    own: Option<(CycleState, Local)>,
    /// The arrangement of the snapshot that the blocks are for.
    arrangement: Option<u64>,
    /// The positions in it.
    layout: Arc<Layout>,
    /// How many changes of nodes have been followed, and of their objects.
    followed: u64,
    versions: u64,
    /// By the node's place in the scheduler's tables.
    said: Vec<Said>,
    /// The weighted scores of local plugins that do not normalise, added up, by position.
    totals: Vec<i32>,
    refusals: Vec<Status>,
    raws: Vec<Raw>,
    /// By position.
    blocks: Vec<Block>,
    /// Room for the nodes that have changed, kept from one time to the next.
    changed: Vec<Spot>,
}

/// What is needed to ask plugins.
struct Asking<'a> {
    framework: &'a Framework,
    snapshot: &'a Snapshot,
    state: &'a CycleState,
    local: &'a Local,
    pod: &'a PodInfo,
}

impl Table {
    /// Nothing is known yet.
    pub fn new(framework: &Framework, wishes: u64) -> Self {
        let normalized = framework.score.iter().filter(|w| w.at.local && w.at.plugin.normalizes());
        Self {
            profile: framework.profile_name.clone(),
            wishes,
            used: 0,
            own: None,
            arrangement: None,
            layout: Arc::default(),
            followed: 0,
            versions: 0,
            said: Vec::new(),
            totals: Vec::new(),
            refusals: Vec::new(),
            raws: normalized.map(|w| Raw { bit: w.at.bit, scores: Vec::new(), others: 0 }).collect(),
            blocks: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// Whether it is for Pods of these wishes.
    pub fn is_for(&self, framework: &Framework, wishes: u64) -> bool {
        self.wishes == wishes && self.profile == framework.profile_name
    }

    /// Follows the changes of nodes since it was last of use. `state` is that of the Pod's cycle after PreFilter. How many
    /// nodes were asked for.
    ///
    /// # Errors
    /// A plugin broke.
    pub fn refresh(
        &mut self,
        framework: &Framework,
        snapshot: &Snapshot,
        state: &CycleState,
        pod: &PodInfo,
    ) -> Result<usize, Broken> {
        let own = match self.own.take() {
            Some(own) => own,
            None => {
                let state = local_state(framework, snapshot, state, pod)?;
                let local = Local::new(framework, &state, pod);
                (state, local)
            }
        };
        let asked = self.follow(&Asking { framework, snapshot, state: &own.0, local: &own.1, pod });
        if asked.is_err() {
            // It begins anew the next time.
            *self = Self::new(framework, self.wishes);
        }
        self.own = Some(own);
        asked
    }

    fn follow(&mut self, asking: &Asking<'_>) -> Result<usize, Broken> {
        let snapshot = asking.snapshot;
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        let changes = snapshot.touched().since(self.followed).filter(|_| self.arrangement.is_some());
        let known = changes.is_some();
        let rearranged = self.arrangement != Some(snapshot.arrangement());
        self.said.resize(snapshot.slots(), Said::NOTHING);
        let mut last = None;
        if let Some(changes) = changes {
            for node in changes {
                if last == Some(node) {
                    continue;
                }
                last = Some(node);
                if rearranged {
                    self.said[node.index()].verdict = UNKNOWN;
                } else if let Some(position) = self.layout.position(node) {
                    changed.push(Spot { node, position });
                }
            }
        }
        let mut asked = changed.len();
        self.look(asking, &mut changed);
        if !changed.is_empty() {
            let nodes: Vec<&NodeInfo> = changed.iter().map(|spot| snapshot.node(spot.node)).collect();
            let totals = self.ask(asking, &nodes)?;
            for (Spot { node, position }, total) in changed.iter().zip(totals) {
                let passes = self.said[node.index()].verdict == PASSES;
                self.place(*position, total, passes);
            }
        }
        if !known {
            self.said.iter_mut().for_each(|said| said.verdict = UNKNOWN);
        }
        if !known || rearranged {
            asked += self.arrange(asking)?;
        }
        (self.followed, self.versions) = (snapshot.touched().count(), snapshot.versions());
        self.changed = changed;
        Ok(asked)
    }

    /// Puts all nodes in their positions, and asks of those of which nothing is known.
    fn arrange(&mut self, asking: &Asking<'_>) -> Result<usize, Broken> {
        let snapshot = asking.snapshot;
        let mut totals = vec![0; self.said.len()];
        for (node, total) in self.layout.order().iter().zip(&self.totals) {
            totals[node.index()] = *total;
        }
        let order = snapshot.order();
        let unknown = order.iter().filter(|node| self.said[node.index()].verdict == UNKNOWN);
        let unknown: Vec<&NodeInfo> = unknown.map(|node| snapshot.node(*node)).collect();
        for (info, total) in unknown.iter().zip(self.ask(asking, &unknown)?) {
            totals[info.id.index()] = total;
        }
        self.totals.clear();
        self.totals.extend(order.iter().map(|node| totals[node.index()]));
        self.blocks.clear();
        for (word, chunk) in order.chunks(WORD).enumerate() {
            let mut block = Block::default();
            for (bit, node) in chunk.iter().enumerate() {
                block.passing |= u64::from(self.said[node.index()].verdict == PASSES) << bit;
            }
            self.blocks.push(self.with_best(block, word));
        }
        self.arrangement = Some(snapshot.arrangement());
        self.layout = snapshot.layout().clone();
        Ok(unknown.len())
    }

    /// Puts down what is known of the node at a position.
    fn place(&mut self, position: usize, total: i32, passes: bool) {
        let (word, bit) = (position / WORD, 1u64 << (position % WORD));
        let block = &mut self.blocks[word];
        block.passing &= !bit;
        block.at_best &= !bit;
        self.totals[position] = total;
        if passes {
            block.passing |= bit;
            if total > block.best {
                (block.best, block.at_best) = (total, 0);
            }
            if total == block.best {
                block.at_best |= bit;
            }
        }
    }

    /// Finds the best of blocks whose former best nodes have become worse. Others need not be looked at.
    pub fn find_best(&mut self, words: impl Iterator<Item = usize>) {
        for word in words {
            let block = self.blocks[word];
            if block.at_best == 0 && block.passing != 0 {
                self.blocks[word] = self.with_best(block, word);
            }
        }
    }

    fn with_best(&self, block: Block, word: usize) -> Block {
        let (best, at_best) = self.best_of(word, block.passing);
        Block { best, at_best, ..block }
    }

    /// The highest total of the nodes with these bits of a word, and which of them have it.
    pub fn best_of(&self, word: usize, mut bits: u64) -> (i32, u64) {
        let totals = &self.totals[word * WORD..];
        let (mut best, mut at_best) = (i32::MIN, 0);
        while bits != 0 {
            let bit = bits.trailing_zeros();
            bits &= bits - 1;
            let total = totals[bit as usize];
            if total > best {
                (best, at_best) = (total, 1 << bit);
            } else if total == best {
                at_best |= 1 << bit;
            }
        }
        (best, at_best)
    }

    /// Looks at nodes as far as plugins have worked out beforehand what they say, and leaves those of which they must be asked.
    fn look(&mut self, asking: &Asking<'_>, spots: &mut Vec<Spot>) {
        if !asking.local.is_ready {
            return;
        }
        let mut left = 0;
        for from in (0..spots.len()).step_by(AT_ONCE) {
            let to = spots.len().min(from + AT_ONCE);
            let quick = Quick::of(asking, &spots[from..to]);
            for at in from..to {
                let (spot, place) = (spots[at], at - from);
                if !(quick.sure[place] && self.renew(asking.snapshot, spot, quick.totals[place])) {
                    spots[left] = spot;
                    left += 1;
                }
            }
        }
        spots.truncate(left);
    }

    /// Puts down another total of a node that passes. False if it had not passed with the same object before.
    fn renew(&mut self, snapshot: &Snapshot, Spot { node, position }: Spot, total: i64) -> bool {
        // What has been said of single nodes lies far apart: mostly no object has changed, and then it need not be read.
        let is_same = self.versions == snapshot.versions()
            || self.said[node.index()].version == snapshot.node(node).version();
        let passed = self.blocks[position / WORD].passing >> (position % WORD) & 1 == 1;
        match i32::try_from(total) {
            Ok(total) if is_same && passed => {
                self.place(position, total, true);
                true
            }
            _ => false,
        }
    }

    /// Asks all local plugins of nodes, one plugin after the other: those that look at a node's object alone only if it is
    /// another one. The totals of the nodes.
    fn ask(&mut self, asking: &Asking<'_>, nodes: &[&NodeInfo]) -> Result<Vec<i32>, Broken> {
        let Asking { framework, snapshot, state, local, pod } = *asking;
        let mut answers = Vec::with_capacity(nodes.len());
        for info in nodes {
            let (at, version) = (info.id.index(), info.version());
            let same = self.said[at].version == version;
            if !same {
                let said = run_filters(&framework.filter[..local.of_object], snapshot, state, pod, info);
                let of_object = self.heard(said)?;
                self.said[at] = Said { version, of_object, ..self.said[at] };
            }
            answers.push(Answer { verdict: self.said[at].of_object, same, stays: false, total: 0 });
        }
        for Asked { place, surely, first } in &local.filters {
            let mut sure = vec![false; nodes.len()];
            if let Some(surely) = surely {
                surely.of(nodes, &mut sure);
            }
            for ((answer, info), sure) in answers.iter_mut().zip(nodes).zip(&sure) {
                if *sure || !answer.passes() {
                    continue;
                }
                let filter = std::slice::from_ref(&framework.filter[*place]);
                answer.verdict = match run_filters(filter, snapshot, state, pod, info) {
                    Err(status) if status.is_rejected() && !first => REFUSED,
                    said => self.heard(said)?,
                };
            }
        }
        for (answer, info) in answers.iter_mut().zip(nodes) {
            let before = std::mem::replace(&mut self.said[info.id.index()].verdict, answer.verdict);
            answer.stays = answer.same && before != UNKNOWN && (before == PASSES) == answer.passes();
        }
        let all_stay = answers.iter().all(|answer| answer.stays);
        for scorer in local.scorers.iter().filter(|scorer| !(scorer.stays && all_stay)) {
            self.score(scorer, asking, nodes, &mut answers)?;
        }
        let totals = answers.iter().map(|answer| i32::try_from(answer.total));
        totals.collect::<Result<_, _>>().map_err(|_| "a total beyond 32 bits")
    }

    /// What a plugin adds to the totals of nodes; its scores are put down if they will be normalised.
    fn score(
        &mut self,
        scorer: &Scorer,
        asking: &Asking<'_>,
        nodes: &[&NodeInfo],
        answers: &mut [Answer],
    ) -> Result<(), Broken> {
        let at = &asking.framework.score[scorer.place].at;
        let counts = |answer: &Answer| answer.passes() && !(scorer.stays && answer.stays);
        let mut scores = vec![0; nodes.len()];
        match &scorer.ready {
            Some(ready) => ready.of(nodes, &mut scores),
            None => {
                for ((answer, info), score) in answers.iter().zip(nodes).zip(&mut scores) {
                    if counts(answer) {
                        let said = at.plugin.score(asking.snapshot, asking.state, asking.pod, info);
                        *score = said.map_err(|_| at.name)?;
                    }
                }
            }
        }
        for ((answer, info), score) in answers.iter_mut().zip(nodes).zip(scores) {
            let score = if answer.passes() { score } else { 0 };
            match scorer.raw {
                Some(_) if scorer.stays && answer.stays => {}
                Some(raw) => self.raws[raw].set(info.id.index(), score),
                None if (0..=MAX_NODE_SCORE).contains(&score) => answer.total += score * scorer.weight,
                None => return Err(at.name),
            }
        }
        Ok(())
    }

    /// What plugins have said of a node whose reasons are kept.
    #[inline]
    fn heard(&mut self, said: Result<(), Status>) -> Result<u16, Broken> {
        match said {
            Ok(()) => Ok(PASSES),
            Err(status) if status.is_rejected() => Ok(self.number(status)),
            Err(status) => Err(status.plugin),
        }
    }

    /// The number of a refusal.
    fn number(&mut self, status: Status) -> u16 {
        let known = self.refusals.iter().position(|have| *have == status);
        let at = known.unwrap_or_else(|| {
            if self.refusals.len() < REFUSALS_MAX {
                self.refusals.push(status);
                self.refusals.len() - 1
            } else {
                usize::MAX
            }
        });
        u16::try_from(at).map_or(REFUSED, |at| at + FIRST)
    }

    /// What the local plugins that run first say of a node, if it is known; some then refuse it for the reason given, or
    /// all let it pass.
    pub fn verdict(&self, node: NodeId) -> Option<Result<(), &Status>> {
        match self.said.get(node.index()).map_or(UNKNOWN, |said| said.verdict) {
            PASSES => Some(Ok(())),
            REFUSED | UNKNOWN => None,
            number => self.refusals.get(usize::from(number - FIRST)).map(Err),
        }
    }

    /// By position.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The weighted scores of a node by local plugins that do not normalise, added up.
    pub fn total(&self, node: NodeId) -> i64 {
        self.layout.position(node).map_or(0, |position| i64::from(self.totals[position]))
    }

    /// Whether a local plugin gives the same score to all nodes, whichever pass.
    pub fn is_even(&self, bit: u64) -> bool {
        self.raws.iter().all(|raw| raw.bit != bit || raw.others == 0)
    }

    /// What a local plugin gave a node that passes, before normalising.
    pub fn raw(&self, bit: u64, node: NodeId) -> i64 {
        let raw = self.raws.iter().find(|raw| raw.bit == bit);
        raw.and_then(|raw| raw.scores.get(node.index())).copied().unwrap_or(0)
    }

    /// What local plugins remember for Pods of these wishes.
    pub fn state(&self) -> Option<&CycleState> {
        self.own.as_ref().map(|(state, _)| state)
    }

    /// Whether a local plugin has nothing to do with Pods of these wishes.
    pub fn skips(&self, bit: u64) -> bool {
        self.state().is_some_and(|state| state.skip_score & bit != 0)
    }
}

impl Raw {
    fn set(&mut self, at: usize, score: i64) {
        if score == 0 && self.scores.is_empty() {
            return;
        }
        if at >= self.scores.len() {
            self.scores.resize(at + 1, 0);
        }
        self.others -= usize::from(self.scores[at] != 0);
        self.others += usize::from(score != 0);
        self.scores[at] = score;
    }
}

impl Local {
    /// Those that have to do with Pods of these wishes. `state` is that after PreScore.
    fn new(framework: &Framework, state: &CycleState, pod: &PodInfo) -> Self {
        let (of_object, first) = (framework.object_filters(), framework.local_filters());
        let asked = framework.filter.iter().enumerate().skip(of_object);
        let asked = asked.filter(|(_, at)| at.local && state.skip_filter & at.bit == 0);
        let filters = asked.map(|(place, at)| Asked {
            place,
            surely: at.plugin.surely(state, pod),
            first: place < first,
        });
        let mut local = Self { of_object, filters: filters.collect(), ..Self::default() };
        let mut raws = 0..;
        for (place, Weighted { at, weight }) in framework.score.iter().enumerate() {
            if !at.local {
                continue;
            }
            let raw = if at.plugin.normalizes() { raws.next() } else { None };
            if state.skip_score & at.bit == 0 {
                let (ready, stays) = (at.plugin.ready(state, pod), at.of_object && raw.is_some());
                local.scorers.push(Scorer { place, weight: *weight, ready, raw, stays });
            }
        }
        local.is_ready = local.filters.iter().all(|asked| asked.surely.is_some())
            && local
                .scorers
                .iter()
                .all(|scorer| scorer.stays || scorer.ready.is_some() && scorer.raw.is_none());
        local
    }
}

/// What is known of at most [`AT_ONCE`] nodes by what plugins have worked out beforehand.
struct Quick {
    /// Whether they surely let it pass.
    sure: [bool; AT_ONCE],
    /// If so, its total.
    totals: [i64; AT_ONCE],
}

impl Quick {
    /// Looks at nodes, one at least; all plugins must be ready.
    fn of(asking: &Asking<'_>, spots: &[Spot]) -> Self {
        let Asking { snapshot, local, .. } = *asking;
        let (count, mut quick) = (spots.len(), Self { sure: [true; AT_ONCE], totals: [0; AT_ONCE] });
        let infos: [&NodeInfo; AT_ONCE] =
            std::array::from_fn(|at| snapshot.node(spots[at.min(count - 1)].node));
        let mut sure = [true; AT_ONCE];
        for surely in local.filters.iter().filter_map(|asked| asked.surely.as_ref()) {
            surely.of(&infos[..count], &mut sure[..count]);
            quick.sure.iter_mut().zip(sure).for_each(|(all, sure)| *all &= sure);
        }
        let mut scores = [0; AT_ONCE];
        let asked = local.scorers.iter().filter(|scorer| !scorer.stays);
        for (ready, weight) in asked.filter_map(|scorer| Some((scorer.ready.as_ref()?, scorer.weight))) {
            ready.of(&infos[..count], &mut scores[..count]);
            for (at, score) in scores.iter().enumerate() {
                if (0..=MAX_NODE_SCORE).contains(score) {
                    quick.totals[at] += score * weight;
                } else {
                    quick.sure[at] = false;
                }
            }
        }
        quick
    }
}

/// What local plugins remember in a cycle for Pods of these wishes, PreScore included.
fn local_state(
    framework: &Framework,
    snapshot: &Snapshot,
    state: &CycleState,
    pod: &PodInfo,
) -> Result<CycleState, Broken> {
    let mut state = state.clone();
    for at in framework.pre_score.iter().filter(|at| at.local) {
        at.run(snapshot, &mut state, pod, &[]).map_err(|_| at.name)?;
    }
    Ok(state)
}
