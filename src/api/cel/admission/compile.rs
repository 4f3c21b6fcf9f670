//! Sources to expressions.

use super::super::env::Env;
use super::super::program::{Program, Refusal};
use super::super::types::Type;
use super::kinds::KindType;
use super::types;

/// What expressions see beside `object`, `oldObject`, `request`, `namespaceObject` and `variables`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scope {
    /// `params`
    pub has_params: bool,
    /// `authorizer`
    pub has_authorizer: bool,
    /// `Object{..}`, `JSONPatch{..}` and `jsonpatch.escapeKey`
    pub has_patches: bool,
}

/// What an expression must answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answers {
    /// True or false: match conditions and validations.
    Bool,
    /// Text: messages.
    String,
    /// Text or null: values of audit annotations.
    StringOrNull,
    /// Anything: variables.
    Any,
    /// An `Object`: apply configurations.
    Object,
    /// A list of `JSONPatch`.
    Patches,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    pub(super) source: Box<str>,
    pub(super) program: Program,
}

/// Compiles the expressions of one webhook or policy.
#[derive(Debug)]
pub struct Compiler {
    variables: Variables,
    /// What `object` and `oldObject` are.
    object: Type,
    params: Type,
}

/// The compiled variables of a policy, in order; each sees those before it.
#[derive(Debug, Default)]
pub struct Variables {
    pub(super) variables: Vec<Variable>,
}

#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: Box<str>,
    kind: Type,
    pub(super) expression: Result<Expression, String>,
}

/// The numbers of variables.
pub(super) mod number {
    pub(in super::super) const OBJECT: usize = 0;
    pub(in super::super) const OLD_OBJECT: usize = 1;
    pub(in super::super) const NAMESPACE: usize = 2;
    pub(in super::super) const REQUEST: usize = 3;
    pub(in super::super) const PARAMS: usize = 4;
    pub(in super::super) const AUTHORIZER: usize = 5;
    pub(in super::super) const REQUEST_RESOURCE: usize = 6;
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new()
    }
}

impl Compiler {
    /// A compiler that knows no `variables` yet.
    #[must_use]
    pub fn new() -> Self {
        Self { variables: Variables::default(), object: Type::Dyn, params: Type::Dyn }
    }

    /// A compiler to check expressions on objects of a kind, and parameters of another.
    #[must_use]
    pub fn of_kinds(object: &KindType, params: Option<&KindType>) -> Self {
        let params = params.map_or(Type::Dyn, |params| params.0.clone());
        Self { variables: Variables::default(), object: object.0.clone(), params }
    }

    /// Checks the types of an expression, whatever it answers.
    ///
    /// # Errors
    /// What is wrong with it, in upstream's words.
    pub fn check(&self, source: &str, scope: Scope) -> Result<(), String> {
        match Program::compile(source, &self.env(scope)) {
            Err(Refusal::Issues(issues)) => Err(issues.to_string()),
            Ok(_) | Err(Refusal::Instantiation(_)) => Ok(()),
        }
    }

    /// Adds a variable that further expressions see as `variables.name`.
    ///
    /// # Errors
    /// What is wrong with its source. The variable is there nevertheless, and fails when it is asked for.
    pub fn add_variable(&mut self, name: &str, source: &str, scope: Scope) -> Result<(), String> {
        let (expression, kind) = match self.compile_typed(source, scope, Answers::Any) {
            Ok((expression, kind)) => (Ok(expression), as_variable(&kind)),
            Err(message) => (Err(message), Type::Dyn),
        };
        let result = expression.as_ref().map(|_| ()).map_err(Clone::clone);
        self.variables.variables.push(Variable { name: name.into(), kind, expression });
        result
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, in upstream's words.
    pub fn compile(&self, source: &str, scope: Scope, answers: Answers) -> Result<Expression, String> {
        self.compile_typed(source, scope, answers).map(|(expression, _)| expression)
    }

    /// The variables, for evaluations.
    #[must_use]
    pub fn into_variables(self) -> Variables {
        self.variables
    }

    fn compile_typed(&self, source: &str, scope: Scope, answers: Answers) -> Result<(Expression, Type), String> {
        let compiled = Program::compile(source, &self.env(scope)).map_err(|refusal| match refusal {
            Refusal::Issues(issues) => format!("compilation failed: {issues}"),
            Refusal::Instantiation(error) => format!("program instantiation failed: {error}"),
        })?;
        let kind = compiled.kind().clone();
        let wanted = match answers {
            Answers::Bool => Some(Type::Bool),
            Answers::String => Some(Type::String),
            Answers::StringOrNull if matches!(kind, Type::String | Type::Null) => None,
            Answers::StringOrNull => {
                return Err(format!("must evaluate to one of [string null_type] but got {}", go_text(&kind)));
            }
            Answers::Any => None,
            Answers::Object => Some(Type::open_object("Object")),
            Answers::Patches => Some(Type::list(types::patch())),
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != kind) {
            return Err(format!("must evaluate to {} but got {}", go_text(&wanted), go_text(&kind)));
        }
        Ok((Expression { source: source.into(), program: compiled.program }, kind))
    }

    fn env(&self, scope: Scope) -> Env {
        let check = |name| Type::Library(name);
        let mut env = Env::default()
            .variable("object", self.object.clone())
            .variable("oldObject", self.object.clone())
            .variable("namespaceObject", types::NAMESPACE.kind())
            .variable("request", types::REQUEST.kind());
        env = if scope.has_params { env.variable("params", self.params.clone()) } else { env.gap() };
        env = if scope.has_authorizer {
            env.variable("authorizer", check("kubernetes.authorization.Authorizer"))
                .variable("authorizer.requestResource", check("kubernetes.authorization.ResourceCheck"))
        } else {
            env.gap().gap()
        };
        let members = self.variables.variables.iter().map(|variable| (variable.name.clone(), variable.kind.clone()));
        env = env.composite("variables", types::variables(members));
        if scope.has_patches { env.with_patches(types::patch()) } else { env }
    }
}

/// What a variable is to others: types without a plain name become anything.
fn as_variable(kind: &Type) -> Type {
    match kind {
        Type::List(item) => Type::list(as_variable(item)),
        Type::Map(entry) => Type::map(as_variable(&entry.0), as_variable(&entry.1)),
        Type::Object(_) | Type::Library(_) | Type::Optional(_) | Type::Meta(_) | Type::Parameter(_) => Type::Dyn,
        plain => plain.clone(),
    }
}

/// A type as upstream prints it outside of its checker's messages.
fn go_text(kind: &Type) -> String {
    match kind {
        Type::Null => "null_type".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::List(item) => format!("list({})", go_text(item)),
        Type::Map(entry) => format!("map({}, {})", go_text(&entry.0), go_text(&entry.1)),
        other => other.to_string(),
    }
}
