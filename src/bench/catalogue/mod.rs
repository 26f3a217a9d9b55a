//! The built-in workloads.
//!
//! * [`upstream`]: those of Kubernetes' `scheduler_perf`. [`peer`]: six that were measured with the real scheduler's code.
//! * [`templates`]: the objects they are made of.

pub mod peer;
pub mod templates;
pub mod upstream;

use super::template::Template;
use super::workload::{Amount, Case, CreateNodes, CreatePods, Op, Prepare, Size};
use crate::scheduler::Config;

/// All of them.
pub fn all() -> Vec<Case> {
    let mut all = upstream::cases();
    all.extend(peer::cases());
    all
}

/// The numbers of one size, in the order of the case's parameters.
type Row = (&'static str, &'static [usize]);

/// A case with its sizes; the one that is run if none is asked for has the name `usual`.
fn case(name: &str, params: &[&str], usual: &str, rows: &[Row], ops: Vec<Op>) -> Case {
    let size = |(name, numbers): &Row| Size {
        name: (*name).to_owned(),
        params: params.iter().zip(*numbers).map(|(param, number)| ((*param).to_owned(), *number)).collect(),
        usual: *name == usual,
    };
    Case { name: name.to_owned(), ops, sizes: rows.iter().map(size).collect(), config: Config::default() }
}

/// As many as a parameter says.
fn many(param: &str) -> Amount {
    Amount::Param(param.to_owned())
}

/// Nodes that join.
fn nodes(param: &str, template: serde_json::Value, prepare: Prepare) -> Op {
    Op::CreateNodes(CreateNodes { count: many(param), template: Template::new(template), prepare })
}

/// Pods that are there before measuring begins.
fn pods(param: &str, namespace: Option<&str>, template: Template) -> CreatePods {
    CreatePods {
        count: many(param),
        template,
        namespace: namespace.map(Into::into),
        measured: false,
        goes_on: false,
        volumes: None,
        steady: None,
    }
}

/// The same, measured.
fn measured(pods: CreatePods) -> Op {
    Op::CreatePods(CreatePods { measured: true, ..pods })
}

#[cfg(test)]
mod tests {
    use super::super::{NoMeter, Options, run};
    use super::*;

    /// Pods that were measured and those that got a node, of the smallest size of a case.
    fn placed(case: &Case) -> (usize, usize) {
        let measured = run(case, &case.sizes[0], Options::default(), &mut NoMeter).expect("it runs");
        (measured.pods, measured.placed)
    }

    #[test]
    fn every_workload_places_all_its_pods() {
        for case in all() {
            let size = &case.sizes[0];
            let wanted = case.pods_param().and_then(|param| size.params.get(param)).copied();
            let (pods, placed) = placed(&case);
            assert_eq!(Some(pods), wanted, "{}", case.name);
            assert_eq!(placed, pods, "{}/{}", case.name, size.name);
            assert!(case.usual().is_some_and(|size| size.usual), "{} has no usual size", case.name);
        }
    }

    #[test]
    fn a_workload_places_its_pods_where_it_did_before() {
        let case = all().into_iter().find(|case| case.name == "peer/spread").expect("it is there");
        let digest = |seed, plain| {
            let options = Options { seed, plain, ..Options::default() };
            run(&case, &case.sizes[0], options, &mut NoMeter).expect("it runs").placements
        };
        assert_eq!(digest(1, false), digest(1, true), "what is kept changes nothing");
        assert_ne!(digest(1, false), digest(2, false), "ties are broken by draws");
    }
}
