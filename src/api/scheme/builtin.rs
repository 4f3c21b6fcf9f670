//! The builtin rows.

use std::borrow::Cow;

use super::Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
use super::{Conversion, GroupVersionKind, Name, Resource, Scope, Storage, Strategy, Subresource, Verb};
use crate::schema::Root;
use crate::{autoscaling, events, strategies};

/// What can be done to most resources, in the order of discovery.
const ALL: &[Verb] = &[Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch];
/// Namespaces are not removed by the collection.
const ONE_BY_ONE: &[Verb] = &[Create, Delete, Get, List, Patch, Update, Watch];
/// What can be done to a part of an object.
const PART: &[Verb] = &[Get, Patch, Update];

/// A row as it is written down; what follows from the rest is left out.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    scope: Scope,
    verbs: &'static [Verb],
    subresources: &'static [Part],
    is_stored: bool,
    /// The group of the row as whose objects it is stored, if not as its own, and how.
    stored_as: Option<(&'static str, Conversion)>,
    strategy: fn() -> Strategy,
}

/// A subresource as it is written down.
enum Part {
    /// A part of the object: `status`.
    Own(&'static str, &'static [Verb]),
    /// Something else, with its group, version and kind.
    Other(&'static str, [&'static str; 3], &'static [Verb]),
}

/// Most rows of the core group.
const CORE: Row = Row {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: ALL,
    subresources: &[],
    is_stored: true,
    stored_as: None,
    strategy: || Strategy::DEFAULT,
};

const STATUS: &[Part] = &[Part::Own("status", PART)];
/// What makes pods as many as it is told to.
const SCALED: &[Part] = &[Part::Other("scale", ["autoscaling", "v1", "Scale"], PART), Part::Own("status", PART)];

/// Most rows of `apps`.
const APPS: Row = Row { group: "apps", categories: &["all"], ..CORE };
/// Rows of `networking.k8s.io`.
const NETWORKING: Row = Row { group: "networking.k8s.io", ..CORE };
/// Rows of `storage.k8s.io`.
const STORAGE: Row = Row { group: "storage.k8s.io", ..CORE };
/// Rows of `admissionregistration.k8s.io`.
const ADMISSION: Row =
    Row { group: "admissionregistration.k8s.io", categories: &["api-extensions"], scope: Scope::Cluster, ..CORE };
/// Rows of `resource.k8s.io`.
const DEVICES: Row = Row { group: "resource.k8s.io", ..CORE };
/// Rows of `flowcontrol.apiserver.k8s.io`.
const FLOW: Row = Row { group: "flowcontrol.apiserver.k8s.io", scope: Scope::Cluster, subresources: STATUS, ..CORE };
/// Rows of `rbac.authorization.k8s.io`.
const ACCESS: Row = Row { group: "rbac.authorization.k8s.io", ..CORE };
/// What is asked and answered.
const REVIEW: Row =
    Row { verbs: &[Create], scope: Scope::Cluster, is_stored: false, strategy: strategies::review, ..CORE };
const ACCESS_REVIEW: Row = Row { group: "authorization.k8s.io", ..REVIEW };
/// Rows of `autoscaling`.
const AUTOSCALER: Row = Row {
    group: "autoscaling",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: STATUS,
    ..CORE
};
/// Most rows of `batch`.
const BATCH: Row = Row { group: "batch", categories: &["all"], ..CORE };

/// The rows in the order of discovery: groups as upstream ranks them, resources by name.
const ROWS: &[Row] = &[
    Row {
        kind: "Binding",
        plural: "bindings",
        verbs: &[Create],
        is_stored: false,
        strategy: strategies::review,
        ..CORE
    },
    Row { kind: "ConfigMap", plural: "configmaps", short_names: &["cm"], strategy: strategies::config_map, ..CORE },
    Row { kind: "Endpoints", plural: "endpoints", short_names: &["ep"], strategy: strategies::endpoints, ..CORE },
    Row { kind: "Event", plural: "events", short_names: &["ev"], strategy: strategies::event, ..CORE },
    Row {
        kind: "LimitRange",
        plural: "limitranges",
        short_names: &["limits"],
        strategy: strategies::limit_range,
        ..CORE
    },
    Row {
        kind: "Namespace",
        plural: "namespaces",
        short_names: &["ns"],
        scope: Scope::Cluster,
        verbs: ONE_BY_ONE,
        subresources: &[Part::Own("finalize", &[Update]), Part::Own("status", PART)],
        strategy: strategies::namespace,
        ..CORE
    },
    Row {
        kind: "Node",
        plural: "nodes",
        short_names: &["no"],
        scope: Scope::Cluster,
        subresources: STATUS,
        strategy: strategies::node,
        ..CORE
    },
    Row {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        short_names: &["pvc"],
        subresources: STATUS,
        strategy: strategies::persistent_volume_claim,
        ..CORE
    },
    Row {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        short_names: &["pv"],
        scope: Scope::Cluster,
        subresources: STATUS,
        strategy: strategies::persistent_volume,
        ..CORE
    },
    Row {
        kind: "Pod",
        plural: "pods",
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            Part::Other("attach", ["", "v1", "PodAttachOptions"], &[Create, Get]),
            Part::Other("binding", ["", "v1", "Binding"], &[Create]),
            Part::Other("eviction", ["policy", "v1", "Eviction"], &[Create]),
            Part::Own("log", &[Get]),
            Part::Own("status", PART),
        ],
        strategy: strategies::pod,
        ..CORE
    },
    Row { kind: "PodTemplate", plural: "podtemplates", strategy: strategies::pod_template, ..CORE },
    Row {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        short_names: &["rc"],
        categories: &["all"],
        subresources: SCALED,
        strategy: strategies::replication_controller,
        ..CORE
    },
    Row {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        short_names: &["quota"],
        subresources: STATUS,
        strategy: strategies::resource_quota,
        ..CORE
    },
    Row { kind: "Secret", plural: "secrets", strategy: strategies::secret, ..CORE },
    Row {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        short_names: &["sa"],
        subresources: &[Part::Other("token", ["authentication.k8s.io", "v1", "TokenRequest"], &[Create])],
        strategy: strategies::service_account,
        ..CORE
    },
    Row {
        kind: "Service",
        plural: "services",
        short_names: &["svc"],
        categories: &["all"],
        subresources: STATUS,
        strategy: strategies::service,
        ..CORE
    },
    Row {
        group: "apiregistration.k8s.io",
        kind: "APIService",
        plural: "apiservices",
        categories: &["api-extensions"],
        scope: Scope::Cluster,
        subresources: STATUS,
        strategy: strategies::api_service,
        ..CORE
    },
    Row {
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        categories: &[],
        strategy: strategies::controller_revision,
        ..APPS
    },
    Row {
        kind: "DaemonSet",
        plural: "daemonsets",
        short_names: &["ds"],
        subresources: STATUS,
        strategy: strategies::daemon_set,
        ..APPS
    },
    Row {
        kind: "Deployment",
        plural: "deployments",
        short_names: &["deploy"],
        subresources: SCALED,
        strategy: strategies::deployment,
        ..APPS
    },
    Row {
        kind: "ReplicaSet",
        plural: "replicasets",
        short_names: &["rs"],
        subresources: SCALED,
        strategy: strategies::replica_set,
        ..APPS
    },
    Row {
        kind: "StatefulSet",
        plural: "statefulsets",
        short_names: &["sts"],
        subresources: SCALED,
        strategy: strategies::stateful_set,
        ..APPS
    },
    Row {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        short_names: &["ev"],
        stored_as: Some(("", Conversion::Functions { to_storage: events::to_core, from_storage: events::from_core })),
        strategy: strategies::events_event,
        ..CORE
    },
    Row { group: "authentication.k8s.io", kind: "SelfSubjectReview", plural: "selfsubjectreviews", ..REVIEW },
    Row { group: "authentication.k8s.io", kind: "TokenReview", plural: "tokenreviews", ..REVIEW },
    Row {
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        scope: Scope::Namespaced,
        ..ACCESS_REVIEW
    },
    Row { kind: "SelfSubjectAccessReview", plural: "selfsubjectaccessreviews", ..ACCESS_REVIEW },
    Row { kind: "SelfSubjectRulesReview", plural: "selfsubjectrulesreviews", ..ACCESS_REVIEW },
    Row { kind: "SubjectAccessReview", plural: "subjectaccessreviews", ..ACCESS_REVIEW },
    Row { version: "v2", strategy: strategies::autoscaler, ..AUTOSCALER },
    Row {
        version: "v1",
        stored_as: Some((
            "autoscaling",
            Conversion::Functions { to_storage: autoscaling::to_v2, from_storage: autoscaling::to_v1 },
        )),
        strategy: strategies::autoscaler_v1,
        ..AUTOSCALER
    },
    Row {
        kind: "CronJob",
        plural: "cronjobs",
        short_names: &["cj"],
        subresources: STATUS,
        strategy: strategies::cron_job,
        ..BATCH
    },
    Row { kind: "Job", plural: "jobs", subresources: STATUS, strategy: strategies::job, ..BATCH },
    Row {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        plural: "certificatesigningrequests",
        short_names: &["csr"],
        scope: Scope::Cluster,
        subresources: &[Part::Own("approval", PART), Part::Own("status", PART)],
        strategy: strategies::certificate_signing_request,
        ..CORE
    },
    Row {
        kind: "IngressClass",
        plural: "ingressclasses",
        scope: Scope::Cluster,
        strategy: strategies::ingress_class,
        ..NETWORKING
    },
    Row {
        kind: "Ingress",
        plural: "ingresses",
        short_names: &["ing"],
        subresources: STATUS,
        strategy: strategies::ingress,
        ..NETWORKING
    },
    Row {
        kind: "IPAddress",
        plural: "ipaddresses",
        short_names: &["ip"],
        scope: Scope::Cluster,
        strategy: strategies::ip_address,
        ..NETWORKING
    },
    Row {
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        short_names: &["netpol"],
        strategy: strategies::network_policy,
        ..NETWORKING
    },
    Row {
        kind: "ServiceCIDR",
        plural: "servicecidrs",
        scope: Scope::Cluster,
        subresources: STATUS,
        strategy: strategies::service_cidr,
        ..NETWORKING
    },
    Row {
        group: "policy",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        short_names: &["pdb"],
        subresources: STATUS,
        strategy: strategies::pod_disruption_budget,
        ..CORE
    },
    Row {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        scope: Scope::Cluster,
        strategy: strategies::cluster_role_binding,
        ..ACCESS
    },
    Row {
        kind: "ClusterRole",
        plural: "clusterroles",
        scope: Scope::Cluster,
        strategy: strategies::cluster_role,
        ..ACCESS
    },
    Row { kind: "RoleBinding", plural: "rolebindings", strategy: strategies::role_binding, ..ACCESS },
    Row { kind: "Role", plural: "roles", strategy: strategies::role, ..ACCESS },
    Row { kind: "CSIDriver", plural: "csidrivers", scope: Scope::Cluster, strategy: strategies::csi_driver, ..STORAGE },
    Row { kind: "CSINode", plural: "csinodes", scope: Scope::Cluster, strategy: strategies::csi_node, ..STORAGE },
    Row {
        kind: "CSIStorageCapacity",
        plural: "csistoragecapacities",
        strategy: strategies::csi_storage_capacity,
        ..STORAGE
    },
    Row {
        kind: "StorageClass",
        plural: "storageclasses",
        short_names: &["sc"],
        scope: Scope::Cluster,
        strategy: strategies::storage_class,
        ..STORAGE
    },
    Row {
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        scope: Scope::Cluster,
        subresources: STATUS,
        strategy: strategies::volume_attachment,
        ..STORAGE
    },
    Row {
        kind: "VolumeAttributesClass",
        plural: "volumeattributesclasses",
        short_names: &["vac"],
        scope: Scope::Cluster,
        strategy: strategies::volume_attributes_class,
        ..STORAGE
    },
    Row {
        kind: "MutatingAdmissionPolicy",
        plural: "mutatingadmissionpolicies",
        strategy: strategies::mutating_admission_policy,
        ..ADMISSION
    },
    Row {
        kind: "MutatingAdmissionPolicyBinding",
        plural: "mutatingadmissionpolicybindings",
        strategy: strategies::mutating_admission_policy_binding,
        ..ADMISSION
    },
    Row {
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        strategy: strategies::mutating_webhook_configuration,
        ..ADMISSION
    },
    Row {
        kind: "ValidatingAdmissionPolicy",
        plural: "validatingadmissionpolicies",
        subresources: STATUS,
        strategy: strategies::validating_admission_policy,
        ..ADMISSION
    },
    Row {
        kind: "ValidatingAdmissionPolicyBinding",
        plural: "validatingadmissionpolicybindings",
        strategy: strategies::validating_admission_policy_binding,
        ..ADMISSION
    },
    Row {
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
        strategy: strategies::validating_webhook_configuration,
        ..ADMISSION
    },
    Row {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        scope: Scope::Cluster,
        subresources: STATUS,
        strategy: strategies::custom_resource_definition,
        ..CORE
    },
    Row {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        plural: "priorityclasses",
        short_names: &["pc"],
        scope: Scope::Cluster,
        strategy: strategies::priority_class,
        ..CORE
    },
    Row { group: "coordination.k8s.io", kind: "Lease", plural: "leases", strategy: strategies::lease, ..CORE },
    Row {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        plural: "runtimeclasses",
        scope: Scope::Cluster,
        strategy: strategies::runtime_class,
        ..CORE
    },
    Row {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        strategy: strategies::endpoint_slice,
        ..CORE
    },
    Row {
        kind: "DeviceClass",
        plural: "deviceclasses",
        scope: Scope::Cluster,
        strategy: strategies::device_class,
        ..DEVICES
    },
    Row {
        kind: "ResourceClaim",
        plural: "resourceclaims",
        subresources: STATUS,
        strategy: strategies::resource_claim,
        ..DEVICES
    },
    Row {
        kind: "ResourceClaimTemplate",
        plural: "resourceclaimtemplates",
        strategy: strategies::resource_claim_template,
        ..DEVICES
    },
    Row {
        kind: "ResourceSlice",
        plural: "resourceslices",
        scope: Scope::Cluster,
        strategy: strategies::resource_slice,
        ..DEVICES
    },
    Row { kind: "FlowSchema", plural: "flowschemas", strategy: strategies::flow_schema, ..FLOW },
    Row {
        kind: "PriorityLevelConfiguration",
        plural: "prioritylevelconfigurations",
        strategy: strategies::priority_level_configuration,
        ..FLOW
    },
];

/// How many rows are written down.
#[cfg(test)]
pub(super) const COUNT: usize = ROWS.len();

/// The rows as the scheme holds them. A row whose type the schema lacks is left out, which a test finds.
pub(super) fn rows() -> Vec<Resource> {
    ROWS.iter().filter_map(Row::resource).collect()
}

impl Row {
    fn resource(&self) -> Option<Resource> {
        let own = GroupVersionKind::new(self.group, self.version, self.kind);
        let part = |part: &Part| match *part {
            Part::Own(name, verbs) => Subresource { name: name.into(), kind: own.clone(), verbs },
            Part::Other(name, [group, version, kind], verbs) => {
                Subresource { name: name.into(), kind: GroupVersionKind::new(group, version, kind), verbs }
            }
        };
        Some(Resource {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            list_kind: format!("{}List", self.kind).into(),
            plural: self.plural.into(),
            singular: self.kind.to_lowercase().into(),
            short_names: names(self.short_names),
            categories: names(self.categories),
            scope: self.scope,
            verbs: self.verbs,
            subresources: self.subresources.iter().map(part).collect(),
            is_stored: self.is_stored,
            storage: Storage {
                group: self.stored_as.as_ref().map_or(self.group, |(group, _)| group).into(),
                plural: self.plural.into(),
            },
            conversion: self.stored_as.as_ref().map(|(_, conversion)| conversion.clone()),
            schema: Root::builtin(&own.definition_name())?,
            strategy: (self.strategy)(),
            custom: None,
        })
    }
}

fn names(words: &'static [&'static str]) -> Vec<Name> {
    words.iter().map(|word| Cow::Borrowed(*word)).collect()
}
