//! An expression from its source to what can be run.

use super::check::{Checked, check};
use super::decl::Decl;
use super::env::Env;
use super::error::{Error, Outcome};
use super::estimate::{Span, estimate};
use super::eval::{Inputs, evaluate};
use super::literals;
use super::meter::Meter;
use super::parser::{Parsed, parse};
use super::plan::{Node, plan};
use super::syntax::Expr;
use super::types::Type;

/// An expression that can be run as often as one likes, by many at once.
#[derive(Debug)]
pub(super) struct Program {
    node: Node,
}

/// What a program came from; needed only until its cost is known.
pub(super) struct Compiled {
    pub(super) program: Program,
    root: Expr,
    checked: Checked,
}

/// Why an expression is no program.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// What is wrong with the source, all of it.
    Issues(String),
    /// A constant of it cannot be what it is converted to.
    Instantiation(Error),
}

impl Program {
    /// Parses and checks an expression and makes a program of it.
    pub(super) fn compile(source: &str, env: &Env) -> Result<Compiled, Refusal> {
        let Parsed { mut root, source } = parse(source).map_err(Refusal::Issues)?;
        let checked = check(&mut root, &source, env).map_err(Refusal::Issues)?;
        literals::check(&root, &checked, &source).map_err(Refusal::Issues)?;
        let node = plan(&root, &checked, env).map_err(Refusal::Instantiation)?;
        Ok(Compiled { program: Self { node }, root, checked })
    }

    /// Runs it.
    pub(super) fn run<'a>(&'a self, inputs: &dyn Inputs<'a>, meter: &mut Meter) -> Outcome<'a> {
        evaluate(&self.node, inputs, meter)
    }
}

impl Compiled {
    /// The type of what the program answers.
    pub(super) fn kind(&self) -> &Type {
        self.checked.kind(&self.root)
    }

    /// The most that a run may cost, where the variable with this schema is of the sizes that it allows.
    pub(super) fn cost_max(&self, decl: &Decl) -> u64 {
        self.cost(Some(decl)).max
    }

    /// What a run may cost.
    pub(super) fn cost(&self, decl: Option<&Decl>) -> Span {
        estimate(&self.root, &self.checked, decl)
    }

    /// Whether the expression refers to the variable of this number.
    pub(super) fn uses(&self, variable: usize) -> bool {
        self.checked.uses(variable)
    }
}
