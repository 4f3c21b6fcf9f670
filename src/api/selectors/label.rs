//! Label selectors: `app=web,tier in (a, b),!legacy`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use super::{ParseError, label_parser};
use crate::names;
use crate::validation::field::{Error, Path};

/// Requirements that an object's labels must all meet; none of them is met by everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LabelSelector(Vec<LabelRequirement>);

/// What one label must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LabelRequirement {
    /// The label's key.
    pub key: String,
    /// How it is compared.
    pub operator: LabelOperator,
    /// With what it is compared; one value for all operators but `In` and `NotIn`, none for `Exists`.
    pub values: BTreeSet<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LabelOperator {
    /// It is one of the values.
    In,
    /// It is none of the values, or not there.
    NotIn,
    /// It is the value.
    Equals,
    /// The same, written `==`.
    DoubleEquals,
    /// It is not the value, or not there.
    NotEquals,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// It is a larger integer.
    GreaterThan,
    /// It is a smaller integer.
    LessThan,
}

impl LabelSelector {
    /// Reads a selector as it stands in a query; an empty one selects everything.
    ///
    /// # Errors
    /// When it is not in the grammar, or names a key or value that no label can have.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        label_parser::parse(text).map(Self).map_err(ParseError)
    }

    /// A selector as it stands in an object: `{matchLabels, matchExpressions}`.
    ///
    /// # Errors
    /// When an operator is unknown; values that validation has passed cannot fail.
    pub fn from_value(selector: &Value) -> Result<Self, ParseError> {
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let values = value.as_str().map(str::to_owned).into_iter().collect();
            requirements.push(LabelRequirement { key: key.clone(), operator: LabelOperator::Equals, values });
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let operator = match expression.get("operator").and_then(Value::as_str).unwrap_or_default() {
                "In" => LabelOperator::In,
                "NotIn" => LabelOperator::NotIn,
                "Exists" => LabelOperator::Exists,
                "DoesNotExist" => LabelOperator::DoesNotExist,
                other => return Err(ParseError(format!("\"{other}\" is not a valid label selector operator"))),
            };
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            requirements.push(LabelRequirement {
                key: expression.get("key").and_then(Value::as_str).unwrap_or_default().to_owned(),
                operator,
                values: values.filter_map(Value::as_str).map(str::to_owned).collect(),
            });
        }
        Ok(Self(requirements))
    }

    /// The selector of an object with replicas, of which a replication controller's is a plain map of labels.
    ///
    /// # Errors
    /// As [`Self::from_value`].
    pub fn of_replicas(object: &Value) -> Result<Self, ParseError> {
        let selector = object.pointer("/spec/selector").unwrap_or(&Value::Null);
        match selector.as_object() {
            Some(plain) if plain.values().all(Value::is_string) => Self::from_value(&json!({"matchLabels": plain})),
            _ => Self::from_value(selector),
        }
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these labels meet all requirements.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels.get(&requirement.key).map(String::as_str)))
    }

    /// Its requirements.
    #[must_use]
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.0
    }
}

impl LabelRequirement {
    /// Whether a label's value (`None` where it is not there) meets it.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        use LabelOperator::{DoesNotExist, DoubleEquals, Equals, Exists, GreaterThan, In, LessThan, NotEquals, NotIn};
        match self.operator {
            In | Equals | DoubleEquals => value.is_some_and(|value| self.values.contains(value)),
            NotIn | NotEquals => value.is_none_or(|value| !self.values.contains(value)),
            Exists => value.is_some(),
            DoesNotExist => value.is_none(),
            GreaterThan => self.compare(value).is_some_and(|(found, bound)| found > bound),
            LessThan => self.compare(value).is_some_and(|(found, bound)| found < bound),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }

    /// A requirement that labels can meet, or upstream's message.
    pub(super) fn checked(key: &str, operator: LabelOperator, values: BTreeSet<String>) -> Result<Self, String> {
        let mut errors = Vec::new();
        let path = Path::new("values");
        if matches!(operator, LabelOperator::In | LabelOperator::NotIn) && values.is_empty() {
            let detail = "for 'in', 'notin' operators, values set can't be empty";
            errors.push(Error::invalid(&path, Vec::<String>::new(), detail));
        }
        for (index, value) in values.iter().enumerate() {
            let path = path.index(index);
            let is_comparison = matches!(operator, LabelOperator::GreaterThan | LabelOperator::LessThan);
            if is_comparison && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(Error::invalid(&path, value.as_str(), detail));
            }
            let wrong = names::label_value(value);
            if !wrong.is_empty() {
                errors.push(Error::invalid(path.key(key), value.as_str(), wrong.join("; ")));
            }
        }
        let messages: Vec<String> = errors.iter().map(Error::to_string).collect();
        match messages.as_slice() {
            [] => Ok(Self { key: key.to_owned(), operator, values }),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LabelOperator::{DoesNotExist, DoubleEquals, Equals, Exists, GreaterThan, In, LessThan, NotEquals, NotIn};
        let key = &self.key;
        let values = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self.operator {
            In => write!(f, "{key} in ({values})"),
            NotIn => write!(f, "{key} notin ({values})"),
            Equals => write!(f, "{key}={values}"),
            DoubleEquals => write!(f, "{key}=={values}"),
            NotEquals => write!(f, "{key}!={values}"),
            Exists => write!(f, "{key}"),
            DoesNotExist => write!(f, "!{key}"),
            GreaterThan => write!(f, "{key}>{values}"),
            LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels() -> BTreeMap<String, String> {
        [("app", "web"), ("tier", "3"), ("in", "x")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[track_caller]
    fn check(selector: &str, expected: bool) {
        assert_eq!(LabelSelector::parse(selector).unwrap().matches(&labels()), expected, "{selector}");
    }

    #[track_caller]
    fn refuse(selector: &str, expected: &str) {
        assert_eq!(LabelSelector::parse(selector).unwrap_err().to_string(), expected);
    }

    #[test]
    fn every_form_selects_what_upstream_selects() {
        for selector in [
            "",
            "app",
            "!none",
            "app=web",
            "app==web",
            "app!=db",
            "none!=x",
            "app in (web, db)",
            "app notin (db)",
            "none notin (a)",
            "tier>2",
            "tier<4",
            "app=web,tier=3",
            "in=x",
            "in in (x,in)",
            " app = web ",
        ] {
            check(selector, true);
        }
        for selector in ["none", "!app", "app=db", "app!=web", "app in (db)", "app in (,)", "tier>3", "app>1", "app="] {
            check(selector, false);
        }
    }

    #[test]
    fn errors_are_those_of_upstream() {
        // Recorded from a kube-apiserver 1.36.2.
        refuse("a b c", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        refuse("a=b=c", "found '=', expected: ',' or 'end of string'");
        refuse("a,", "found '', expected: identifier after ','");
        refuse("=a", "found '=', expected: !, identifier, or 'end of string'");
        refuse("a in b", "unable to parse requirement: found 'b' expected: '('");
        refuse("a in (b c", "unable to parse requirement: found 'c', expected: ',' or ')'");
        refuse(
            "a in ()",
            "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        );
        refuse(
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        );
        let wrong = LabelSelector::parse("a=b@").unwrap_err().to_string();
        assert!(wrong.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"b@\": a valid label"));
        let wrong = LabelSelector::parse("a@=b").unwrap_err().to_string();
        assert!(wrong.starts_with("unable to parse requirement: <nil>: Invalid value: \"a@\": name part"));
    }

    #[test]
    fn selectors_of_objects_are_read_too() {
        let selector = json!({"matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["3", "4"]}, {"key": "none", "operator": "DoesNotExist"}]});
        let selector = LabelSelector::from_value(&selector).unwrap();
        assert!(selector.matches(&labels()));
        assert_eq!(selector.to_string(), "app=web,tier in (3,4),!none");
        assert!(LabelSelector::from_value(&json!({})).unwrap().is_empty());
    }
}
