//! The definitions as k8s-openapi describes them, with descriptions: made anew for whoever asks, so that nobody has to
//! keep them.

use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, coordination, core,
    discovery, events, flowcontrol, networking, node, policy, rbac, resource, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// What references to definitions begin with.
pub(crate) const REFERENCE: &str = "#/components/schemas/";

/// Every definition that a served kind reaches, by name.
pub(crate) fn definitions() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    add_roots(&mut generator);
    generator.take_definitions(false)
}

/// The kinds that bodies hold. A new row in the scheme adds its line here, or below.
fn add_roots(generator: &mut SchemaGenerator) {
    add_extensions(generator);
    generator.subschema_for::<apps::v1::ControllerRevision>();
    generator.subschema_for::<apps::v1::DaemonSet>();
    generator.subschema_for::<apps::v1::Deployment>();
    generator.subschema_for::<apps::v1::ReplicaSet>();
    generator.subschema_for::<apps::v1::StatefulSet>();
    generator.subschema_for::<authentication::v1::SelfSubjectReview>();
    generator.subschema_for::<authentication::v1::TokenRequest>();
    generator.subschema_for::<authentication::v1::TokenReview>();
    generator.subschema_for::<authorization::v1::LocalSubjectAccessReview>();
    generator.subschema_for::<authorization::v1::SelfSubjectAccessReview>();
    generator.subschema_for::<authorization::v1::SelfSubjectRulesReview>();
    generator.subschema_for::<authorization::v1::SubjectAccessReview>();
    generator.subschema_for::<autoscaling::v1::HorizontalPodAutoscaler>();
    generator.subschema_for::<autoscaling::v1::Scale>();
    generator.subschema_for::<autoscaling::v2::HorizontalPodAutoscaler>();
    generator.subschema_for::<batch::v1::CronJob>();
    generator.subschema_for::<batch::v1::Job>();
    generator.subschema_for::<certificates::v1::CertificateSigningRequest>();
    generator.subschema_for::<coordination::v1::Lease>();
    generator.subschema_for::<core::v1::Binding>();
    generator.subschema_for::<core::v1::ConfigMap>();
    generator.subschema_for::<core::v1::Endpoints>();
    generator.subschema_for::<core::v1::Event>();
    generator.subschema_for::<core::v1::LimitRange>();
    generator.subschema_for::<core::v1::Namespace>();
    generator.subschema_for::<core::v1::Node>();
    generator.subschema_for::<core::v1::PersistentVolume>();
    generator.subschema_for::<core::v1::PersistentVolumeClaim>();
    generator.subschema_for::<core::v1::Pod>();
    generator.subschema_for::<core::v1::PodTemplate>();
    generator.subschema_for::<core::v1::ReplicationController>();
    generator.subschema_for::<core::v1::ResourceQuota>();
    generator.subschema_for::<core::v1::Secret>();
    generator.subschema_for::<core::v1::Service>();
    generator.subschema_for::<core::v1::ServiceAccount>();
    generator.subschema_for::<discovery::v1::EndpointSlice>();
    generator.subschema_for::<events::v1::Event>();
    generator.subschema_for::<meta::v1::APIGroup>();
    generator.subschema_for::<meta::v1::APIGroupList>();
    generator.subschema_for::<meta::v1::APIResourceList>();
    generator.subschema_for::<meta::v1::APIVersions>();
    generator.subschema_for::<meta::v1::DeleteOptions>();
    generator.subschema_for::<meta::v1::ListMeta>();
    generator.subschema_for::<meta::v1::Status>();
    generator.subschema_for::<networking::v1::IPAddress>();
    generator.subschema_for::<networking::v1::Ingress>();
    generator.subschema_for::<networking::v1::IngressClass>();
    generator.subschema_for::<networking::v1::NetworkPolicy>();
    generator.subschema_for::<networking::v1::ServiceCIDR>();
    generator.subschema_for::<node::v1::RuntimeClass>();
    generator.subschema_for::<policy::v1::Eviction>();
    generator.subschema_for::<policy::v1::PodDisruptionBudget>();
    generator.subschema_for::<rbac::v1::ClusterRole>();
    generator.subschema_for::<rbac::v1::ClusterRoleBinding>();
    generator.subschema_for::<rbac::v1::Role>();
    generator.subschema_for::<rbac::v1::RoleBinding>();
    generator.subschema_for::<scheduling::v1::PriorityClass>();
    generator.subschema_for::<storage::v1::CSIDriver>();
    generator.subschema_for::<storage::v1::CSINode>();
    generator.subschema_for::<storage::v1::CSIStorageCapacity>();
    generator.subschema_for::<storage::v1::StorageClass>();
    generator.subschema_for::<storage::v1::VolumeAttachment>();
    generator.subschema_for::<storage::v1::VolumeAttributesClass>();
}

/// Kinds about the API itself, and about devices.
fn add_extensions(generator: &mut SchemaGenerator) {
    generator.subschema_for::<admissionregistration::v1::MutatingAdmissionPolicy>();
    generator.subschema_for::<admissionregistration::v1::MutatingAdmissionPolicyBinding>();
    generator.subschema_for::<admissionregistration::v1::MutatingWebhookConfiguration>();
    generator.subschema_for::<admissionregistration::v1::ValidatingAdmissionPolicy>();
    generator.subschema_for::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>();
    generator.subschema_for::<admissionregistration::v1::ValidatingWebhookConfiguration>();
    generator.subschema_for::<apiextensions::v1::CustomResourceDefinition>();
    generator.subschema_for::<apiregistration::v1::APIService>();
    generator.subschema_for::<flowcontrol::v1::FlowSchema>();
    generator.subschema_for::<flowcontrol::v1::PriorityLevelConfiguration>();
    generator.subschema_for::<resource::v1::DeviceClass>();
    generator.subschema_for::<resource::v1::ResourceClaim>();
    generator.subschema_for::<resource::v1::ResourceClaimTemplate>();
    generator.subschema_for::<resource::v1::ResourceSlice>();
}
