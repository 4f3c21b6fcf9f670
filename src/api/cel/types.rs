//! Types of expressions, and when a value of one may stand for another.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::decl::Object;

/// A type.
#[derive(Clone, Debug)]
pub(super) enum Type {
    Dyn,
    /// The type of what is wrong already; it fits everywhere so that one mistake is told once.
    Error,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<Type>),
    Map(Arc<(Type, Type)>),
    Object(Arc<Object>),
    /// A type of a library, by its full name.
    Library(&'static str),
    /// `optional_type(T)`.
    Optional(Arc<Type>),
    /// The type of types.
    Meta(Option<Arc<Type>>),
    /// To be found out.
    Parameter(Parameter),
}

/// A type to be found out: as an overload declares it, or one made while checking.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Parameter {
    Declared(char),
    Free(u32),
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(one), Self::List(two)) | (Self::Optional(one), Self::Optional(two)) => one == two,
            (Self::Map(one), Self::Map(two)) => one == two,
            (Self::Object(one), Self::Object(two)) => one.name == two.name,
            (Self::Library(one), Self::Library(two)) => one == two,
            (Self::Meta(one), Self::Meta(two)) => one == two,
            (Self::Parameter(one), Self::Parameter(two)) => one == two,
            _ => self.is_plain() && std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "dyn",
            Self::Error => "!error!",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::List(item) => return write!(f, "list({item})"),
            Self::Map(entry) => return write!(f, "map({}, {})", entry.0, entry.1),
            Self::Object(object) => &object.name,
            Self::Library(name) => name,
            Self::Optional(inner) => return write!(f, "optional_type({inner})"),
            Self::Meta(None) => "type",
            Self::Meta(Some(of)) => return write!(f, "type({of})"),
            Self::Parameter(Parameter::Declared(name)) => return write!(f, "{name}"),
            Self::Parameter(Parameter::Free(number)) => return write!(f, "_var{number}"),
        })
    }
}

impl Type {
    pub(super) fn list(item: Self) -> Self {
        Self::List(Arc::new(item))
    }

    pub(super) fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    pub(super) fn optional(inner: Self) -> Self {
        Self::Optional(Arc::new(inner))
    }

    /// An object with any fields.
    pub(super) fn open_object(name: &str) -> Self {
        let fields = std::collections::BTreeMap::new();
        Self::Object(Arc::new(Object { name: name.into(), fields, is_open: true }))
    }

    fn is_plain(&self) -> bool {
        !matches!(
            self,
            Self::List(_)
                | Self::Map(_)
                | Self::Object(_)
                | Self::Library(_)
                | Self::Optional(_)
                | Self::Meta(_)
                | Self::Parameter(_)
        )
    }

    pub(super) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// Whether values have one size, however large they are.
    pub(super) fn is_scalar(&self) -> bool {
        match self {
            Self::Bool | Self::Int | Self::Uint | Self::Double | Self::Duration | Self::Timestamp => true,
            Self::Optional(inner) => inner.is_scalar(),
            _ => false,
        }
    }

    /// What a type of one parameter or more holds.
    fn parameters(&self) -> Vec<&Type> {
        match self {
            Self::List(inner) | Self::Optional(inner) | Self::Meta(Some(inner)) => vec![inner],
            Self::Map(entry) => vec![&entry.0, &entry.1],
            _ => Vec::new(),
        }
    }

    /// The same type with other parameters.
    fn map_parameters(&self, change: &mut dyn FnMut(&Type) -> Type) -> Type {
        match self {
            Self::List(item) => Self::list(change(item)),
            Self::Optional(inner) => Self::optional(change(inner)),
            Self::Meta(Some(of)) => Self::Meta(Some(Arc::new(change(of)))),
            Self::Map(entry) => Self::map(change(&entry.0), change(&entry.1)),
            other => other.clone(),
        }
    }

    fn may_be_null(&self) -> bool {
        matches!(
            self,
            Self::Optional(_) | Self::Library(_) | Self::Object(_) | Self::Duration | Self::Timestamp | Self::Null
        )
    }
}

/// What has been found out about parameters so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    known: HashMap<Parameter, Type>,
    /// What was known before each change of the attempt under way.
    undo: Vec<(Parameter, Option<Type>)>,
    free: u32,
}

impl Mapping {
    /// A new type to be found out.
    pub(super) fn fresh(&mut self) -> Type {
        self.free += 1;
        Type::Parameter(Parameter::Free(self.free - 1))
    }

    /// A type of an overload, with its declared parameters made new ones.
    pub(super) fn instantiate(&mut self, wanted: &Type, made: &mut HashMap<char, Type>) -> Type {
        match wanted {
            Type::Parameter(Parameter::Declared(name)) => made.entry(*name).or_insert_with(|| self.fresh()).clone(),
            other => other.map_parameters(&mut |inner| self.instantiate(inner, made)),
        }
    }

    /// Whether each of `found` may stand for its `wanted`; only then is what was learned on the way kept.
    pub(super) fn assign(&mut self, found: &[Type], wanted: &[Type]) -> bool {
        self.undo.clear();
        let fits =
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| self.fits(found, wanted));
        while let Some((parameter, before)) = self.undo.pop().filter(|_| !fits) {
            match before {
                Some(before) => self.known.insert(parameter, before),
                None => self.known.remove(&parameter),
            };
        }
        fits
    }

    fn learn(&mut self, parameter: Parameter, kind: Type) {
        let before = self.known.insert(parameter, kind);
        self.undo.push((parameter, before));
    }

    fn fits(&mut self, one: &Type, two: &Type) -> bool {
        if let Type::Parameter(parameter) = two {
            match self.bind(one, *parameter, two) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if let Type::Parameter(parameter) = one {
            return self.bind(two, *parameter, one).0;
        }
        if one.is_dyn_or_error() || two.is_dyn_or_error() {
            return true;
        }
        match (one, two) {
            (Type::Null, other) | (other, Type::Null) => other.may_be_null(),
            (Type::Meta(_), Type::Meta(_)) => true,
            (Type::List(_), Type::List(_)) | (Type::Map(_), Type::Map(_)) | (Type::Optional(_), Type::Optional(_)) => {
                one.parameters().into_iter().zip(two.parameters()).all(|(one, two)| self.fits(one, two))
            }
            _ => one == two,
        }
    }

    /// Whether a parameter may be this type, and whether it was known to be some type before.
    fn bind(&mut self, found: &Type, parameter: Parameter, itself: &Type) -> (bool, bool) {
        if found == itself {
            return (true, true);
        }
        if let Some(known) = self.known.get(&parameter).cloned() {
            if *found == known {
                return (true, true);
            }
            if self.fits(found, &known) {
                let general = most_general(found, &known).clone();
                if self.is_free_of(itself, &general) {
                    self.learn(parameter, general);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.is_free_of(itself, found) {
            self.learn(parameter, found.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether a parameter does not occur in a type, which would then hold itself.
    fn is_free_of(&self, parameter: &Type, within: &Type) -> bool {
        if parameter == within {
            return false;
        }
        match within {
            Type::Parameter(other) => self.known.get(other).is_none_or(|known| self.is_free_of(parameter, known)),
            other => other.parameters().into_iter().all(|inner| self.is_free_of(parameter, inner)),
        }
    }

    /// A type with all that is known filled in.
    pub(super) fn substitute(&self, of: &Type) -> Type {
        match of {
            Type::Parameter(parameter) => match self.known.get(parameter) {
                Some(known) => self.substitute(known),
                None => of.clone(),
            },
            other => other.map_parameters(&mut |inner| self.substitute(inner)),
        }
    }

    /// As [`Mapping::substitute`], and what is still to be found out may be anything.
    pub(super) fn resolve(&self, of: &Type) -> Type {
        match self.substitute(of) {
            Type::Parameter(_) => Type::Dyn,
            other => other.map_parameters(&mut |inner| self.resolve(inner)),
        }
    }
}

/// Of two types that fit, the one that says less.
pub(super) fn most_general<'a>(one: &'a Type, two: &'a Type) -> &'a Type {
    if says_less(one, two) { one } else { two }
}

fn says_less(one: &Type, two: &Type) -> bool {
    match (one, two) {
        (Type::Dyn | Type::Parameter(_), _) => true,
        (_, Type::Dyn | Type::Parameter(_)) => false,
        (Type::Meta(_), Type::Meta(_)) => true,
        (Type::List(_), Type::List(_)) | (Type::Map(_), Type::Map(_)) | (Type::Optional(_), Type::Optional(_)) => {
            one.parameters().into_iter().zip(two.parameters()).all(|(one, two)| says_less(one, two))
        }
        _ => one == two,
    }
}
