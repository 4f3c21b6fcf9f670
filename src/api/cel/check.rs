//! The type checker: which variables and overloads an expression means, and what type each of its nodes has.

use std::collections::HashMap;

use super::env::Env;
use super::functions::{self, Overload};
use super::issues::{Issues, Source};
use super::syntax::{Call, Entry, Expr, FieldInit, Fold, Id, Kind, Literal, Select, operators};
use super::types::{Mapping, Type, most_general};

/// What the checker found out about each node.
#[derive(Debug, Default)]
pub(super) struct Checked {
    types: Vec<Option<Type>>,
    references: HashMap<Id, Reference>,
}

/// What a node refers to.
#[derive(Clone, Debug)]
pub(super) enum Reference {
    /// A variable of the environment, by its number.
    Variable(usize),
    /// A variable of a fold.
    Local,
    /// A type by its name.
    Type(Box<str>),
    /// The overloads that may be meant, in their order.
    Overloads(Vec<&'static Overload>),
}

impl std::fmt::Debug for Overload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl Checked {
    pub(super) fn kind(&self, expr: &Expr) -> &Type {
        self.types.get(expr.id.index()).and_then(Option::as_ref).unwrap_or(&Type::Dyn)
    }

    pub(super) fn reference(&self, expr: &Expr) -> Option<&Reference> {
        self.references.get(&expr.id)
    }

    /// Whether the variable of this number is referred to.
    pub(super) fn uses(&self, variable: usize) -> bool {
        self.references.values().any(|reference| matches!(reference, Reference::Variable(index) if *index == variable))
    }

    /// The overloads of a call.
    pub(super) fn overloads(&self, expr: &Expr) -> &[&'static Overload] {
        match self.reference(expr) {
            Some(Reference::Overloads(overloads)) => overloads,
            _ => &[],
        }
    }
}

/// Checks an expression; names of several parts that are one name become one node.
pub(super) fn check(root: &mut Expr, source: &Source, env: &Env) -> Result<Checked, String> {
    let mut checker = Checker {
        env,
        source,
        issues: Issues::default(),
        checked: Checked { types: vec![None; source.count()], references: HashMap::new() },
        mapping: Mapping::default(),
        scopes: Vec::new(),
    };
    checker.check(root);
    let Checker { mut checked, mapping, issues, .. } = checker;
    for kind in checked.types.iter_mut().flatten() {
        *kind = mapping.resolve(kind);
    }
    if issues.is_empty() { Ok(checked) } else { Err(issues.tell(source)) }
}

struct Checker<'e> {
    env: &'e Env,
    source: &'e Source,
    issues: Issues,
    checked: Checked,
    mapping: Mapping,
    /// Variables of folds, the innermost last.
    scopes: Vec<(Box<str>, Type)>,
}

/// The type that a name stands for, if it is a type's.
fn type_named(name: &str) -> Option<Type> {
    let parameter = || Type::Dyn;
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "list" => Type::list(parameter()),
        "map" => Type::map(parameter(), parameter()),
        "null_type" => Type::Null,
        "type" => Type::Meta(None),
        "optional_type" => Type::optional(parameter()),
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "kubernetes.Quantity" => Type::Library("kubernetes.Quantity"),
        "kubernetes.URL" => Type::Library("kubernetes.URL"),
        "kubernetes.Semver" => Type::Library("kubernetes.Semver"),
        "kubernetes.NamedFormat" => Type::Library("kubernetes.NamedFormat"),
        "net.IP" => Type::Library("net.IP"),
        "net.CIDR" => Type::Library("net.CIDR"),
        _ => return None,
    })
}

impl Checker<'_> {
    fn check(&mut self, expr: &mut Expr) {
        let id = expr.id;
        if self.replace_by_name(expr) {
            return;
        }
        let kind = match &mut expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(name) => self.undeclared(id, name),
            Kind::Select(select) => self.select(id, select),
            Kind::Call(call) => self.call(id, call),
            Kind::List { items, optional } => self.list(items, optional),
            Kind::Map(entries) => self.map(entries),
            Kind::Struct { name, fields } => self.object(id, name, fields),
            Kind::Fold(fold) => self.fold(fold),
        };
        self.set(id, kind);
    }

    fn set(&mut self, id: Id, kind: Type) {
        if let Some(place) = self.checked.types.get_mut(id.index()) {
            *place = Some(kind);
        }
    }

    fn kind(&self, expr: &Expr) -> Type {
        self.checked.kind(expr).clone()
    }

    fn report(&mut self, id: Id, message: String) {
        self.issues.report(self.source.place(id), message);
    }

    fn mismatch(&mut self, id: Id, wanted: &Type, found: &Type) {
        self.report(id, format!("expected type '{wanted}' but found '{found}'"));
    }

    fn undeclared(&mut self, id: Id, name: &str) -> Type {
        self.report(id, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }

    /// Notes what a name refers to, if it is one that is declared; a name of several parts becomes one.
    fn replace_by_name(&mut self, expr: &mut Expr) -> bool {
        let is_simple = matches!(expr.kind, Kind::Ident(_));
        let Some(name) = expr.qualified_name() else {
            return false;
        };
        let local = self.scopes.iter().rev().find(|(local, _)| local.as_ref() == name).filter(|_| is_simple);
        let (kind, reference) = if let Some((_, kind)) = local {
            (kind.clone(), Reference::Local)
        } else if let Some((index, kind)) = self.env.find(&name) {
            (kind.clone(), Reference::Variable(index))
        } else if let Some(kind) = type_named(&name).or_else(|| self.env.constructed(&name)) {
            (Type::Meta(Some(kind.into())), Reference::Type(name.as_str().into()))
        } else {
            return false;
        };
        expr.kind = Kind::Ident(name.into());
        self.checked.references.insert(expr.id, reference);
        self.set(expr.id, kind);
        true
    }

    fn select(&mut self, id: Id, select: &mut Select) -> Type {
        let Select { operand, field, tests } = select;
        let found = self.field(id, operand, field, false);
        if *tests { Type::Bool } else { self.mapping.substitute(&found) }
    }

    /// The type of a field; optional if its owner is or it is selected so.
    fn field(&mut self, id: Id, operand: &mut Expr, field: &str, is_optional: bool) -> Type {
        self.check(operand);
        let owner = self.mapping.substitute(&self.kind(operand));
        let (target, is_optional) = match &owner {
            Type::Optional(inner) => (inner.as_ref().clone(), true),
            _ => (owner.clone(), is_optional),
        };
        let found = match &target {
            Type::Map(entry) => entry.1.clone(),
            Type::Object(object) => match object.fields.get(field) {
                Some(field) => field.decl.kind(),
                None if object.is_open => Type::Dyn,
                None => {
                    self.report(id, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Parameter(_) => {
                self.mapping.assign(&[Type::Dyn], std::slice::from_ref(&target));
                Type::Dyn
            }
            target => {
                if !target.is_dyn_or_error() {
                    self.report(id, format!("type '{target}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if is_optional { Type::optional(found) } else { found }
    }

    fn call(&mut self, id: Id, call: &mut Call) -> Type {
        if call.function.as_ref() == operators::OPTIONAL_SELECT {
            return self.optional_select(id, call);
        }
        for arg in &mut call.args {
            self.check(arg);
        }
        if let Some(target) = &mut call.target {
            let prefix = target.qualified_name();
            if let Some(name) = prefix.map(|prefix| format!("{prefix}.{}", call.function))
                && !self.named(&name).is_empty()
            {
                call.function = name.into();
                call.target = None;
                return self.resolve(id, call);
            }
            self.check(target);
        }
        if self.named(&call.function).is_empty() {
            return self.undeclared(id, &call.function);
        }
        self.resolve(id, call)
    }

    fn named(&self, function: &str) -> &'static [Overload] {
        if function == "jsonpatch.escapeKey" && !self.env.has_patches() {
            return &[];
        }
        functions::named(function)
    }

    fn optional_select(&mut self, id: Id, call: &mut Call) -> Type {
        let [operand, field] = call.args.as_mut_slice() else {
            return Type::Error;
        };
        let Kind::Literal(Literal::String(name)) = &field.kind else {
            return Type::Error;
        };
        let name = name.clone();
        self.set(field.id, Type::String);
        let found = self.field(id, operand, &name, true);
        let overloads = functions::named(operators::OPTIONAL_SELECT).iter().collect();
        self.checked.references.insert(id, Reference::Overloads(overloads));
        self.mapping.substitute(&found)
    }

    /// Which overloads fit, and what they answer.
    fn resolve(&mut self, id: Id, call: &Call) -> Type {
        let nodes: Vec<&Expr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let args: Vec<Type> = nodes.iter().map(|node| self.kind(node)).collect();
        let overloads = self.named(&call.function);
        if matches!(call.function.as_ref(), operators::AND | operators::OR) {
            return self.logical(id, overloads, &nodes, &args);
        }
        let mut fitting = Vec::new();
        let mut result: Option<Type> = None;
        for overload in overloads.iter().filter(|overload| overload.is_member == call.target.is_some()) {
            let mut made = HashMap::new();
            let wanted: Vec<Type> =
                overload.args.iter().map(|kind| self.mapping.instantiate(kind, &mut made)).collect();
            let answer = self.mapping.instantiate(&overload.result, &mut made);
            if !self.mapping.assign(&args, &wanted) {
                continue;
            }
            fitting.push(overload);
            let answer = self.mapping.substitute(&answer);
            result = Some(match result {
                Some(known) if known != Type::Dyn && known != answer => Type::Dyn,
                Some(known) => known,
                None => answer,
            });
        }
        let Some(result) = result else {
            let args: Vec<String> = args.iter().map(|kind| self.mapping.resolve(kind).to_string()).collect();
            let signature = match (&call.target, args.split_first()) {
                (Some(_), Some((target, args))) => format!("{target}.({})", args.join(", ")),
                _ => format!("({})", args.join(", ")),
            };
            let function = &call.function;
            self.report(id, format!("found no matching overload for '{function}' applied to '{signature}'"));
            return Type::Error;
        };
        self.checked.references.insert(id, Reference::Overloads(fitting));
        result
    }

    fn logical(&mut self, id: Id, overloads: &'static [Overload], nodes: &[&Expr], args: &[Type]) -> Type {
        let mut result = Type::Bool;
        for (node, kind) in nodes.iter().zip(args) {
            if !self.mapping.assign(std::slice::from_ref(kind), &[Type::Bool]) {
                self.mismatch(node.id, &Type::Bool, kind);
                result = Type::Error;
            }
        }
        self.checked.references.insert(id, Reference::Overloads(overloads.iter().collect()));
        result
    }

    /// The type of both, as items of one list are.
    fn join(&mut self, known: Option<Type>, found: Type) -> Type {
        let Some(known) = known else {
            return found;
        };
        if self.mapping.assign(std::slice::from_ref(&known), std::slice::from_ref(&found)) {
            return most_general(&known, &found).clone();
        }
        Type::Dyn
    }

    /// What an optional item holds.
    fn unwrap_optional(&mut self, expr: &Expr) -> Type {
        match self.kind(expr) {
            Type::Optional(inner) => inner.as_ref().clone(),
            found => {
                if found != Type::Dyn {
                    self.mismatch(expr.id, &Type::optional(found.clone()), &found);
                }
                found
            }
        }
    }

    fn list(&mut self, items: &mut [Expr], optional: &[usize]) -> Type {
        let mut joined = None;
        for (index, item) in items.iter_mut().enumerate() {
            self.check(item);
            let found = if optional.contains(&index) { self.unwrap_optional(item) } else { self.kind(item) };
            joined = Some(self.join(joined, found));
        }
        Type::list(joined.unwrap_or_else(|| self.mapping.fresh()))
    }

    fn map(&mut self, entries: &mut [Entry]) -> Type {
        let (mut keys, mut values) = (None, None);
        for Entry { key, value, is_optional } in entries {
            self.check(key);
            let found = self.kind(key);
            keys = Some(self.join(keys, found));
            self.check(value);
            let found = if *is_optional { self.unwrap_optional(value) } else { self.kind(value) };
            values = Some(self.join(values, found));
        }
        let keys = keys.unwrap_or_else(|| self.mapping.fresh());
        Type::map(keys, values.unwrap_or_else(|| self.mapping.fresh()))
    }

    fn object(&mut self, id: Id, name: &str, fields: &mut [FieldInit]) -> Type {
        let Some(kind) = self.env.constructed(name) else {
            if type_named(name).is_some() {
                self.report(id, format!("'{name}' is not a message type"));
            } else {
                self.undeclared(id, name);
            }
            for field in fields {
                self.check(&mut field.value);
            }
            return Type::Error;
        };
        for field in fields {
            self.check(&mut field.value);
            let wanted = match &kind {
                Type::Object(object) if object.is_open => Some(Type::Dyn),
                Type::Object(object) => object.fields.get(field.name.as_ref()).map(|field| field.decl.kind()),
                _ => None,
            };
            let wanted = wanted.unwrap_or_else(|| {
                self.report(field.id, format!("undefined field '{}'", field.name));
                Type::Error
            });
            let found = if field.is_optional { self.unwrap_optional(&field.value) } else { self.kind(&field.value) };
            if !self.mapping.assign(std::slice::from_ref(&wanted), std::slice::from_ref(&found)) {
                let name = &field.name;
                let message = format!("expected type of field '{name}' is '{wanted}' but provided type is '{found}'");
                self.report(field.id, message);
            }
        }
        kind
    }

    fn fold(&mut self, fold: &mut Fold) -> Type {
        self.check(&mut fold.range);
        self.check(&mut fold.start);
        let range = self.mapping.substitute(&self.kind(&fold.range));
        let collected = self.kind(&fold.start);
        let outer = self.scopes.len();
        self.scopes.push((fold.accumulator.clone(), collected.clone()));
        let (first, second) = match &range {
            Type::List(item) if fold.second.is_some() => (Type::Int, item.as_ref().clone()),
            Type::List(item) => (item.as_ref().clone(), Type::Dyn),
            Type::Map(entry) => (entry.0.clone(), entry.1.clone()),
            Type::Dyn | Type::Error | Type::Parameter(_) => {
                self.mapping.assign(&[Type::Dyn], std::slice::from_ref(&range));
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(fold.range.id, message);
                (Type::Error, Type::Error)
            }
        };
        let inner = self.scopes.len();
        self.scopes.push((fold.variable.clone(), first));
        if let Some(name) = &fold.second {
            self.scopes.push((name.clone(), second));
        }
        self.check(&mut fold.condition);
        self.must_be(&fold.condition, &Type::Bool);
        self.check(&mut fold.step);
        self.must_be(&fold.step, &collected);
        self.scopes.truncate(inner);
        self.check(&mut fold.result);
        self.scopes.truncate(outer);
        self.mapping.substitute(&self.kind(&fold.result))
    }

    fn must_be(&mut self, expr: &Expr, wanted: &Type) {
        let found = self.kind(expr);
        if !self.mapping.assign(std::slice::from_ref(&found), std::slice::from_ref(wanted)) {
            let found = self.mapping.substitute(&found);
            self.mismatch(expr.id, wanted, &found);
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
