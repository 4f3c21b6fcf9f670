//! Kubernetes' CEL: the expressions that definitions of custom resources, webhooks and admission policies hold.
//!
//! It must never do IO or read a clock; what an expression asks of the outside ([`admission::authorizer`]) is given.
//! Sources are hostile: their length and depth are bounded, costs are estimated before a definition is accepted and
//! metered while an expression runs, and a run stops at its budget.
//!
//! Reading order: `syntax`, `lexer`, `parser` and `macros` (text to tree), `issues` (how errors are told), `types`,
//! `decl` and `env` (what there is to refer to), `check` with `literals` (what a tree means), `functions` (a row an
//! overload), `plan` and `eval` with `value`, `meter` and `cost` (running it), `estimate` (what it may cost), `program`
//! (all of that as one), then who needs it: [`rules`] for definitions of custom resources and [`admission`].
//!
//! # Why
//!
//! 2026-11-28: an engine of our own. What clients see of CEL is upstream's to the letter: which rules are refused, with
//! which words, and at which cost. No crate has a type checker or a cost model for it, and both have to share their
//! table of overloads with the evaluator, or they drift apart.

pub mod admission;
mod check;
mod cost;
mod decl;
mod env;
mod error;
mod estimate;
mod eval;
mod functions;
mod issues;
mod lexer;
mod literals;
mod macros;
mod meter;
mod names;
mod parser;
mod plan;
mod program;
pub mod rules;
mod syntax;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use error::Error;
pub use meter::CALL_COST_MAX;
pub(crate) use names::RESERVED;
