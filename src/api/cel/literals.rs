//! Literals that cannot be what they stand for: constants of the wrong form, and lists and maps of mixed types.

use super::check::Checked;
use super::functions::{regex, time};
use super::issues::{Issues, Source};
use super::syntax::{Call, Entry, Expr, Kind, Literal};
use super::types::Type;
use crate::durations;

/// Whether all literals of a checked expression are right.
pub(super) fn check(root: &Expr, checked: &Checked, source: &Source) -> Result<(), String> {
    let mut issues = Issues::default();
    let mut pending = vec![(root, false)];
    while let Some((expr, is_formatted)) = pending.pop() {
        // What is to be formatted may be of any types.
        let is_formatted = is_formatted || matches!(&expr.kind, Kind::Call(call) if call.function.as_ref() == "format");
        pending.extend(expr.children().into_iter().map(|child| (child, is_formatted)));
        let mut mixed = Mixed { checked, source, issues: &mut issues };
        match &expr.kind {
            Kind::Call(call) => check_constant(call, source, &mut issues),
            Kind::List { items, optional } if !is_formatted => mixed.list(items, optional),
            Kind::Map(entries) if !is_formatted => mixed.map(entries),
            _ => {}
        }
    }
    if issues.is_empty() { Ok(()) } else { Err(issues.tell(source)) }
}

fn check_constant(call: &Call, source: &Source, issues: &mut Issues) {
    let Some(Expr { id, kind: Kind::Literal(Literal::String(text)), .. }) = call.args.first() else {
        return;
    };
    let is_valid = match call.function.as_ref() {
        "duration" => durations::parse(text).is_ok(),
        "timestamp" => time::Point::parse(text).is_some(),
        "matches" => regex::is_valid(text),
        _ => true,
    };
    if !is_valid {
        issues.report(source.place(*id), format!("invalid {} argument", call.function));
    }
}

struct Mixed<'c> {
    checked: &'c Checked,
    source: &'c Source,
    issues: &'c mut Issues,
}

impl Mixed<'_> {
    fn kind(&self, expr: &Expr, is_optional: bool) -> Type {
        match self.checked.kind(expr) {
            Type::Optional(inner) if is_optional => inner.as_ref().clone(),
            kind => kind.clone(),
        }
    }

    /// Whether a type is that of those before.
    fn fits(&mut self, expr: &Expr, wanted: &mut Option<Type>, found: Type) -> bool {
        match wanted {
            Some(wanted) if *wanted != found => {
                let message = format!("expected type '{wanted}' but found '{found}'");
                self.issues.report(self.source.place(expr.id), message);
                false
            }
            Some(_) => true,
            None => {
                *wanted = Some(found);
                true
            }
        }
    }

    fn list(&mut self, items: &[Expr], optional: &[usize]) {
        let mut wanted = None;
        for (index, item) in items.iter().enumerate() {
            let found = self.kind(item, optional.contains(&index));
            if !self.fits(item, &mut wanted, found) {
                return;
            }
        }
    }

    fn map(&mut self, entries: &[Entry]) {
        let (mut keys, mut values) = (None, None);
        for Entry { key, value, is_optional } in entries {
            let found = self.kind(key, false);
            self.fits(key, &mut keys, found);
            let found = self.kind(value, *is_optional);
            self.fits(value, &mut values, found);
        }
    }
}
