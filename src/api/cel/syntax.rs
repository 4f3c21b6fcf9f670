//! The syntax tree of an expression: what the parser makes and the checker refines.
//!
//! Macros are already expanded, so whatever iterates is a [`Fold`]. Each node has an [`Id`] under which the checker
//! keeps its type and the [`super::issues::Source`] its place. Trees are at most [`DEPTH_MAX`] deep, so walking one by
//! recursion is safe.

/// How deep a tree may be; upstream's limit too.
pub(super) const DEPTH_MAX: u16 = 250;

/// The variable in which a fold collects its result; no source can spell it.
pub(super) const ACCUMULATOR: &str = "@result";

/// A node's number in its expression.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Id(pub(super) u32);

impl Id {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) id: Id,
    pub(super) kind: Kind,
    /// How many nodes the longest way down has, this one included.
    pub(super) depth: u16,
}

/// The sorts of nodes.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Literal(Literal),
    Ident(Box<str>),
    Select(Select),
    Call(Call),
    List {
        items: Vec<Expr>,
        /// Which items are optional (`[?x]`), in order.
        optional: Vec<usize>,
    },
    Map(Vec<Entry>),
    Struct {
        name: Box<str>,
        fields: Vec<FieldInit>,
    },
    Fold(Box<Fold>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
}

/// `operand.field`, or `has(operand.field)`.
#[derive(Clone, Debug)]
pub(super) struct Select {
    pub(super) operand: Box<Expr>,
    pub(super) field: Box<str>,
    pub(super) tests: bool,
}

/// `function(args)` or `target.function(args)`; operators are functions too.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) target: Option<Box<Expr>>,
    pub(super) function: Box<str>,
    pub(super) args: Vec<Expr>,
}

/// `key: value` of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Expr,
    pub(super) value: Expr,
    pub(super) is_optional: bool,
}

/// `name: value` of an object.
#[derive(Clone, Debug)]
pub(super) struct FieldInit {
    pub(super) id: Id,
    pub(super) name: Box<str>,
    pub(super) value: Expr,
    pub(super) is_optional: bool,
}

/// A walk over a list or map that collects into an accumulator.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub(super) variable: Box<str>,
    pub(super) second: Option<Box<str>>,
    pub(super) range: Expr,
    pub(super) accumulator: Box<str>,
    pub(super) start: Expr,
    pub(super) condition: Expr,
    pub(super) step: Expr,
    pub(super) result: Expr,
}

impl Fold {
    /// Whether this only names a value (`optMap`): nothing is walked.
    pub(super) fn is_bind(&self) -> bool {
        self.accumulator.as_ref() != ACCUMULATOR
    }
}

impl Expr {
    /// The name that this is, if it is one: `a` or `a.b.c`.
    pub(super) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.to_string()),
            Kind::Select(select) if !select.tests => {
                let mut name = select.operand.qualified_name()?;
                name.push('.');
                name.push_str(&select.field);
                Some(name)
            }
            _ => None,
        }
    }

    /// The nodes directly below this one.
    pub(super) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
            Kind::Select(select) => vec![&select.operand],
            Kind::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Kind::List { items, .. } => items.iter().collect(),
            Kind::Map(entries) => entries.iter().flat_map(|entry| [&entry.key, &entry.value]).collect(),
            Kind::Struct { fields, .. } => fields.iter().map(|field| &field.value).collect(),
            Kind::Fold(fold) => vec![&fold.range, &fold.start, &fold.condition, &fold.step, &fold.result],
        }
    }
}

impl Expr {
    /// As [`Expr::children`], to change them.
    pub(super) fn children_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
            Kind::Select(select) => vec![&mut select.operand],
            Kind::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
            Kind::List { items, .. } => items.iter_mut().collect(),
            Kind::Map(entries) => entries.iter_mut().flat_map(|entry| [&mut entry.key, &mut entry.value]).collect(),
            Kind::Struct { fields, .. } => fields.iter_mut().map(|field| &mut field.value).collect(),
            Kind::Fold(fold) => {
                let fold = fold.as_mut();
                vec![&mut fold.range, &mut fold.start, &mut fold.condition, &mut fold.step, &mut fold.result]
            }
        }
    }
}

/// Operators as functions, by upstream's names.
pub(super) mod operators {
    pub(in crate::cel) const AND: &str = "_&&_";
    pub(in crate::cel) const OR: &str = "_||_";
    pub(in crate::cel) const NOT: &str = "!_";
    pub(in crate::cel) const NEGATE: &str = "-_";
    pub(in crate::cel) const CONDITIONAL: &str = "_?_:_";
    pub(in crate::cel) const EQUALS: &str = "_==_";
    pub(in crate::cel) const NOT_EQUALS: &str = "_!=_";
    pub(in crate::cel) const LESS: &str = "_<_";
    pub(in crate::cel) const LESS_EQUALS: &str = "_<=_";
    pub(in crate::cel) const GREATER: &str = "_>_";
    pub(in crate::cel) const GREATER_EQUALS: &str = "_>=_";
    pub(in crate::cel) const IN: &str = "@in";
    pub(in crate::cel) const ADD: &str = "_+_";
    pub(in crate::cel) const SUBTRACT: &str = "_-_";
    pub(in crate::cel) const MULTIPLY: &str = "_*_";
    pub(in crate::cel) const DIVIDE: &str = "_/_";
    pub(in crate::cel) const MODULO: &str = "_%_";
    pub(in crate::cel) const INDEX: &str = "_[_]";
    pub(in crate::cel) const OPTIONAL_INDEX: &str = "_[?_]";
    pub(in crate::cel) const OPTIONAL_SELECT: &str = "_?._";
    pub(in crate::cel) const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
    pub(in crate::cel) const MAP_INSERT: &str = "cel.@mapInsert";
}
