//! What calls cost by their overloads' rules, and how large what they answer is.

use super::super::cost::{self, CHARACTER, PATTERN_CHARACTER, Rule};
use super::super::syntax::{Kind, Literal};
use super::super::types::Type;
use super::span::{Span, compare, divide_up};
use super::{Answer, Arg, Estimator};

impl Estimator<'_> {
    /// What a call itself costs, where that is not 1.
    pub(super) fn by_kind(&self, rule: Rule, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Option<Answer> {
        let first = args.first();
        // What a function reads: its target, or else its first argument.
        let read = || target.or(first).map(|arg| self.arg_size(arg));
        let own = |arg: Option<&Arg<'_>>| arg.map(|arg| arg.size.unwrap_or(Span::UNKNOWN));
        let answer = |cost: Span| Some(Answer { cost, size: None });
        let sized = |cost: Span, size: Span| Some(Answer { cost, size: Some(size) });
        match rule {
            Rule::Fixed(cost) => answer(Span::fixed(cost)),
            Rule::InList => answer(own(args.get(1))?),
            Rule::Compare => answer(compare(own(first)?, own(args.get(1))?)),
            Rule::Equals => answer(self.equality(first?, args.get(1)?)),
            Rule::Matches => match target {
                Some(target) => {
                    let text = target.size.unwrap_or(Span::UNKNOWN).plus(Span::ONE).scale(CHARACTER);
                    answer(text.times(own(first)?.scale(PATTERN_CHARACTER)))
                }
                None => None,
            },
            Rule::Contains => answer(own(target)?.scale(CHARACTER).times(own(first)?.scale(CHARACTER))),
            Rule::StartsWith => answer(own(first)?.scale(CHARACTER)),
            Rule::Traverse => answer(self.traversal(target?)),
            Rule::Scan => {
                let size = read()?;
                sized(size.scale(CHARACTER), size)
            }
            Rule::Parse => answer(self.arg_size(first?).scale(CHARACTER)),
            Rule::ParseTwice => answer(self.arg_size(first?).scale(2.0 * CHARACTER)),
            Rule::Validate => {
                let text = self.arg_size(first?).scale(CHARACTER);
                #[expect(clippy::cast_precision_loss, reason = "it is 128")]
                answer(text.scale(cost::FORMAT_PATTERN_SIZE as f64 * PATTERN_CHARACTER))
            }
            Rule::Replace => self.replace(target?, args),
            Rule::Split => {
                let size = self.arg_size(target?);
                let max = match args.get(1).map(|arg| &arg.expr.kind) {
                    #[expect(clippy::cast_sign_loss, reason = "upstream casts so")]
                    Some(Kind::Literal(Literal::Int(limit))) => *limit as u64,
                    _ => size.max,
                };
                sized(size.scale(2.0 * CHARACTER), Span { min: 0, max })
            }
            Rule::Join => self.join(target?, first),
            Rule::Find => {
                let size = self.arg_size(target?);
                let text = size.plus(Span::ONE).scale(CHARACTER);
                let pattern = self.arg_size(first?).scale(PATTERN_CHARACTER);
                sized(text.times(pattern), Span { min: 0, max: size.max })
            }
            Rule::ContainsIp | Rule::ContainsIpString | Rule::ContainsCidr | Rule::ContainsCidrString => {
                answer(self.contains_address(rule, first?))
            }
            Rule::Sets(factor) => {
                let (one, two) = (self.arg_size(first?), self.arg_size(args.get(1)?));
                answer(one.times(two).times(Span::fixed(factor)).plus(Span::ONE))
            }
            Rule::Slice | Rule::Flatten | Rule::Range | Rule::Reverse | Rule::Distinct | Rule::Sort | Rule::SortBy => {
                self.list_made(rule, target, args)
            }
            _ => self.by_text(rule, target, first),
        }
    }

    /// What a call itself costs that makes a text of another, or a selector of one.
    fn by_text(&self, rule: Rule, target: Option<&Arg<'_>>, first: Option<&Arg<'_>>) -> Option<Answer> {
        let own = |arg: Option<&Arg<'_>>| arg.map(|arg| arg.size.unwrap_or(Span::UNKNOWN));
        let answer = |cost: Span| Some(Answer { cost, size: None });
        let sized = |cost: Span, size: Span| Some(Answer { cost, size: Some(size) });
        match rule {
            Rule::StringToBytes => {
                let size = own(first)?;
                sized(size.scale(CHARACTER), Span { min: size.min, max: size.max.saturating_mul(4) })
            }
            Rule::BytesToString => {
                let size = own(first)?;
                sized(size.scale(CHARACTER), Span { min: size.min / 4, max: size.max })
            }
            Rule::Quote => {
                let size = own(first)?;
                let max = size.max.saturating_mul(2).saturating_add(2);
                sized(size.scale(CHARACTER), Span { min: size.min.saturating_add(2), max })
            }
            Rule::Format => answer(own(target)?.scale(CHARACTER)),
            Rule::Selector => {
                let size = self.arg_size(first?);
                let each = Span::fixed(cost::LIST + cost::OBJECT);
                let requirements = size.scale(cost::REQUIREMENTS_PER_CHARACTER).times(each);
                answer(Span::fixed(cost::LIST).plus(size.scale(CHARACTER)).plus(requirements))
            }
            _ => None,
        }
    }

    fn equality(&self, one: &Arg<'_>, two: &Arg<'_>) -> Span {
        let kind = self.checked.kind(one.expr);
        if kind == self.checked.kind(two.expr) {
            match kind {
                kind if cost::compares_at_once(kind) => return Span::ONE,
                Type::Library("kubernetes.NamedFormat") => return Span { min: 1, max: 64 }.scale(CHARACTER),
                Type::Library("kubernetes.URL") => {
                    let max = two.size.map_or(1, |size| size.max);
                    return Span { min: 1, max }.scale(CHARACTER);
                }
                _ => {}
            }
        }
        compare(one.size.unwrap_or(Span::UNKNOWN), two.size.unwrap_or(Span::UNKNOWN))
    }

    /// The size of the items of a list, as far as types and the schema tell.
    fn item_size(&self, list: &Arg<'_>) -> Span {
        let mut path = list.path.clone();
        if path.is_empty() {
            return Span::UNKNOWN;
        }
        path.push("@items".into());
        self.declared(&path).unwrap_or(Span::UNKNOWN)
    }

    fn traversal(&self, target: &Arg<'_>) -> Span {
        let size = self.arg_size(target);
        match self.checked.kind(target.expr) {
            Type::List(item) => {
                let mut each = Span::ONE;
                if matches!(item.as_ref(), Type::String | Type::Bytes) {
                    each = each.plus(self.item_size(target).scale(CHARACTER));
                }
                size.times(each)
            }
            _ => size.scale(CHARACTER),
        }
    }

    fn replace(&self, target: &Arg<'_>, args: &[Arg<'_>]) -> Option<Answer> {
        let size = self.arg_size(target);
        let (old, new) = (self.arg_size(args.first()?), self.arg_size(args.get(1)?));
        // How often the new text stands in the answer, and how much of the old target does.
        let bound = |size: u64, old: u64, is_kept: bool| match (old, is_kept) {
            (0, _) => (size.saturating_add(1), size),
            (_, true) => (0, size),
            (_, false) => (divide_up(size, old), 0),
        };
        let (most, most_kept) = bound(size.max, old.min, new.max <= old.min);
        let (least, least_kept) = bound(size.min, old.max, old.max <= new.min);
        let (count, kept) = (Span { min: least, max: most }, Span { min: least_kept, max: most_kept });
        Some(Answer { cost: size.scale(2.0 * CHARACTER), size: Some(count.times(new).plus(kept)) })
    }

    fn join(&self, target: &Arg<'_>, separator: Option<&Arg<'_>>) -> Option<Answer> {
        let items = self.arg_size(target);
        let mut size = Span::ZERO;
        if matches!(self.checked.kind(target.expr), Type::List(_)) {
            size = items.times(self.item_size(target));
        }
        if let Some(separator) = separator {
            let gaps = Span { min: items.min.saturating_sub(1), max: items.max.saturating_sub(1) };
            size = size.plus(self.arg_size(separator).times(gaps));
        }
        Some(Answer { cost: size.scale(CHARACTER), size: Some(size) })
    }

    fn contains_address(&self, rule: Rule, arg: &Arg<'_>) -> Span {
        let bytes = Span { min: 4, max: 16 };
        let mut cost = bytes.plus(bytes).scale(CHARACTER);
        if matches!(rule, Rule::ContainsCidr | Rule::ContainsCidrString) {
            cost = cost.plus(bytes.scale(CHARACTER)).plus(Span::ONE);
        }
        if matches!(rule, Rule::ContainsIpString | Rule::ContainsCidrString) {
            cost = cost.plus(self.arg_size(arg).scale(CHARACTER));
        }
        cost
    }

    /// What makes a list of its own.
    fn list_made(&self, rule: Rule, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Option<Answer> {
        let number = |arg: Option<&Arg<'_>>, unknown: u64| match arg.map(|arg| &arg.expr.kind) {
            Some(Kind::Literal(Literal::Int(number))) => u64::try_from(*number).unwrap_or_default(),
            _ => unknown,
        };
        let of_target = || target.map(|target| self.arg_size(target));
        let (factor, size) = match rule {
            Rule::Slice => {
                let size = of_target()?;
                let (start, end) = (number(args.first(), 0), number(args.get(1), size.max));
                (1.0, Span::fixed(end.wrapping_sub(start)))
            }
            Rule::Range => (1.0, Span::fixed(number(args.first(), u64::MAX))),
            Rule::Reverse => (1.0, of_target()?),
            #[expect(clippy::cast_precision_loss, reason = "upstream computes so")]
            Rule::Flatten => {
                let levels = if args.is_empty() { 1 } else { number(args.first(), u64::MAX) };
                (levels as f64, of_target()?)
            }
            Rule::Distinct => {
                let size = of_target()?;
                (2.0, size.times(size))
            }
            _ => {
                let keys = if rule == Rule::Sort { target? } else { args.first()? };
                let size = self.arg_size(keys);
                let is_text = match self.checked.kind(keys.expr) {
                    Type::List(item) => matches!(item.as_ref(), Type::String | Type::Bytes),
                    _ => false,
                };
                (if is_text { 2.0 + CHARACTER } else { 2.0 }, size.times(size))
            }
        };
        Some(Answer { cost: size.scale(factor).plus(Span::fixed(cost::LIST + 1)), size: Some(size) })
    }
}
