//! What an expression may refer to.

use super::types::Type;

/// The variables that expressions see, and what they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Env {
    variables: Vec<Variable>,
    /// The type of a JSON patch's operation, if expressions may make changes.
    patch: Option<Type>,
}

/// A variable.
#[derive(Clone, Debug)]
struct Variable {
    name: Box<str>,
    kind: Type,
    is_composite: bool,
}

impl Env {
    /// Adds a variable; its number is the place in the order of adding.
    pub(super) fn variable(mut self, name: &str, kind: Type) -> Self {
        self.variables.push(Variable { name: name.into(), kind, is_composite: false });
        self
    }

    /// Adds a variable of whose value only the members are there, each when it is asked for.
    pub(super) fn composite(mut self, name: &str, kind: Type) -> Self {
        self.variables.push(Variable { name: name.into(), kind, is_composite: true });
        self
    }

    /// Leaves out a variable, so that the numbers of those after it stay the same.
    pub(super) fn gap(self) -> Self {
        self.variable("", Type::Dyn)
    }

    /// Lets expressions make objects and operations of JSON patches, which are of this type.
    pub(super) fn with_patches(mut self, patch: Type) -> Self {
        self.patch = Some(patch);
        self
    }

    pub(super) fn has_patches(&self) -> bool {
        self.patch.is_some()
    }

    pub(super) fn find(&self, name: &str) -> Option<(usize, &Type)> {
        let index = self.variables.iter().position(|variable| variable.name.as_ref() == name)?;
        Some((index, &self.variables.get(index)?.kind))
    }

    pub(super) fn is_composite(&self, index: usize) -> bool {
        self.variables.get(index).is_some_and(|variable| variable.is_composite)
    }

    /// The object type of this name that expressions may make.
    pub(super) fn constructed(&self, name: &str) -> Option<Type> {
        let patch = self.patch.as_ref()?;
        match name {
            "JSONPatch" => Some(patch.clone()),
            name if name == "Object" || name.starts_with("Object.") => Some(Type::open_object(name)),
            _ => None,
        }
    }
}
