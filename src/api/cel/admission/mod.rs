//! Expressions of admission: match conditions of webhooks, and policies that validate or change objects.
//!
//! A [`Compiler`] makes [`Expression`]s of sources; what they may refer to is a [`Scope`], what they must answer an
//! [`Answers`]. For each object, and for each group of expressions that upstream evaluates together, an [`Evaluation`]
//! runs them on its [`Inputs`] within a budget. `variables` are evaluated when an expression first asks for them, once
//! an evaluation.

pub mod authorizer;
mod compile;
mod evaluate;
mod kinds;
mod native;
mod types;

pub use compile::{Answers, Compiler, Expression, Scope, Variables};
pub use evaluate::{Answer, Evaluation, Failure, Inputs};
pub use kinds::KindType;

/// How much all expressions of a policy may cost on one object; upstream's number.
pub const POLICY_COST_MAX: i64 = 10_000_000;
/// How much all match conditions of a webhook or policy may cost on one object; upstream's number.
pub const MATCH_CONDITIONS_COST_MAX: i64 = 2_500_000;
