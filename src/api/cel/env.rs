//! What an expression may refer to.

use super::types::Type;

/// The variables that expressions see, and what they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Env {
    variables: Vec<Variable>,
    /// Objects that expressions may make, by name.
    constructors: Vec<Type>,
    /// Whether the functions for JSON patches are there.
    has_patches: bool,
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

    /// Lets expressions make objects of this type.
    pub(super) fn constructor(mut self, object: Type) -> Self {
        self.constructors.push(object);
        self
    }

    /// Adds the functions for JSON patches.
    pub(super) fn with_patches(mut self) -> Self {
        self.has_patches = true;
        self
    }

    pub(super) fn has_patches(&self) -> bool {
        self.has_patches
    }

    pub(super) fn find(&self, name: &str) -> Option<(usize, &Type)> {
        let index = self.variables.iter().position(|variable| variable.name.as_ref() == name)?;
        Some((index, &self.variables.get(index)?.kind))
    }

    pub(super) fn is_composite(&self, index: usize) -> bool {
        self.variables.get(index).is_some_and(|variable| variable.is_composite)
    }

    /// The object type of this name that expressions may make.
    pub(super) fn constructed(&self, name: &str) -> Option<&Type> {
        self.constructors.iter().find(|kind| matches!(kind, Type::Object(object) if object.name.as_ref() == name))
    }
}
