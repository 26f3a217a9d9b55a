//! Makes the objects of a workload.

use serde_json::{Value, json};

use super::template::{Template, object};
use super::workload::{CreateNodes, CreatePods, Prepare};
use crate::api::{Kind, Labels, Object, Pod, node::HOSTNAME_LABEL};
use crate::base::{Arc, Str};

/// Nodes with their labels, each followed by its CSINode if it has drivers. `serial` numbers names that are made.
///
/// # Errors
/// What is wrong with them.
pub fn nodes(op: &CreateNodes, count: usize, serial: &mut usize) -> Result<Vec<Object>, String> {
    let prepare = &op.prepare;
    let mut all = Vec::new();
    for index in 0..count {
        let mut manifest = op.template.manifest(index, count);
        *serial += 1;
        let name = Template::name(&manifest, *serial);
        label(&mut manifest, HOSTNAME_LABEL, &name);
        if let Some((key, values)) = prepare.label.as_ref().filter(|(_, values)| !values.is_empty()) {
            label(&mut manifest, key, &values[index % values.len()]);
        }
        if let Some(key) = &prepare.unique_label {
            label(&mut manifest, key, &index.to_string());
        }
        if !prepare.allocatable.is_empty() {
            let mut have = manifest["status"]["capacity"].clone();
            for (resource, amount) in &prepare.allocatable {
                have[resource.as_str()] = json!(amount.as_str());
            }
            manifest["status"]["allocatable"] = have;
        }
        all.push(object(manifest, "", &name)?);
        if !prepare.drivers.is_empty() || !prepare.migrated.is_empty() {
            all.push(object(csi_node(prepare), "", &name)?);
        }
    }
    Ok(all)
}

fn label(manifest: &mut Value, key: &str, value: &str) {
    if !manifest["metadata"]["labels"].is_object() {
        manifest["metadata"]["labels"] = json!({});
    }
    manifest["metadata"]["labels"][key] = json!(value);
}

/// An object of any kind, in the namespace if its kind lives in one.
///
/// # Errors
/// What is wrong with it.
pub fn any(manifest: Value, namespace: &str, name: &str) -> Result<Object, String> {
    let scope = if is_cluster_scoped(&manifest) { "" } else { namespace };
    object(manifest, scope, name)
}

/// Whether objects of the manifest's kind live outside namespaces.
fn is_cluster_scoped(manifest: &Value) -> bool {
    let kind = manifest["kind"].as_str().and_then(Kind::parse);
    kind.is_some_and(|kind| !kind.info().namespaced)
}

fn csi_node(prepare: &Prepare) -> Value {
    let drivers: Vec<Value> = prepare
        .drivers
        .iter()
        .map(|(name, count)| json!({"name": name.as_str(), "nodeID": name.as_str(), "allocatable": {"count": count}}))
        .collect();
    let migrated: Vec<&str> = prepare.migrated.iter().map(Str::as_str).collect();
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
        "metadata": {"annotations": {"storage.alpha.kubernetes.io/migrated-plugins": migrated.join(",")}},
        "spec": {"drivers": drivers},
    })
}

/// Makes the Pods of one operation; those of one form share their spec.
pub struct PodMaker<'p> {
    pods: &'p CreatePods,
    namespace: Str,
    count: usize,
    forms: Vec<Pod>,
}

impl<'p> PodMaker<'p> {
    /// Reads the forms of the Pods.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(pods: &'p CreatePods, namespace: &Str, count: usize) -> Result<Self, String> {
        let mut forms = Vec::new();
        for index in 0..pods.template.forms() {
            match object(pods.template.manifest(index, count), namespace, "form")? {
                Object::Pod(pod) => forms.push(Pod::clone(&pod)),
                other => return Err(format!("the template of Pods is one of {}", other.kind_name())),
            }
        }
        Ok(Self { pods, namespace: namespace.clone(), count, forms })
    }

    /// Labels of the first form.
    pub fn labels(&self) -> Labels {
        self.forms.first().map(|pod| pod.meta.labels.clone()).unwrap_or_default()
    }

    /// A Pod, and what it needs beside.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn make(&mut self, index: usize, serial: usize) -> Result<(Vec<Object>, Pod), String> {
        if self.pods.volumes.is_some() || self.pods.template.is_indexed() {
            return self.make_of_its_own(index, serial);
        }
        let mut pod = self.forms[index % self.forms.len()].clone();
        let prefix = pod.meta.generate_name.as_str();
        pod.meta.name = format!("{}{serial}", if prefix.is_empty() { "pod-" } else { prefix }).into();
        pod.meta.uid = format!("Pod.{}.{}", self.namespace, pod.meta.name).into();
        Ok((Vec::new(), pod))
    }

    /// A Pod whose spec is like no other's.
    ///
    /// Upstream: `test/utils/runners.go` `CreatePodWithPersistentVolume`, v1.34.
    fn make_of_its_own(&self, index: usize, serial: usize) -> Result<(Vec<Object>, Pod), String> {
        let mut manifest = self.pods.template.manifest(index, self.count);
        let mut objects = Vec::new();
        if let Some((volume, claim)) = &self.pods.volumes {
            let claim_name = format!("pvc-{serial}");
            let volume_name = format!("{}-pv-{serial}", self.namespace);
            let mut pvc = claim.manifest(index, self.count);
            pvc["spec"]["volumeName"] = json!(volume_name);
            pvc["status"] = json!({"phase": "Bound"});
            let mut pv = volume.manifest(index, self.count);
            pv["spec"]["claimRef"] = json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1",
                "namespace": self.namespace.as_str(), "name": claim_name});
            pv["status"] = json!({"phase": "Bound"});
            for (source, handle) in [("csi", "volumeHandle"), ("awsElasticBlockStore", "volumeID")] {
                if pv["spec"][source].is_object() {
                    pv["spec"][source][handle] = json!(volume_name);
                }
            }
            objects.push(object(pvc, &self.namespace, &claim_name)?);
            objects.push(object(pv, "", &volume_name)?);
            manifest["spec"]["volumes"] =
                json!([{"name": "vol", "persistentVolumeClaim": {"claimName": claim_name}}]);
        }
        let name = Template::name(&manifest, serial);
        match object(manifest, &self.namespace, &name)? {
            Object::Pod(pod) => Ok((objects, Arc::unwrap_or_clone(pod))),
            other => Err(format!("the template of Pods is one of {}", other.kind_name())),
        }
    }
}
