//! Roles and who has them.

use crate::defaults;
use crate::names::NameRule;
use crate::printers::access;
use crate::scheme::Strategy;
use crate::validation;

/// What all four kinds have in common.
const ACCESS: Strategy = Strategy { name: NameRule::PathSegment, allows_create_on_update: true, ..Strategy::DEFAULT };

/// A question about rights or identity.
#[must_use]
pub fn review() -> Strategy {
    super::PLAIN
}

/// `rbac.authorization.k8s.io/v1 Role`
#[must_use]
pub fn role() -> Strategy {
    Strategy {
        columns: access::CREATED_AT,
        cells: access::created_at,
        validate: validation::access::role,
        validate_update: validation::access::role_update,
        ..ACCESS
    }
}

/// `rbac.authorization.k8s.io/v1 ClusterRole`
#[must_use]
pub fn cluster_role() -> Strategy {
    Strategy {
        validate: validation::access::cluster_role,
        validate_update: validation::access::cluster_role_update,
        ..role()
    }
}

/// `rbac.authorization.k8s.io/v1 RoleBinding`
#[must_use]
pub fn role_binding() -> Strategy {
    Strategy {
        defaults: defaults::access::binding,
        columns: access::BINDING,
        cells: access::binding,
        validate: validation::access::role_binding,
        validate_update: validation::access::role_binding_update,
        ..ACCESS
    }
}

/// `rbac.authorization.k8s.io/v1 ClusterRoleBinding`
#[must_use]
pub fn cluster_role_binding() -> Strategy {
    Strategy {
        validate: validation::access::cluster_role_binding,
        validate_update: validation::access::cluster_role_binding_update,
        ..role_binding()
    }
}
