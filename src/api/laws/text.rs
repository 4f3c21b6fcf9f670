//! Laws of texts that are read and printed: selectors, quantities, tokens of pages.

use std::collections::BTreeMap;

use crate::paging::Token;
use crate::quantity::{Format, Quantity};
use crate::selectors::{FieldSelector, LabelOperator, LabelSelector};

/// A selector that is read prints as one that selects the same.
pub fn selectors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(selector) = LabelSelector::parse(text) {
        of_labels(text, &selector);
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let printed = selector.to_string();
        let again = FieldSelector::parse(&printed).expect("what is printed can be read");
        // `==` is printed as `=`, which may stand elsewhere among others of the same field.
        let sorted = |selector: &FieldSelector| {
            let mut printed: Vec<String> =
                selector.requirements().iter().map(|it| format!("{:?}", (&it.field, it.operator, &it.value))).collect();
            printed.sort();
            printed
        };
        assert_eq!(sorted(&again), sorted(&selector), "{text:?} printed as {printed:?}");
        for requirement in selector.requirements() {
            let is_met = FieldSelector::parse(&printed).is_ok_and(|again| again.matches(|_| &requirement.value));
            assert_eq!(selector.matches(|_| &requirement.value), is_met, "{text:?}");
        }
    }
}

fn of_labels(text: &str, selector: &LabelSelector) {
    // `x in (,)` asks for an empty value alone, and prints as upstream prints it: `x in ()`, which nobody reads.
    let is_printable = selector.requirements().iter().all(|requirement| {
        !matches!(requirement.operator, LabelOperator::In | LabelOperator::NotIn)
            || requirement.values.iter().any(|value| !value.is_empty())
    });
    if is_printable {
        let printed = selector.to_string();
        let again = LabelSelector::parse(&printed).expect("what is printed can be read");
        assert_eq!(again, *selector, "{text:?} printed as {printed:?}");
    }
    // An object without labels meets what asks for none; one label at a time is met as its requirement says.
    assert!(!selector.is_empty() || selector.matches(&BTreeMap::new()), "{text:?}");
    for requirement in selector.requirements() {
        for value in requirement.values.iter().map(String::as_str).chain(["", "a", "7"]) {
            let is_listed = requirement.values.contains(value);
            let expected = match requirement.operator {
                LabelOperator::In | LabelOperator::Equals | LabelOperator::DoubleEquals => is_listed,
                LabelOperator::NotIn | LabelOperator::NotEquals => !is_listed,
                LabelOperator::Exists => true,
                LabelOperator::DoesNotExist => false,
                LabelOperator::GreaterThan | LabelOperator::LessThan => continue,
            };
            assert_eq!(requirement.matches(Some(value)), expected, "{requirement} on {value:?}");
        }
    }
}

/// A quantity prints as what it is, in a form that prints as itself; sums and differences too. Up to two are read.
pub fn quantities(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut read = text.split_whitespace().filter_map(|word| Quantity::parse(word).ok());
    let Some(one) = read.next() else { return };
    let other = read.next().unwrap_or_else(|| Quantity::from_units(1, Format::Binary));
    for quantity in [one, other, one.plus(other), one.minus(other), other.minus(one)] {
        let printed = quantity.to_string();
        let again = Quantity::parse(&printed).expect("what is printed can be read");
        // A sum beyond 64 bits prints with a binary suffix, and is read as the largest that has one.
        if !matches!(quantity.to_units(), i64::MIN | i64::MAX) {
            assert_eq!(again, quantity, "{text:?}: {printed}");
            // As upstream, an amount that no binary suffix fits is printed without one, and then read as a decimal.
            if printed.contains(|c: char| c.is_alphabetic()) {
                assert_eq!(again.to_string(), printed, "{text:?}");
            }
        }
        assert_eq!(quantity.is_negative(), printed.starts_with('-'), "{text:?}: {printed}");
        assert_eq!(quantity.is_zero(), printed == "0", "{text:?}: {printed}");
    }
    assert_eq!(one.plus(other), other.plus(one), "{text:?}");
    assert_eq!(one < other, one.minus(other).is_negative(), "{text:?}");
    assert_eq!(one <= other, !other.minus(one).is_negative(), "{text:?}");
    if one <= other {
        assert!(one.to_units() <= other.to_units() && one.to_millis() <= other.to_millis(), "{text:?}");
        assert!(one.to_float() <= other.to_float(), "{text:?}");
    }
}

/// A token that is read prints as itself, and leads nowhere out of its list; any key makes a token or none.
pub fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = Token::parse(text) {
        let again = Token::parse(&token.to_string()).expect("what is printed can be read");
        assert_eq!(again, token, "{text:?}");
        assert!(!token.start().split('/').any(|part| part == ".."), "{text:?}");
        assert!(!token.start().starts_with('/'), "{text:?}");
        let newest = Token::parse(&token.of_newest().to_string()).expect("what is printed can be read");
        assert_eq!((newest.revision(), newest.start()), (None, token.start()), "{text:?}");
    }
    let made = Token::new(7, text);
    if let Ok(read) = Token::parse(&made.to_string()) {
        assert_eq!((read.revision(), read.start()), (Some(7), text));
    }
}
