//! What is written in CEL, a function for each place in which an expression may stand.

use super::super::field::{Error, ErrorList, Path};
use crate::cel::admission::{Answers, Compiler, Scope};

/// Bytes of an expression for an annotation, as upstream.
const ANNOTATION_BYTES_MAX: usize = 5 << 10;

/// The expressions of a webhook or policy, each with what it may refer to.
pub(super) struct Expressions {
    compiler: Compiler,
    scope: Scope,
}

impl Expressions {
    /// Those of what has parameters or none.
    pub(super) fn new(has_params: bool) -> Self {
        Self { compiler: Compiler::new(), scope: Scope { has_params, has_authorizer: true, has_patches: false } }
    }

    /// Whether a request is meant: a condition over the request, its objects, `params` and `authorizer`.
    pub(super) fn match_condition(&self, errors: &mut ErrorList, path: &Path, expression: &str) {
        self.compiled(errors, path, expression, "", Answers::Bool);
    }

    /// A variable of a policy: a value of any type, over those before it.
    pub(super) fn variable(&mut self, errors: &mut ErrorList, path: &Path, name: &str, expression: &str) {
        if expression.trim().is_empty() {
            errors.push(Error::required(path, "expression is not specified"));
        } else if let Err(why) = self.compiler.add_variable(name, expression, self.scope) {
            errors.push(Error::invalid(path, expression, why));
        }
    }

    /// Whether an object is taken: a condition.
    pub(super) fn validation(&self, errors: &mut ErrorList, path: &Path, expression: &str) {
        self.compiled(errors, path, expression, "expression is not specified", Answers::Bool);
    }

    /// What is told of an object that is not taken: text, without `authorizer`.
    pub(super) fn message(&self, errors: &mut ErrorList, path: &Path, expression: &str) {
        if expression.is_empty() {
            return;
        }
        if expression.trim().is_empty() {
            errors.push(Error::invalid(path, expression, "must be non-empty if specified"));
            return;
        }
        let scope = Scope { has_authorizer: false, ..self.scope };
        if let Err(why) = self.compiler.compile(expression, scope, Answers::String) {
            errors.push(Error::invalid(path, expression, why));
        }
    }

    /// The value of an annotation for the audit: text or null.
    pub(super) fn annotation(&self, errors: &mut ErrorList, path: &Path, expression: &str) {
        if expression.trim().len() > ANNOTATION_BYTES_MAX {
            // Upstream calls it required, too.
            errors.push(Error::required(path, format!("must not exceed {ANNOTATION_BYTES_MAX} bytes in length")));
        } else {
            self.compiled(errors, path, expression, "valueExpression is not specified", Answers::StringOrNull);
        }
    }

    /// What is changed: an object that is applied, or the steps of a JSON patch.
    pub(super) fn mutation(&self, errors: &mut ErrorList, path: &Path, expression: &str, answers: Answers) {
        if expression.trim().is_empty() {
            errors.push(Error::required(path, ""));
            return;
        }
        let scope = Scope { has_patches: true, ..self.scope };
        if let Err(why) = self.compiler.compile(expression, scope, answers) {
            errors.push(Error::invalid(path, expression, why));
        }
    }

    fn compiled(&self, errors: &mut ErrorList, path: &Path, expression: &str, missing: &str, answers: Answers) {
        if expression.trim().is_empty() {
            errors.push(Error::required(path, missing));
        } else if let Err(why) = self.compiler.compile(expression, self.scope, answers) {
            errors.push(Error::invalid(path, expression, why));
        }
    }
}
