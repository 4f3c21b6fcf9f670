//! What extends the API: webhooks and policies that look at requests, and definitions of kinds.

use super::prepare;
use crate::defaults;
use crate::printers::{access, extensions};
use crate::scheme::Strategy;
use crate::validation::admission_registration::{self, bindings, policies, webhooks};
use crate::validation::crd;

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
        prepare_status: prepare::keep_all_but_status,
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
        prepare_status: prepare::keep_spec,
        columns: access::CREATED_AT,
        cells: access::created_at,
        validate: crd::definition,
        validate_update: crd::definition_update,
        validate_status: crd::definition_status,
        warnings: crd::warnings,
        ..Strategy::DEFAULT
    }
}
