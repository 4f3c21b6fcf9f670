//! Kinds that make pods.

use super::{fields, prepare};
use crate::defaults;
use crate::printers::workloads;
use crate::scheme::Strategy;
use crate::validation;

/// What makes pods: its status is another's, its spec is counted.
pub(super) fn workload() -> Strategy {
    Strategy {
        has_generation: true,
        prepare_create: prepare::new_workload,
        prepare_update: prepare::keep_status_and_count,
        prepare_status: prepare::keep_spec,
        warnings: validation::pod::in_spec,
        ..Strategy::DEFAULT
    }
}

/// `v1 ReplicationController`
#[must_use]
pub fn replication_controller() -> Strategy {
    Strategy {
        defaults: defaults::workloads::replication_controller,
        prepare_create: prepare::new_replica_set,
        orphans_dependents: true,
        columns: workloads::REPLICA_SET,
        cells: workloads::replica_set,
        field_names: &["status.replicas"],
        fields: fields::replicas,
        validate: validation::workloads::replication_controller,
        validate_update: validation::workloads::replication_controller_update,
        validate_status: validation::workloads::replica_set_status,
        ..workload()
    }
}

/// `apps/v1 ReplicaSet`
#[must_use]
pub fn replica_set() -> Strategy {
    Strategy {
        defaults: defaults::workloads::replica_set,
        prepare_create: prepare::new_replica_set,
        columns: workloads::REPLICA_SET,
        cells: workloads::replica_set,
        field_names: &["status.replicas"],
        fields: fields::replicas,
        validate: validation::workloads::replica_set,
        validate_update: validation::workloads::replica_set_update,
        validate_status: validation::workloads::replica_set_status,
        ..workload()
    }
}

/// `apps/v1 Deployment`
#[must_use]
pub fn deployment() -> Strategy {
    Strategy {
        defaults: defaults::workloads::deployment,
        prepare_update: prepare::changed_deployment,
        prepare_status: prepare::deployment_status,
        status_resets: &[&["f:spec"], &["f:metadata", "f:labels"]],
        columns: workloads::DEPLOYMENT,
        cells: workloads::deployment,
        validate: validation::workloads::deployment,
        validate_update: validation::workloads::deployment_update,
        validate_status: validation::workloads::deployment_status,
        ..workload()
    }
}

/// `apps/v1 StatefulSet`
#[must_use]
pub fn stateful_set() -> Strategy {
    Strategy {
        defaults: defaults::workloads::stateful_set,
        prepare_create: prepare::new_stateful_set,
        columns: workloads::STATEFUL_SET,
        cells: workloads::stateful_set,
        validate: validation::workloads::stateful_set,
        validate_update: validation::workloads::stateful_set_update,
        validate_status: validation::workloads::stateful_set_status,
        ..workload()
    }
}

/// `apps/v1 DaemonSet`
#[must_use]
pub fn daemon_set() -> Strategy {
    Strategy {
        defaults: defaults::workloads::daemon_set,
        prepare_create: prepare::new_daemon_set,
        prepare_update: prepare::changed_daemon_set,
        columns: workloads::DAEMON_SET,
        cells: workloads::daemon_set,
        validate: validation::workloads::daemon_set,
        validate_update: validation::workloads::daemon_set_update,
        validate_status: validation::workloads::daemon_set_status,
        ..workload()
    }
}

/// `apps/v1 ControllerRevision`
#[must_use]
pub fn controller_revision() -> Strategy {
    Strategy {
        columns: workloads::CONTROLLER_REVISION,
        cells: workloads::controller_revision,
        validate: validation::workloads::controller_revision,
        validate_update: validation::workloads::controller_revision_update,
        ..Strategy::DEFAULT
    }
}

/// `batch/v1 Job`
#[must_use]
pub fn job() -> Strategy {
    Strategy {
        defaults: defaults::workloads::job,
        prepare_create: prepare::new_job,
        orphans_dependents: true,
        columns: workloads::JOB,
        cells: workloads::job,
        field_names: &["status.successful"],
        fields: |object| vec![("status.successful", fields::count(object, "/status/succeeded"))],
        validate: validation::jobs::job,
        validate_update: validation::jobs::job_update,
        validate_status: validation::jobs::job_status,
        ..workload()
    }
}

/// `batch/v1 CronJob`
#[must_use]
pub fn cron_job() -> Strategy {
    Strategy {
        defaults: defaults::workloads::cron_job,
        columns: workloads::CRON_JOB,
        cells: workloads::cron_job,
        validate: validation::jobs::cron_job,
        validate_update: validation::jobs::cron_job_update,
        warnings: validation::pod::in_job_template,
        ..workload()
    }
}
