//! Autoscalers.

use super::prepare;
use crate::autoscaling::to_v2;
use crate::defaults;
use crate::printers::autoscaling;
use crate::scheme::Strategy;
use crate::validation::autoscaling as rules;

/// `autoscaling/v2 HorizontalPodAutoscaler`
#[must_use]
pub fn autoscaler() -> Strategy {
    Strategy {
        defaults: defaults::autoscaling::autoscaler,
        prepare_create: prepare::without_status,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec,
        columns: autoscaling::AUTOSCALER,
        cells: autoscaling::autoscaler,
        validate: rules::autoscaler,
        validate_update: rules::autoscaler_update,
        validate_status: rules::autoscaler_status,
        ..Strategy::DEFAULT
    }
}

/// `autoscaling/v1 HorizontalPodAutoscaler`
#[must_use]
pub fn autoscaler_v1() -> Strategy {
    Strategy {
        defaults: defaults::autoscaling::autoscaler_v1,
        cells: |object, now| autoscaling::autoscaler(&to_v2(object.clone()), now),
        validate: |object| rules::autoscaler(&to_v2(object.clone())),
        validate_update: |new, old| rules::autoscaler_update(&to_v2(new.clone()), &to_v2(old.clone())),
        ..autoscaler()
    }
}
