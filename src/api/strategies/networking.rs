//! Kinds about what reaches pods, and how many of them stay.

use super::{prepare, workloads};
use crate::defaults;
use crate::names::NameRule;
use crate::printers::networking;
use crate::scheme::Strategy;
use crate::validation;

/// What has no status, and a spec that is counted.
fn counted() -> Strategy {
    Strategy {
        has_generation: true,
        prepare_create: prepare::first_generation,
        prepare_update: prepare::count_spec,
        ..Strategy::DEFAULT
    }
}

/// `networking.k8s.io/v1 Ingress`
#[must_use]
pub fn ingress() -> Strategy {
    Strategy {
        columns: networking::INGRESS,
        cells: networking::ingress,
        validate: validation::networking::ingress,
        validate_update: validation::networking::ingress_update,
        validate_status: validation::networking::ingress_status,
        warnings: |_| Vec::new(),
        ..workloads::workload()
    }
}

/// `networking.k8s.io/v1 IngressClass`
#[must_use]
pub fn ingress_class() -> Strategy {
    Strategy {
        defaults: defaults::networking::ingress_class,
        columns: networking::INGRESS_CLASS,
        cells: networking::ingress_class,
        validate: validation::networking::ingress_class,
        validate_update: validation::networking::ingress_class_update,
        ..counted()
    }
}

/// `networking.k8s.io/v1 NetworkPolicy`
#[must_use]
pub fn network_policy() -> Strategy {
    Strategy {
        defaults: defaults::networking::network_policy,
        columns: networking::NETWORK_POLICY,
        cells: networking::network_policy,
        validate: validation::networking::network_policy,
        validate_update: validation::networking::network_policy_update,
        ..counted()
    }
}

/// `networking.k8s.io/v1 IPAddress`
#[must_use]
pub fn ip_address() -> Strategy {
    Strategy {
        name: NameRule::Address,
        columns: networking::IP_ADDRESS,
        cells: networking::ip_address,
        validate: validation::addresses::ip_address,
        validate_update: validation::addresses::ip_address_update,
        ..Strategy::DEFAULT
    }
}

/// `networking.k8s.io/v1 ServiceCIDR`
#[must_use]
pub fn service_cidr() -> Strategy {
    Strategy {
        prepare_create: prepare::without_status,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec,
        columns: networking::SERVICE_CIDR,
        cells: networking::service_cidr,
        validate: validation::addresses::service_cidr,
        validate_update: validation::addresses::service_cidr_update,
        ..Strategy::DEFAULT
    }
}

/// `policy/v1 PodDisruptionBudget`
#[must_use]
pub fn pod_disruption_budget() -> Strategy {
    Strategy {
        columns: networking::POD_DISRUPTION_BUDGET,
        cells: networking::pod_disruption_budget,
        validate: validation::policy::pod_disruption_budget,
        validate_update: validation::policy::pod_disruption_budget_update,
        validate_status: validation::policy::pod_disruption_budget_status,
        warnings: |_| Vec::new(),
        ..workloads::workload()
    }
}

/// `discovery.k8s.io/v1 EndpointSlice`
#[must_use]
pub fn endpoint_slice() -> Strategy {
    Strategy {
        defaults: defaults::networking::endpoint_slice,
        prepare_update: prepare::count_endpoints,
        columns: networking::ENDPOINT_SLICE,
        cells: networking::endpoint_slice,
        validate: validation::endpoint_slice::endpoint_slice,
        validate_update: validation::endpoint_slice::endpoint_slice_update,
        ..counted()
    }
}
