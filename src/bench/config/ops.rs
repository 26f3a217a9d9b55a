//! The operations of a test case.

use super::super::catalogue::templates;
use super::super::template::Template;
use super::super::workload::{
    Amount, Barrier, Churn, CreateNodes, CreatePods, DeletePods, Op, Prepare, Size,
};
use super::{Source, tables};
use crate::api::manifest::tree::Tree;
use crate::base::{SimDuration, Str};
use crate::scenario::read::{Fields, Reader};
use crate::scenario::shape::Shape;
use crate::scenario::{code, scalar};

/// Time between rounds of churn if none is given.
const CHURN_INTERVAL_MILLIS: u64 = 500;

impl Source<'_> {
    /// One operation. `default` is what Pods are whose operation does not say.
    pub(super) fn op(&mut self, tree: &Tree, default: Option<&Template>, sizes: &[Size]) -> Option<Op> {
        let (opcode, shape) = self.opcode(tree)?;
        let fields = Fields::open(&mut self.reader, tree, shape)?;
        match opcode {
            "createNodes" => self.create_nodes(&fields, sizes).map(Op::CreateNodes),
            "createNamespaces" => Some(Op::CreateNamespaces {
                count: self.count(&fields, sizes)?,
                prefix: fields.read(&mut self.reader, "prefix", scalar::name)?,
                template: fields.get("namespaceTemplatePath").and_then(|tree| self.template(tree)),
            }),
            "createPods" => self.create_pods(&fields, default, sizes).map(Op::CreatePods),
            "createPodSets" => {
                let count = self.count(&fields, sizes);
                let prefix = fields.read(&mut self.reader, "namespacePrefix", scalar::name);
                match self.op(fields.get("createPodsOp")?, default, sizes)? {
                    Op::CreatePods(pods) => Some(Op::CreatePodSets { count: count?, prefix: prefix?, pods }),
                    _ => {
                        let span = fields.key_span("createPodsOp");
                        self.reader.error(code::BAD_VALUE, span, "`createPodsOp` is a `createPods`")
                    }
                }
            }
            "createAny" => Some(Op::CreateAny {
                count: self.count_or(&fields, sizes, 1)?,
                namespace: fields.read(&mut self.reader, "namespace", scalar::text).unwrap_or_default(),
                template: fields.get("templatePath").and_then(|tree| self.template(tree))?,
            }),
            "deletePods" => self.delete_pods(&fields).map(Op::DeletePods),
            "churn" => self.churn(&fields).map(Op::Churn),
            "barrier" => self.barrier(&fields).map(Op::Barrier),
            "sleep" => fields.read(&mut self.reader, "duration", scalar::duration).map(Op::Sleep),
            "startCollectingMetrics" => Some(Op::StartMeasuring),
            _ => Some(Op::StopMeasuring),
        }
    }

    /// Which operation it is, and the fields that it has.
    fn opcode(&mut self, tree: &Tree) -> Option<(&'static str, &'static Shape)> {
        let Some(word) = tree.get("opcode") else {
            let help = "every operation says what it is: `opcode: createPods`";
            return self.reader.cure(code::MISSING_FIELD, tree.head_span(), "`opcode` is missing", help);
        };
        let opcode = scalar::name(&mut self.reader, word)?;
        if let Some((name, shape)) = tables::OPS.iter().find(|(name, _)| *name == opcode.as_str()) {
            return Some((name, shape));
        }
        if tables::NOT_HERE.contains(&opcode.as_str()) {
            let help = "take the operation out, or choose another workload";
            let message = format!("`{opcode}` is not carried out here");
            return self.reader.cure(code::BAD_STEP, word.span, message, help);
        }
        let known: Vec<&str> = tables::OPS.iter().map(|(name, _)| *name).collect();
        self.reader.unknown_word(code::BAD_STEP, word.span, ("opcode", &opcode), &known)
    }

    fn count(&mut self, fields: &Fields<'_>, sizes: &[Size]) -> Option<Amount> {
        self.count_or(fields, sizes, 0)
    }

    /// How many; `default` if nothing is said. A parameter has a value in every size.
    fn count_or(&mut self, fields: &Fields<'_>, sizes: &[Size], default: usize) -> Option<Amount> {
        let Some(tree) = fields.get("countParam") else {
            let count = fields.read(&mut self.reader, "count", scalar::integer::<usize>);
            return Some(Amount::Fixed(count.unwrap_or(default)));
        };
        let written = scalar::name(&mut self.reader, tree)?;
        let Some(name) = written.strip_prefix('$').filter(|name| !name.is_empty()) else {
            let help = format!("write `${}`", written.trim_start_matches('$'));
            return self.reader.cure(
                code::BAD_VALUE,
                tree.span,
                format!("`{written}` is no parameter"),
                help,
            );
        };
        if let Some(size) = sizes.iter().find(|size| !size.params.contains_key(name)) {
            let message = format!("workload `{}` gives `{name}` no value", size.name);
            return self.reader.cure(
                code::MISSING_FIELD,
                tree.span,
                message,
                format!("write `{name}` under its `params`"),
            );
        }
        Some(Amount::Param(name.to_owned()))
    }

    fn create_nodes(&mut self, fields: &Fields<'_>, sizes: &[Size]) -> Option<CreateNodes> {
        let template = match fields.get("nodeTemplatePath") {
            Some(tree) => self.template(tree)?,
            None => Template::new(templates::node()),
        };
        let reader = &mut self.reader;
        let mut prepare = fields.read(reader, "nodeAllocatableStrategy", allocatable).unwrap_or_default();
        prepare.label = fields.read(reader, "labelNodePrepareStrategy", |reader, tree| {
            let fields = Fields::open(reader, tree, &tables::LABELS)?;
            let key = fields.read(reader, "labelKey", scalar::name)?;
            Some((key, fields.each(reader, "labelValues", scalar::text)))
        });
        prepare.unique_label = fields.read(reader, "uniqueNodeLabelStrategy", |reader, tree| {
            Fields::open(reader, tree, &tables::UNIQUE)?.read(reader, "labelKey", scalar::name)
        });
        Some(CreateNodes { count: self.count(fields, sizes)?, template, prepare })
    }

    fn create_pods(
        &mut self,
        fields: &Fields<'_>,
        default: Option<&Template>,
        sizes: &[Size],
    ) -> Option<CreatePods> {
        let template = match fields.get("podTemplatePath") {
            Some(tree) => self.template(tree)?,
            None => default.cloned().unwrap_or_else(|| Template::new(templates::pod(serde_json::json!({})))),
        };
        let volume = fields.get("persistentVolumeTemplatePath").map(|tree| self.template(tree));
        let claim = fields.get("persistentVolumeClaimTemplatePath").map(|tree| self.template(tree));
        let volumes = match (volume, claim) {
            (Some(volume), Some(claim)) => Some((volume?, claim?)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let message = "a volume needs the template of a claim, and a claim that of a volume";
                return self.reader.error(code::MISSING_FIELD, fields.span(), message);
            }
        };
        let count = self.count(fields, sizes)?;
        let reader = &mut self.reader;
        let flag =
            |reader: &mut Reader<'_>, name| fields.read(reader, name, scalar::boolean).unwrap_or(false);
        let steady = flag(reader, "steadyState");
        let duration = fields.read(reader, "duration", scalar::duration);
        let pods = CreatePods {
            count,
            template,
            namespace: fields.read(reader, "namespace", scalar::name),
            measured: flag(reader, "collectMetrics"),
            goes_on: flag(reader, "skipWaitToCompletion"),
            volumes,
            steady: steady.then_some(duration.unwrap_or(SimDuration::ZERO)),
        };
        if pods.goes_on && (pods.measured || steady) {
            let with = if steady { "steadyState" } else { "collectMetrics" };
            let message = format!("`skipWaitToCompletion` and `{with}` exclude one another");
            return self.reader.error(code::CHOICE, fields.key_span("skipWaitToCompletion"), message);
        }
        Some(pods)
    }

    fn delete_pods(&mut self, fields: &Fields<'_>) -> Option<DeletePods> {
        let reader = &mut self.reader;
        Some(DeletePods {
            namespace: fields.read(reader, "namespace", scalar::name)?,
            labels: fields.read(reader, "labelSelector", scalar::labels).unwrap_or_default(),
            per_second: fields.read(reader, "deletePodsPerSecond", scalar::integer::<usize>).unwrap_or(0),
            goes_on: fields.read(reader, "skipWaitToCompletion", scalar::boolean).unwrap_or(false),
        })
    }

    fn churn(&mut self, fields: &Fields<'_>) -> Option<Churn> {
        let mode = fields.get("mode")?;
        let mode = scalar::word(&mut self.reader, mode, fields.words("mode")?)?;
        let mut templates = Vec::new();
        for path in
            fields.get("templatePaths").map(|list| self.reader.elements(list, "path")).unwrap_or_default()
        {
            templates.extend(self.template(path));
        }
        let reader = &mut self.reader;
        let interval = fields.read(reader, "intervalMilliseconds", scalar::integer::<u64>);
        let churn = Churn {
            recreate: mode == "recreate",
            number: fields.read(reader, "number", scalar::integer::<usize>).unwrap_or(0),
            interval: SimDuration::from_millis(interval.unwrap_or(CHURN_INTERVAL_MILLIS).max(1)),
            namespace: fields.read(reader, "namespace", scalar::name),
            templates,
        };
        if churn.recreate && churn.number == 0 {
            let message = "`recreate` needs a `number` of rounds";
            return self.reader.cure(
                code::OUT_OF_RANGE,
                fields.key_span("number"),
                message,
                "write `number: 1`",
            );
        }
        Some(churn)
    }

    fn barrier(&mut self, fields: &Fields<'_>) -> Option<Barrier> {
        let reader = &mut self.reader;
        let stage = match fields.get("stageRequirement") {
            Some(tree) => scalar::word(reader, tree, fields.words("stageRequirement")?)?,
            None => "Scheduled",
        };
        Some(Barrier {
            namespaces: fields.each(reader, "namespaces", scalar::name),
            labels: fields.read(reader, "labelSelector", scalar::labels).unwrap_or_default(),
            attempted: stage == "Attempted",
        })
    }
}

fn allocatable(reader: &mut Reader<'_>, tree: &Tree) -> Option<Prepare> {
    let fields = Fields::open(reader, tree, &tables::ALLOCATABLE)?;
    let resources = fields.read(reader, "nodeAllocatable", scalar::labels).unwrap_or_default();
    let mut prepare = Prepare {
        allocatable: resources.iter().map(|(name, amount)| (name.clone(), amount.clone())).collect(),
        migrated: fields.each(reader, "migratedPlugins", scalar::name),
        ..Prepare::default()
    };
    if let Some(drivers) = fields.get("csiNodeAllocatable") {
        for (key, tree) in reader.entries(drivers, "drivers by name") {
            let Some(driver) = Fields::open(reader, tree, &tables::DRIVER) else { continue };
            if let Some(count) = driver.read(reader, "count", scalar::integer::<i32>) {
                prepare.drivers.push((Str::from(key.text.as_str()), count));
            }
        }
    }
    Some(prepare)
}
