//! What differs between kinds: a [`Strategy`] a kind, as upstream's registry strategies have it.

use crate::names::NameRule;
use crate::scheme::Strategy;

/// `v1 ConfigMap`
#[must_use]
pub fn config_map() -> Strategy {
    Strategy::DEFAULT
}

/// `v1 Endpoints`
#[must_use]
pub fn endpoints() -> Strategy {
    Strategy { allows_create_on_update: true, ..Strategy::DEFAULT }
}

/// `v1 Event`
#[must_use]
pub fn event() -> Strategy {
    Strategy { allows_create_on_update: true, ..Strategy::DEFAULT }
}

/// `events.k8s.io/v1 Event`
#[must_use]
pub fn events_event() -> Strategy {
    event()
}

/// `v1 Namespace`
#[must_use]
pub fn namespace() -> Strategy {
    Strategy { name: NameRule::Label, ..Strategy::DEFAULT }
}

/// `v1 Node`
#[must_use]
pub fn node() -> Strategy {
    Strategy::DEFAULT
}

/// `v1 Pod`
#[must_use]
pub fn pod() -> Strategy {
    Strategy { has_generation: true, ..Strategy::DEFAULT }
}

/// `v1 PodTemplate`
#[must_use]
pub fn pod_template() -> Strategy {
    Strategy { has_generation: true, ..Strategy::DEFAULT }
}

/// `v1 Secret`
#[must_use]
pub fn secret() -> Strategy {
    Strategy::DEFAULT
}

/// `v1 ServiceAccount`
#[must_use]
pub fn service_account() -> Strategy {
    Strategy::DEFAULT
}

/// `v1 Service`
#[must_use]
pub fn service() -> Strategy {
    Strategy { name: NameRule::Label1035, allows_create_on_update: true, ..Strategy::DEFAULT }
}

/// `certificates.k8s.io/v1 CertificateSigningRequest`
#[must_use]
pub fn certificate_signing_request() -> Strategy {
    Strategy::DEFAULT
}

/// `scheduling.k8s.io/v1 PriorityClass`
#[must_use]
pub fn priority_class() -> Strategy {
    Strategy { has_generation: true, ..Strategy::DEFAULT }
}

/// `coordination.k8s.io/v1 Lease`
#[must_use]
pub fn lease() -> Strategy {
    Strategy { allows_create_on_update: true, allows_unconditional_update: false, ..Strategy::DEFAULT }
}

/// `node.k8s.io/v1 RuntimeClass`
#[must_use]
pub fn runtime_class() -> Strategy {
    Strategy { allows_unconditional_update: false, ..Strategy::DEFAULT }
}
