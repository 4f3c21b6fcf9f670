//! Conditions in CEL under which a request is meant.

use std::collections::HashSet;

use serde_json::Value;

use super::super::checks::qualified_name;
use super::super::field::{Error, ErrorList, Path};
use super::expressions::Expressions;
use crate::value::text;

/// Conditions that a webhook or policy has at most, as upstream.
const CONDITIONS_MAX: usize = 64;

/// Conditions with names of their own, of what has parameters or none.
pub(super) fn match_conditions(errors: &mut ErrorList, path: &Path, conditions: &[Value], has_params: bool) {
    let expressions = Expressions::new(has_params);
    if conditions.len() > CONDITIONS_MAX {
        errors.push(Error::too_many(path, conditions.len(), CONDITIONS_MAX));
    }
    let mut names = HashSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let (path, name) = (path.index(index), text(condition, "name"));
        expressions.match_condition(errors, &path.child("expression"), text(condition, "expression"));
        let at = path.child("name");
        if name.is_empty() {
            errors.push(Error::required(at, ""));
            continue;
        }
        qualified_name(errors, &at, name);
        if !names.insert(name) {
            errors.push(Error::duplicate(at, name));
        }
    }
}
