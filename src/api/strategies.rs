//! What differs between kinds: a [`Strategy`] a kind, as upstream's registry strategies have it.

mod access;
mod autoscaling;
mod devices;
mod extensions;
mod fields;
mod networking;
mod prepare;
mod service_type;
mod storage;
mod volumes;
mod workloads;

pub use access::*;
pub use autoscaling::*;
pub use devices::*;
pub use extensions::*;
pub use networking::*;
pub use storage::*;
pub use volumes::*;
pub use workloads::*;

use crate::defaults;
use crate::names::NameRule;
use crate::printers::{event, node, pod, service, small};
use crate::scheme::Strategy;
use crate::validation;

/// Kinds that show name and age and differ in nothing else.
const PLAIN: Strategy = Strategy { columns: small::PLAIN, cells: small::plain, ..Strategy::DEFAULT };

/// `v1 ConfigMap`
#[must_use]
pub fn config_map() -> Strategy {
    Strategy {
        columns: small::CONFIG_MAP,
        cells: small::config_map,
        validate: validation::config::config_map,
        validate_update: validation::config::config_map_update,
        ..Strategy::DEFAULT
    }
}

/// `v1 Endpoints`
#[must_use]
pub fn endpoints() -> Strategy {
    Strategy {
        defaults: defaults::service::endpoints,
        columns: small::ENDPOINTS,
        cells: small::endpoints,
        allows_create_on_update: true,
        validate: validation::endpoints::endpoints,
        validate_update: validation::endpoints::endpoints_update,
        ..Strategy::DEFAULT
    }
}

/// `v1 Event`
#[must_use]
pub fn event() -> Strategy {
    Strategy {
        name: NameRule::PathSegment,
        columns: event::COLUMNS,
        cells: event::cells,
        field_names: fields::EVENT,
        fields: fields::event,
        allows_create_on_update: true,
        validate: validation::event::core,
        validate_update: validation::event::core_update,
        ..Strategy::DEFAULT
    }
}

/// `events.k8s.io/v1 Event`
#[must_use]
pub fn events_event() -> Strategy {
    Strategy {
        cells: |object, now| event::cells(&crate::events::to_core(object.clone()), now),
        field_names: fields::EVENTS_EVENT,
        stored_fields: fields::EVENTS_EVENT_STORED,
        validate: validation::event::strict,
        validate_update: validation::event::strict_update,
        ..event()
    }
}

/// `v1 Namespace`
#[must_use]
pub fn namespace() -> Strategy {
    Strategy {
        name: NameRule::Label,
        defaults: defaults::small::namespace,
        prepare_create: defaults::small::new_namespace,
        prepare_update: prepare::keep_spec_and_status,
        prepare_status: prepare::keep_spec,
        columns: small::NAMESPACE,
        cells: small::namespace,
        field_names: &["status.phase"],
        fields: |object| vec![("status.phase", fields::text(object, "/status/phase"))],
        validate: validation::small::namespace,
        validate_status: validation::small::namespace_status,
        ..Strategy::DEFAULT
    }
}

/// `v1 Node`
#[must_use]
pub fn node() -> Strategy {
    Strategy {
        defaults: defaults::small::node,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec,
        columns: node::COLUMNS,
        cells: node::cells,
        field_names: &["spec.unschedulable"],
        fields: |object| vec![("spec.unschedulable", fields::flag(object, "/spec/unschedulable"))],
        validate: validation::node::node,
        validate_update: validation::node::node_update,
        validate_status: validation::node::node_update,
        warnings: validation::node::warnings,
        ..Strategy::DEFAULT
    }
}

/// `v1 Pod`
#[must_use]
pub fn pod() -> Strategy {
    Strategy {
        has_generation: true,
        defaults: defaults::pod::pod,
        prepare_create: prepare::new_pod,
        prepare_update: prepare::keep_status_and_count,
        prepare_status: prepare::pod_status,
        status_resets: &[&["f:spec"], &["f:metadata", "f:deletionTimestamp"], &["f:metadata", "f:ownerReferences"]],
        columns: pod::COLUMNS,
        cells: pod::cells,
        field_names: fields::POD,
        fields: fields::pod,
        default_grace_seconds: prepare::pod_grace_seconds,
        validate: validation::pod::pod,
        validate_update: validation::pod::pod_update,
        validate_status: validation::pod::pod_status,
        warnings: validation::pod::pod_warnings,
        ..Strategy::DEFAULT
    }
}

/// `v1 PodTemplate`
#[must_use]
pub fn pod_template() -> Strategy {
    Strategy {
        has_generation: true,
        defaults: defaults::pod::pod_template,
        prepare_create: prepare::first_generation,
        columns: small::POD_TEMPLATE,
        cells: small::pod_template,
        validate: validation::pod::pod_template,
        validate_update: validation::pod::pod_template_update,
        warnings: validation::pod::pod_template_warnings,
        ..Strategy::DEFAULT
    }
}

/// `v1 Secret`
#[must_use]
pub fn secret() -> Strategy {
    Strategy {
        defaults: defaults::small::secret,
        columns: small::SECRET,
        cells: small::secret,
        field_names: &["type"],
        fields: |object| vec![("type", fields::text(object, "/type"))],
        validate: validation::config::secret,
        validate_update: validation::config::secret_update,
        ..Strategy::DEFAULT
    }
}

/// `v1 ServiceAccount`
#[must_use]
pub fn service_account() -> Strategy {
    PLAIN
}

/// `v1 Service`
#[must_use]
pub fn service() -> Strategy {
    Strategy {
        name: NameRule::Label,
        allows_create_on_update: true,
        defaults: defaults::service::service,
        prepare_create: prepare::new_service,
        prepare_update: service_type::prepare_update,
        prepare_status: prepare::keep_spec,
        columns: service::COLUMNS,
        cells: service::cells,
        field_names: &["spec.clusterIP", "spec.type"],
        fields: |object| {
            vec![
                ("spec.clusterIP", fields::text(object, "/spec/clusterIP")),
                ("spec.type", fields::text(object, "/spec/type")),
            ]
        },
        validate: validation::service::service,
        validate_update: validation::service::service_update,
        validate_status: validation::service::service_status,
        warnings: validation::service::warnings,
        ..Strategy::DEFAULT
    }
}

/// `certificates.k8s.io/v1 CertificateSigningRequest`
#[must_use]
pub fn certificate_signing_request() -> Strategy {
    Strategy {
        name: NameRule::PathSegment,
        prepare_create: prepare::without_status,
        prepare_update: prepare::keep_spec_and_status,
        prepare_status: prepare::certificate_request_status,
        stamp_status: prepare::stamp_conditions,
        columns: small::CERTIFICATE_SIGNING_REQUEST,
        cells: small::certificate_signing_request,
        field_names: &["spec.signerName"],
        fields: |object| vec![("spec.signerName", fields::text(object, "/spec/signerName"))],
        validate: validation::certificate_signing_request::request,
        validate_update: validation::certificate_signing_request::request_update,
        validate_status: validation::certificate_signing_request::request_status,
        ..Strategy::DEFAULT
    }
}

/// `scheduling.k8s.io/v1 PriorityClass`
#[must_use]
pub fn priority_class() -> Strategy {
    Strategy {
        has_generation: true,
        defaults: defaults::small::priority_class,
        prepare_create: prepare::first_generation,
        columns: small::PRIORITY_CLASS,
        cells: small::priority_class,
        validate: validation::small::priority_class,
        validate_update: validation::small::priority_class_update,
        ..Strategy::DEFAULT
    }
}

/// `coordination.k8s.io/v1 Lease`
#[must_use]
pub fn lease() -> Strategy {
    Strategy {
        allows_create_on_update: true,
        allows_unconditional_update: false,
        columns: small::LEASE,
        cells: small::lease,
        validate: validation::small::lease,
        validate_update: validation::small::lease_update,
        ..Strategy::DEFAULT
    }
}

/// `node.k8s.io/v1 RuntimeClass`
#[must_use]
pub fn runtime_class() -> Strategy {
    Strategy {
        allows_unconditional_update: false,
        columns: small::RUNTIME_CLASS,
        cells: small::runtime_class,
        validate: validation::small::runtime_class,
        validate_update: validation::small::runtime_class_update,
        ..Strategy::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use crate::scheme::Scheme;

    #[test]
    fn every_kind_has_a_cell_for_each_column_and_a_value_for_each_field() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        for row in Scheme::builtin().resources() {
            let object = json!({"metadata": {"name": "n", "creationTimestamp": "2026-11-23T11:00:00Z"}});
            let cells = (row.strategy.cells)(&object, now);
            assert_eq!(cells.len(), row.strategy.columns.len(), "{}", row.kind);
            assert!(!cells.is_empty(), "{} prints nothing", row.kind);
            let fields: Vec<&str> = (row.strategy.fields)(&object).into_iter().map(|(name, _)| name).collect();
            let stored = row.strategy.stored_fields.iter().map(|(_, stored)| *stored);
            let offered: BTreeSet<&str> = row.strategy.field_names.iter().copied().chain(stored).collect();
            assert_eq!(BTreeSet::from_iter(fields), offered, "{}", row.kind);
        }
    }
}
