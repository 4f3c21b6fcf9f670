//! What extends the API: webhooks and policies that look at requests, and definitions of kinds.

use super::prepare;
use crate::defaults;
use crate::names::NameRule;
use crate::printers::{access, extensions, flow_control};
use crate::scheme::Strategy;
use crate::validation;
use crate::validation::admission_registration::{self, bindings, policies, webhooks};
use crate::validation::{api_service, crd};

/// Webhooks or a policy: what is wrong with it may keep objects from being written, so an update says which version it
/// knows.
fn admission() -> Strategy {
    Strategy {
        has_generation: true,
        allows_unconditional_update: false,
        prepare_create: prepare::first_generation,
        prepare_update: prepare::count_spec,
        warnings: admission_registration::warnings,
        ..Strategy::DEFAULT
    }
}

/// `admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration`
#[must_use]
pub fn validating_webhook_configuration() -> Strategy {
    Strategy {
        defaults: defaults::extensions::validating_webhooks,
        prepare_update: prepare::count_webhooks,
        columns: extensions::WEBHOOKS,
        cells: extensions::webhooks,
        validate: webhooks::configuration,
        validate_update: webhooks::configuration_update,
        ..admission()
    }
}

/// `admissionregistration.k8s.io/v1 MutatingWebhookConfiguration`
#[must_use]
pub fn mutating_webhook_configuration() -> Strategy {
    Strategy { defaults: defaults::extensions::mutating_webhooks, ..validating_webhook_configuration() }
}

/// `admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy`
#[must_use]
pub fn validating_admission_policy() -> Strategy {
    Strategy {
        defaults: defaults::extensions::policy,
        prepare_create: prepare::new_workload,
        prepare_update: prepare::keep_status_and_count,
        prepare_status: prepare::keep_spec_and_metadata,
        status_resets: &[&["f:spec"], &["f:metadata"]],
        columns: extensions::VALIDATING_POLICY,
        cells: extensions::validating_policy,
        validate: policies::validating,
        validate_update: policies::validating_update,
        validate_status: policies::validating_status,
        ..admission()
    }
}

/// `admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding`
#[must_use]
pub fn validating_admission_policy_binding() -> Strategy {
    Strategy {
        defaults: defaults::extensions::policy_binding,
        columns: extensions::POLICY_BINDING,
        cells: extensions::policy_binding,
        validate: bindings::validating,
        validate_update: bindings::validating_update,
        ..admission()
    }
}

/// `admissionregistration.k8s.io/v1 MutatingAdmissionPolicy`
#[must_use]
pub fn mutating_admission_policy() -> Strategy {
    Strategy {
        defaults: defaults::extensions::policy,
        columns: extensions::MUTATING_POLICY,
        cells: extensions::mutating_policy,
        validate: policies::mutating,
        validate_update: policies::mutating_update,
        ..admission()
    }
}

/// `admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding`
#[must_use]
pub fn mutating_admission_policy_binding() -> Strategy {
    Strategy {
        validate: bindings::mutating,
        validate_update: bindings::mutating_update,
        ..validating_admission_policy_binding()
    }
}

/// `apiextensions.k8s.io/v1 CustomResourceDefinition`
#[must_use]
pub fn custom_resource_definition() -> Strategy {
    Strategy {
        has_generation: true,
        allows_unconditional_update: false,
        defaults: defaults::extensions::definition,
        prepare_create: prepare::new_definition,
        prepare_update: prepare::changed_definition,
        prepare_status: prepare::definition_status,
        status_resets: &[&["f:spec"], &["f:metadata"]],
        columns: access::CREATED_AT,
        cells: access::created_at,
        validate: crd::definition,
        validate_update: crd::definition_update,
        validate_status: crd::definition_status,
        warnings: crd::warnings,
        ..Strategy::DEFAULT
    }
}

/// `apiregistration.k8s.io/v1 APIService`
#[must_use]
pub fn api_service() -> Strategy {
    Strategy {
        name: NameRule::PathSegment,
        allows_unconditional_update: false,
        defaults: defaults::extensions::api_service,
        prepare_create: prepare::new_api_service,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec_and_metadata,
        status_resets: &[&["f:spec"], &["f:metadata"]],
        columns: extensions::API_SERVICE,
        cells: extensions::api_service,
        validate: api_service::api_service,
        validate_update: api_service::api_service_update,
        validate_status: api_service::api_service_status,
        ..Strategy::DEFAULT
    }
}

/// What tells which requests wait for which.
fn flow() -> Strategy {
    Strategy {
        has_generation: true,
        allows_unconditional_update: false,
        prepare_create: prepare::new_workload,
        prepare_update: prepare::keep_status_and_count,
        prepare_status: prepare::keep_spec_and_metadata,
        status_resets: &[&["f:spec"], &["f:metadata"]],
        validate_status: validation::flow_control::status_update,
        ..Strategy::DEFAULT
    }
}

/// `flowcontrol.apiserver.k8s.io/v1 FlowSchema`
#[must_use]
pub fn flow_schema() -> Strategy {
    Strategy {
        defaults: defaults::flow_control::flow_schema,
        columns: flow_control::FLOW_SCHEMA,
        cells: flow_control::flow_schema,
        validate: validation::flow_control::flow_schema,
        validate_update: validation::flow_control::flow_schema_update,
        ..flow()
    }
}

/// `flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration`
#[must_use]
pub fn priority_level_configuration() -> Strategy {
    Strategy {
        defaults: defaults::flow_control::priority_level,
        columns: flow_control::PRIORITY_LEVEL,
        cells: flow_control::priority_level,
        validate: validation::flow_control::priority_level,
        validate_update: validation::flow_control::priority_level_update,
        ..flow()
    }
}
