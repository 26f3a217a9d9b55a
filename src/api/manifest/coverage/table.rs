//! The table: every field of every kind that plays a part in the simulation.

use super::Coverage::{NoEffect, NotSimulated, Simulated};
use super::{KindCoverage, Row, Section};

macro_rules! sections {
    ($($name:ident = $title:literal { $($path:literal => $coverage:ident,)* })*) => {
        $(const $name: Section = Section { title: $title, rows: { const ROWS: &[Row] = &[$(($path, $coverage),)*]; ROWS } };)*
        /// All sections in the order of the page.
        pub(super) const SECTIONS: &[&Section] = &[$(&$name,)*];
    };
}

sections! {
    META = "Metadata of all kinds" {
        "apiVersion" => Simulated,
        "kind" => Simulated,
        "metadata.annotations" => Simulated,
        "metadata.creationTimestamp" => Simulated,
        "metadata.deletionGracePeriodSeconds" => Simulated,
        "metadata.deletionTimestamp" => Simulated,
        "metadata.finalizers" => Simulated,
        "metadata.generateName" => Simulated,
        "metadata.generation" => NoEffect,
        "metadata.labels" => Simulated,
        "metadata.managedFields" => NoEffect,
        "metadata.name" => Simulated,
        "metadata.namespace" => Simulated,
        "metadata.ownerReferences" => Simulated,
        "metadata.resourceVersion" => NoEffect,
        "metadata.selfLink" => NoEffect,
        "metadata.uid" => Simulated,
    }
    POD_SPEC = "Pod spec" {
        "activeDeadlineSeconds" => Simulated,
        "affinity" => Simulated,
        "automountServiceAccountToken" => NoEffect,
        "containers" => Simulated,
        "containers[].args" => NoEffect,
        "containers[].command" => NoEffect,
        "containers[].env" => NoEffect,
        "containers[].envFrom" => NoEffect,
        "containers[].lifecycle.postStart" => NotSimulated,
        "containers[].lifecycle.preStop.exec" => NotSimulated,
        "containers[].lifecycle.preStop.httpGet" => NotSimulated,
        "containers[].lifecycle.preStop.tcpSocket" => NoEffect,
        "containers[].lifecycle.stopSignal" => NoEffect,
        "containers[].resizePolicy" => Simulated,
        "containers[].resources.claims" => NotSimulated,
        "containers[].restartPolicy" => NotSimulated,
        "containers[].restartPolicyRules" => NotSimulated,
        "containers[].securityContext" => NoEffect,
        "containers[].stdin" => NoEffect,
        "containers[].stdinOnce" => NoEffect,
        "containers[].terminationMessagePath" => NoEffect,
        "containers[].terminationMessagePolicy" => NoEffect,
        "containers[].tty" => NoEffect,
        "containers[].volumeDevices" => NoEffect,
        "containers[].volumeMounts" => NoEffect,
        "containers[].workingDir" => NoEffect,
        "dnsConfig" => NotSimulated,
        "dnsPolicy" => NoEffect,
        "enableServiceLinks" => NoEffect,
        "ephemeralContainers" => NotSimulated,
        "hostAliases" => NoEffect,
        "hostIPC" => NotSimulated,
        "hostNetwork" => Simulated,
        "hostPID" => NotSimulated,
        "hostUsers" => NoEffect,
        "hostname" => NoEffect,
        "hostnameOverride" => NoEffect,
        "imagePullSecrets" => NoEffect,
        "initContainers" => Simulated,
        "initContainers[].args" => NoEffect,
        "initContainers[].command" => NoEffect,
        "initContainers[].env" => NoEffect,
        "initContainers[].envFrom" => NoEffect,
        "initContainers[].lifecycle.postStart" => NotSimulated,
        "initContainers[].lifecycle.preStop.exec" => NotSimulated,
        "initContainers[].lifecycle.preStop.httpGet" => NotSimulated,
        "initContainers[].lifecycle.preStop.tcpSocket" => NoEffect,
        "initContainers[].lifecycle.stopSignal" => NoEffect,
        "initContainers[].resizePolicy" => Simulated,
        "initContainers[].resources.claims" => NotSimulated,
        "initContainers[].restartPolicyRules" => NotSimulated,
        "initContainers[].securityContext" => NoEffect,
        "initContainers[].stdin" => NoEffect,
        "initContainers[].stdinOnce" => NoEffect,
        "initContainers[].terminationMessagePath" => NoEffect,
        "initContainers[].terminationMessagePolicy" => NoEffect,
        "initContainers[].tty" => NoEffect,
        "initContainers[].volumeDevices" => NoEffect,
        "initContainers[].volumeMounts" => NoEffect,
        "initContainers[].workingDir" => NoEffect,
        "nodeName" => Simulated,
        "nodeSelector" => Simulated,
        "os" => NoEffect,
        "overhead" => Simulated,
        "preemptionPolicy" => Simulated,
        "priority" => Simulated,
        "priorityClassName" => Simulated,
        "readinessGates" => Simulated,
        "resourceClaims" => NotSimulated,
        "resources" => Simulated,
        "resources.claims" => NotSimulated,
        "restartPolicy" => Simulated,
        "runtimeClassName" => NotSimulated,
        "schedulerName" => Simulated,
        "schedulingGates" => Simulated,
        "securityContext" => NoEffect,
        "serviceAccount" => NoEffect,
        "serviceAccountName" => NoEffect,
        "setHostnameAsFQDN" => NotSimulated,
        "shareProcessNamespace" => NotSimulated,
        "subdomain" => NoEffect,
        "terminationGracePeriodSeconds" => Simulated,
        "tolerations" => Simulated,
        "topologySpreadConstraints" => Simulated,
        "volumes" => Simulated,
        "volumes[].azureFile" => NoEffect,
        "volumes[].cephfs" => NoEffect,
        "volumes[].cinder" => NoEffect,
        "volumes[].downwardAPI" => NoEffect,
        "volumes[].emptyDir.sizeLimit" => NotSimulated,
        "volumes[].fc" => NoEffect,
        "volumes[].flexVolume" => NoEffect,
        "volumes[].flocker" => NoEffect,
        "volumes[].gitRepo" => NoEffect,
        "volumes[].glusterfs" => NoEffect,
        "volumes[].image" => NotSimulated,
        "volumes[].nfs" => NoEffect,
        "volumes[].photonPersistentDisk" => NoEffect,
        "volumes[].portworxVolume" => NoEffect,
        "volumes[].projected" => NoEffect,
        "volumes[].quobyte" => NoEffect,
        "volumes[].scaleIO" => NoEffect,
        "volumes[].storageos" => NoEffect,
        "volumes[].vsphereVolume" => NoEffect,
    }
    TEMPLATE_META = "Metadata of Pod templates" {
        "annotations" => Simulated,
        "creationTimestamp" => NoEffect,
        "deletionGracePeriodSeconds" => NoEffect,
        "deletionTimestamp" => NoEffect,
        "finalizers" => Simulated,
        "generateName" => NoEffect,
        "generation" => NoEffect,
        "labels" => Simulated,
        "managedFields" => NoEffect,
        "name" => NoEffect,
        "namespace" => NoEffect,
        "ownerReferences" => NoEffect,
        "resourceVersion" => NoEffect,
        "selfLink" => NoEffect,
        "uid" => NoEffect,
    }
    POD = "Pod" {
        "status" => Simulated,
        "status.ephemeralContainerStatuses" => NoEffect,
        "status.resourceClaimStatuses" => NoEffect,
    }
    NODE = "Node" {
        "spec.configSource" => NoEffect,
        "spec.externalID" => NoEffect,
        "spec.podCIDR" => Simulated,
        "spec.podCIDRs" => NoEffect,
        "spec.providerID" => Simulated,
        "spec.taints" => Simulated,
        "spec.unschedulable" => Simulated,
        "status.addresses" => Simulated,
        "status.allocatable" => Simulated,
        "status.capacity" => Simulated,
        "status.conditions" => Simulated,
        "status.config" => NoEffect,
        "status.daemonEndpoints" => NoEffect,
        "status.features" => NoEffect,
        "status.images" => Simulated,
        "status.nodeInfo" => NoEffect,
        "status.nodeInfo.kubeletVersion" => Simulated,
        "status.phase" => NoEffect,
        "status.runtimeHandlers" => NoEffect,
        "status.volumesAttached" => Simulated,
        "status.volumesInUse" => Simulated,
    }
    NAMESPACE = "Namespace" {
        "spec" => Simulated,
        "status" => Simulated,
    }
    SERVICE = "Service" {
        "spec.allocateLoadBalancerNodePorts" => NoEffect,
        "spec.clusterIP" => Simulated,
        "spec.clusterIPs" => NoEffect,
        "spec.externalIPs" => NoEffect,
        "spec.externalName" => Simulated,
        "spec.externalTrafficPolicy" => NotSimulated,
        "spec.healthCheckNodePort" => NoEffect,
        "spec.internalTrafficPolicy" => NotSimulated,
        "spec.ipFamilies" => NoEffect,
        "spec.ipFamilyPolicy" => NoEffect,
        "spec.loadBalancerClass" => NoEffect,
        "spec.loadBalancerIP" => NoEffect,
        "spec.loadBalancerSourceRanges" => NoEffect,
        "spec.ports" => Simulated,
        "spec.publishNotReadyAddresses" => Simulated,
        "spec.selector" => Simulated,
        "spec.sessionAffinity" => NoEffect,
        "spec.sessionAffinityConfig" => NotSimulated,
        "spec.trafficDistribution" => NotSimulated,
        "spec.type" => Simulated,
        "status" => Simulated,
    }
    ENDPOINT_SLICE = "EndpointSlice" {
        "addressType" => Simulated,
        "endpoints" => Simulated,
        "endpoints[].deprecatedTopology" => NoEffect,
        "endpoints[].hints" => NotSimulated,
        "endpoints[].hostname" => NoEffect,
        "ports" => Simulated,
    }
    EVENT = "Event" {
        "action" => NoEffect,
        "count" => Simulated,
        "eventTime" => NoEffect,
        "firstTimestamp" => Simulated,
        "involvedObject" => Simulated,
        "lastTimestamp" => Simulated,
        "message" => Simulated,
        "reason" => Simulated,
        "related" => NoEffect,
        "reportingComponent" => NoEffect,
        "reportingInstance" => NoEffect,
        "series" => NoEffect,
        "source" => Simulated,
        "type" => Simulated,
    }
    CLAIM = "PersistentVolumeClaim" {
        "accessModes" => Simulated,
        "dataSource" => Simulated,
        "dataSourceRef" => Simulated,
        "resources" => Simulated,
        "selector" => Simulated,
        "storageClassName" => Simulated,
        "volumeAttributesClassName" => NotSimulated,
        "volumeMode" => Simulated,
        "volumeName" => Simulated,
    }
    STATUS = "Status of other kinds" {
        "status" => Simulated,
    }
    VOLUME = "PersistentVolume" {
        "spec" => Simulated,
        "spec.mountOptions" => NoEffect,
        "spec.volumeAttributesClassName" => NotSimulated,
        "status" => Simulated,
    }
    STORAGE_CLASS = "StorageClass" {
        "allowVolumeExpansion" => Simulated,
        "allowedTopologies" => Simulated,
        "mountOptions" => NoEffect,
        "parameters" => Simulated,
        "provisioner" => Simulated,
        "reclaimPolicy" => Simulated,
        "volumeBindingMode" => Simulated,
    }
    CSI_NODE = "CSINode" {
        "spec" => Simulated,
    }
    CSI_DRIVER = "CSIDriver" {
        "spec.attachRequired" => Simulated,
        "spec.fsGroupPolicy" => NoEffect,
        "spec.nodeAllocatableUpdatePeriodSeconds" => NotSimulated,
        "spec.podInfoOnMount" => NoEffect,
        "spec.requiresRepublish" => NoEffect,
        "spec.seLinuxMount" => NoEffect,
        "spec.storageCapacity" => Simulated,
        "spec.tokenRequests" => NoEffect,
        "spec.volumeLifecycleModes" => NoEffect,
    }
    CSI_CAPACITY = "CSIStorageCapacity" {
        "capacity" => Simulated,
        "maximumVolumeSize" => Simulated,
        "nodeTopology" => Simulated,
        "storageClassName" => Simulated,
    }
    ATTACHMENT = "VolumeAttachment" {
        "spec" => Simulated,
        "spec.source.inlineVolumeSpec" => NotSimulated,
        "status" => Simulated,
    }
    DEPLOYMENT = "Deployment" {
        "minReadySeconds" => Simulated,
        "paused" => Simulated,
        "progressDeadlineSeconds" => Simulated,
        "replicas" => Simulated,
        "revisionHistoryLimit" => Simulated,
        "selector" => Simulated,
        "strategy" => Simulated,
    }
    REPLICA_SET = "ReplicaSet and ReplicationController" {
        "minReadySeconds" => Simulated,
        "replicas" => Simulated,
        "selector" => Simulated,
    }
    STATEFUL_SET = "StatefulSet" {
        "minReadySeconds" => Simulated,
        "ordinals" => Simulated,
        "persistentVolumeClaimRetentionPolicy" => Simulated,
        "podManagementPolicy" => Simulated,
        "replicas" => Simulated,
        "revisionHistoryLimit" => Simulated,
        "selector" => Simulated,
        "serviceName" => Simulated,
        "updateStrategy" => Simulated,
        "updateStrategy.rollingUpdate.maxUnavailable" => NoEffect,
        "volumeClaimTemplates" => Simulated,
    }
    DAEMON_SET = "DaemonSet" {
        "minReadySeconds" => Simulated,
        "revisionHistoryLimit" => Simulated,
        "selector" => Simulated,
        "updateStrategy" => Simulated,
    }
    REVISION = "ControllerRevision" {
        "data" => Simulated,
        "revision" => Simulated,
    }
    JOB = "Job" {
        "activeDeadlineSeconds" => Simulated,
        "backoffLimit" => Simulated,
        "backoffLimitPerIndex" => Simulated,
        "completionMode" => Simulated,
        "completions" => Simulated,
        "managedBy" => Simulated,
        "manualSelector" => Simulated,
        "maxFailedIndexes" => Simulated,
        "parallelism" => Simulated,
        "podFailurePolicy" => Simulated,
        "podReplacementPolicy" => Simulated,
        "selector" => Simulated,
        "successPolicy" => Simulated,
        "suspend" => Simulated,
        "ttlSecondsAfterFinished" => Simulated,
    }
    CRON_JOB = "CronJob" {
        "spec.concurrencyPolicy" => Simulated,
        "spec.failedJobsHistoryLimit" => Simulated,
        "spec.schedule" => Simulated,
        "spec.startingDeadlineSeconds" => Simulated,
        "spec.successfulJobsHistoryLimit" => Simulated,
        "spec.suspend" => Simulated,
        "spec.timeZone" => Simulated,
    }
    AUTOSCALER = "HorizontalPodAutoscaler (v2)" {
        "spec" => Simulated,
        "spec.behavior.scaleDown.tolerance" => Simulated,
        "spec.behavior.scaleUp.tolerance" => Simulated,
        "status" => Simulated,
    }
    AUTOSCALER_V1 = "HorizontalPodAutoscaler (v1)" {
        "spec" => Simulated,
        "status" => Simulated,
    }
    BUDGET = "PodDisruptionBudget" {
        "spec" => Simulated,
        "status" => Simulated,
    }
    PRIORITY_CLASS = "PriorityClass" {
        "description" => NoEffect,
        "globalDefault" => Simulated,
        "preemptionPolicy" => Simulated,
        "value" => Simulated,
    }
    QUOTA = "ResourceQuota" {
        "spec" => Simulated,
        "status" => Simulated,
    }
    LIMITS = "LimitRange" {
        "spec" => Simulated,
    }
    LEASE = "Lease" {
        "spec.acquireTime" => NoEffect,
        "spec.holderIdentity" => Simulated,
        "spec.leaseDurationSeconds" => Simulated,
        "spec.leaseTransitions" => NoEffect,
        "spec.preferredHolder" => NoEffect,
        "spec.renewTime" => Simulated,
        "spec.strategy" => NoEffect,
    }
}

macro_rules! kinds {
    ($($api_version:literal $kind:literal: $($at:literal $section:ident)*;)*) => {
        /// Which sections a kind is made of.
        pub(super) const KINDS: &[KindCoverage] = &[$(KindCoverage {
            api_version: $api_version, kind: $kind, parts: &[("", &META), $(($at, &$section)),*],
        },)*];
    };
}

kinds! {
    "v1" "Pod": "" POD "spec" POD_SPEC;
    "v1" "Node": "" NODE;
    "v1" "Namespace": "" NAMESPACE;
    "v1" "Service": "" SERVICE;
    "v1" "Event": "" EVENT;
    "v1" "PersistentVolume": "" VOLUME;
    "v1" "PersistentVolumeClaim": "spec" CLAIM "" STATUS;
    "v1" "ReplicationController": "spec" REPLICA_SET "spec.template.metadata" TEMPLATE_META "spec.template.spec" POD_SPEC "" STATUS;
    "v1" "ResourceQuota": "" QUOTA;
    "v1" "LimitRange": "" LIMITS;
    "apps/v1" "Deployment": "spec" DEPLOYMENT "spec.template.metadata" TEMPLATE_META "spec.template.spec" POD_SPEC "" STATUS;
    "apps/v1" "ReplicaSet": "spec" REPLICA_SET "spec.template.metadata" TEMPLATE_META "spec.template.spec" POD_SPEC "" STATUS;
    "apps/v1" "StatefulSet": "spec" STATEFUL_SET "spec.template.metadata" TEMPLATE_META "spec.template.spec" POD_SPEC "spec.volumeClaimTemplates[].spec" CLAIM "" STATUS;
    "apps/v1" "DaemonSet": "spec" DAEMON_SET "spec.template.metadata" TEMPLATE_META "spec.template.spec" POD_SPEC "" STATUS;
    "apps/v1" "ControllerRevision": "" REVISION;
    "batch/v1" "Job": "spec" JOB "spec.template.metadata" TEMPLATE_META "spec.template.spec" POD_SPEC "" STATUS;
    "batch/v1" "CronJob": "" CRON_JOB "spec.jobTemplate.metadata" TEMPLATE_META "spec.jobTemplate.spec" JOB "spec.jobTemplate.spec.template.metadata" TEMPLATE_META "spec.jobTemplate.spec.template.spec" POD_SPEC "" STATUS;
    "autoscaling/v2" "HorizontalPodAutoscaler": "" AUTOSCALER;
    "autoscaling/v1" "HorizontalPodAutoscaler": "" AUTOSCALER_V1;
    "policy/v1" "PodDisruptionBudget": "" BUDGET;
    "scheduling.k8s.io/v1" "PriorityClass": "" PRIORITY_CLASS;
    "storage.k8s.io/v1" "StorageClass": "" STORAGE_CLASS;
    "storage.k8s.io/v1" "CSINode": "" CSI_NODE;
    "storage.k8s.io/v1" "CSIDriver": "" CSI_DRIVER;
    "storage.k8s.io/v1" "CSIStorageCapacity": "" CSI_CAPACITY;
    "storage.k8s.io/v1" "VolumeAttachment": "" ATTACHMENT;
    "coordination.k8s.io/v1" "Lease": "" LEASE;
    "discovery.k8s.io/v1" "EndpointSlice": "" ENDPOINT_SLICE;
}
