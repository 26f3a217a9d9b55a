//! Placements as JSON: what `wavetank schedule -o json` writes for a Pod.

use serde_json::{Map, Value, json};

use crate::api::ObjectKey;
use crate::base::Str;
use crate::scheduler::evaluation::{Evaluation, NodeEvaluation, PostFilter, PreemptionTrial};
use crate::scheduler::framework::status::{Code, Status};

/// All placements as one document.
pub fn document<'a>(all: impl IntoIterator<Item = &'a Evaluation>) -> Value {
    json!({ "pods": all.into_iter().map(to_json).collect::<Vec<_>>() })
}

/// One placement. Fields that say nothing are left out, reasons are sorted.
pub fn to_json(evaluation: &Evaluation) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value);
        }
    };
    put("pod", Some(key(&evaluation.pod)));
    put("preEnqueue", evaluation.pre_enqueue.as_ref().map(refusal));
    put("preFilter", evaluation.pre_filter.as_ref().map(refusal));
    put("preFilterNodes", evaluation.pre_filter_nodes.as_deref().map(names));
    put("nodes", some_list(evaluation.nodes.iter().map(node).collect()));
    put("feasible", Some(evaluation.feasible.into()));
    put("scoringSkipped", evaluation.scoring_skipped.then(|| true.into()));
    put("nominatedFirst", evaluation.nominated_first.then(|| true.into()));
    put("ties", (!evaluation.ties.is_empty()).then(|| names(&evaluation.ties)));
    put("chosen", evaluation.chosen.as_ref().map(|name| name.as_str().into()));
    let volumes = evaluation.volumes.iter().map(|bound| {
        json!({"pvc": key(&bound.claim), "pv": bound.volume.as_str(), "provisioned": bound.provisioned})
    });
    put("volumes", some_list(volumes.collect()));
    put("fitMessage", evaluation.fit_message.as_deref().map(Value::from));
    put("message", evaluation.message.as_deref().map(Value::from));
    put("error", evaluation.error.as_deref().map(Value::from));
    put("postFilter", evaluation.post_filter.as_ref().map(post_filter));
    Value::Object(out)
}

fn some_list(list: Vec<Value>) -> Option<Value> {
    (!list.is_empty()).then_some(Value::Array(list))
}

fn key(key: &ObjectKey) -> Value {
    Value::String(key.to_string())
}

fn names(all: &[Str]) -> Value {
    all.iter().map(|name| Value::from(name.as_str())).collect()
}

fn reasons(status: &Status) -> Value {
    let mut sorted: Vec<Str> = status.reasons().map(|reason| reason.text.clone()).collect();
    sorted.sort();
    names(&sorted)
}

fn refusal(status: &Status) -> Value {
    json!({"plugin": status.plugin, "code": status.code.as_str(), "reasons": reasons(status)})
}

fn node(node: &NodeEvaluation) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), node.name.as_str().into());
    out.insert("filter".to_owned(), node.filter.as_ref().map_or(Value::Null, refusal));
    if let Some(scores) = &node.scores {
        let mut sorted = scores.clone();
        sorted.sort();
        let scores: Map<String, Value> =
            sorted.into_iter().map(|(plugin, score)| (plugin.to_owned(), score.into())).collect();
        out.insert("scores".to_owned(), Value::Object(scores));
    }
    if let Some(total) = node.total {
        out.insert("total".to_owned(), total.into());
    }
    Value::Object(out)
}

fn post_filter(result: &PostFilter) -> Value {
    let mut out = Map::new();
    out.insert("code".to_owned(), result.refused.map_or("Success", Code::as_str).into());
    if !result.message.is_empty() {
        out.insert("message".to_owned(), result.message.as_str().into());
    }
    if let Some(nominated) = &result.nominated {
        let mut victims: Vec<String> = result.victims.iter().map(ObjectKey::to_string).collect();
        victims.sort();
        out.insert("nominated".to_owned(), nominated.as_str().into());
        out.insert("nominatedTies".to_owned(), names(&result.nominated_ties));
        out.insert("victims".to_owned(), victims.into());
        if result.pdb_violations > 0 {
            out.insert("pdbViolations".to_owned(), result.pdb_violations.into());
        }
    }
    if !result.candidates.is_empty() {
        out.insert("candidates".to_owned(), result.candidates.iter().map(candidate).collect());
    }
    Value::Object(out)
}

fn candidate(trial: &PreemptionTrial) -> Value {
    let mut out = Map::new();
    out.insert("node".to_owned(), trial.node.as_str().into());
    if let Ok(victims) = &trial.outcome {
        out.insert("victims".to_owned(), victims.iter().map(key).collect());
    }
    out.insert("pdbViolations".to_owned(), trial.pdb_violations.into());
    if let Err(refusal) = &trial.outcome {
        out.insert("code".to_owned(), refusal.code.as_str().into());
        if !refusal.plugin.is_empty() {
            out.insert("plugin".to_owned(), refusal.plugin.into());
        }
        out.insert("reasons".to_owned(), reasons(refusal));
    }
    Value::Object(out)
}
