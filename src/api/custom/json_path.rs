//! JSON paths as Kubernetes writes them (`k8s.io/client-go/util/jsonpath`): `.spec.ports[0].name`,
//! `.status.conditions[?(@.type=="Ready")].status`, `.metadata.labels['app']`, `.items[*].name`, `..image`.

use std::cmp::Ordering;

use serde_json::Value;

/// Characters of a path. Upstream has no bound of its own; a path of a column stands in a heading's place.
const CHARS_MAX: usize = 1024;

/// Values that a path may find: it is walked for each object of a list.
const FOUND_MAX: usize = 1024;

/// A path that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// It is too long to be one.
    #[error("a JSON path has at most {CHARS_MAX} characters")]
    TooLong,
    /// A bracket or quote is not closed.
    #[error("unterminated {0}")]
    Unterminated(&'static str),
    /// Something stands where no step can.
    #[error("unrecognized character in action: {0}")]
    Unrecognized(String),
    /// What stands in brackets is no index, key or filter.
    #[error("invalid array index {0}")]
    Index(String),
}

/// A path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    /// A field of an object.
    Field(Box<str>),
    /// Every field or item.
    All,
    /// An item, counted from the end when negative.
    Index(i64),
    /// Items from, to (exclusive), by.
    Slice(Option<i64>, Option<i64>, i64),
    /// Items that satisfy a comparison.
    Filter(Filter),
    /// The value itself and all that is in it.
    Descend,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Filter {
    path: JsonPath,
    /// How it is compared and with what; `None` asks whether it is there.
    comparison: Option<(Operator, Value)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Operators, the longer of two that begin alike first.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl JsonPath {
    /// Reads a path, with or without the braces of kubectl's templates.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > CHARS_MAX {
            return Err(Error::TooLong);
        }
        let text = text.trim();
        let text = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let mut rest = text.strip_prefix(['$', '@']).unwrap_or(text);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            rest = step(rest, steps.is_empty(), &mut steps)?;
        }
        Ok(Self { steps })
    }

    /// The values that the path leads to, in order.
    #[must_use]
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                step.take(value, &mut next);
                next.truncate(FOUND_MAX);
            }
            found = next;
        }
        found
    }

    /// The names of the fields on the way, if it leads through fields alone.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<&str>> {
        let name = |step: &Step| match step {
            Step::Field(_) => true,
            Step::All | Step::Index(_) | Step::Slice(..) | Step::Filter(_) | Step::Descend => false,
        };
        let fields = self.steps.iter().filter_map(|step| match step {
            Step::Field(name) => Some(&**name),
            _ => None,
        });
        self.steps.iter().all(name).then(|| fields.collect())
    }
}

/// Reads one step, and gives back what follows it.
fn step<'t>(text: &'t str, is_first: bool, steps: &mut Vec<Step>) -> Result<&'t str, Error> {
    if let Some(rest) = text.strip_prefix("..") {
        steps.push(Step::Descend);
        return Ok(if rest.starts_with('[') { rest } else { field(rest, steps) });
    }
    if let Some(rest) = text.strip_prefix('.') {
        return Ok(if rest.starts_with('[') { rest } else { field(rest, steps) });
    }
    if text.starts_with('[') {
        let end = closing(text).ok_or(Error::Unterminated("array"))?;
        let inner = text.get(1..end).unwrap_or_default().trim();
        steps.push(bracket(inner)?);
        return Ok(text.get(end + 1..).unwrap_or_default());
    }
    if is_first {
        return Ok(field(text, steps));
    }
    Err(Error::Unrecognized(format!("{:?}", text.chars().next().unwrap_or_default())))
}

/// A field's name up to the next step; a backslash takes what follows it as it is.
fn field<'t>(text: &'t str, steps: &mut Vec<Step>) -> &'t str {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => {
                end = at;
                break;
            }
            c => name.push(c),
        }
    }
    match name.as_str() {
        "" => {}
        "*" => steps.push(Step::All),
        name => steps.push(Step::Field(name.into())),
    }
    text.get(end..).unwrap_or_default()
}

/// Where the bracket that `text` begins with is closed, beyond quotes and brackets within.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            _ if is_escaped => is_escaped = false,
            ('\\', _) => is_escaped = true,
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('[', None) => depth += 1,
            (']', None) => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Result<Step, Error> {
    if inner == "*" {
        return Ok(Step::All);
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return filter(condition.trim()).map(Step::Filter);
    }
    if let Some(name) = quoted(inner) {
        return Ok(Step::Field(name.into()));
    }
    let wrong = || Error::Index(inner.to_owned());
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        digits => digits.parse::<i64>().map(Some).map_err(|_| wrong()),
    };
    match inner.split(':').collect::<Vec<_>>().as_slice() {
        [index] => number(index)?.map(Step::Index).ok_or_else(wrong),
        [from, to] => Ok(Step::Slice(number(from)?, number(to)?, 1)),
        [from, to, by] => match number(by)?.unwrap_or(1) {
            by if by > 0 => Ok(Step::Slice(number(from)?, number(to)?, by)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn quoted(text: &str) -> Option<String> {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('\'').or_else(|| inner('"')).map(|name| name.replace("\\.", ".").replace("\\'", "'"))
}

fn filter(condition: &str) -> Result<Filter, Error> {
    let mut quote = None;
    for (at, c) in condition.char_indices() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            (_, None) => {
                let rest = condition.get(at..).unwrap_or_default();
                if let Some((sign, operator)) = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign)) {
                    let right = rest.get(sign.len()..).unwrap_or_default().trim();
                    let left = condition.get(..at).unwrap_or_default().trim();
                    return Ok(Filter { path: JsonPath::parse(left)?, comparison: Some((*operator, literal(right)?)) });
                }
            }
        }
    }
    Ok(Filter { path: JsonPath::parse(condition)?, comparison: None })
}

fn literal(text: &str) -> Result<Value, Error> {
    if let Some(text) = quoted(text) {
        return Ok(Value::String(text));
    }
    serde_json::from_str(text).map_err(|_| Error::Unrecognized(text.to_owned()))
}

impl Step {
    fn take<'v>(&self, value: &'v Value, found: &mut Vec<&'v Value>) {
        match (self, value) {
            (Self::Field(name), Value::Object(fields)) => found.extend(fields.get(&**name)),
            (Self::All, Value::Object(fields)) => found.extend(fields.values()),
            (Self::All, Value::Array(items)) => found.extend(items),
            (Self::Index(index), Value::Array(items)) => {
                found.extend(place(*index, items.len()).and_then(|at| items.get(at)))
            }
            (Self::Slice(from, to, by), Value::Array(items)) => {
                let bound = |end: Option<i64>, otherwise: usize| match end {
                    Some(end) if end < 0 => {
                        items.len().saturating_add_signed(isize::try_from(end).unwrap_or(isize::MIN))
                    }
                    Some(end) => usize::try_from(end).unwrap_or(usize::MAX).min(items.len()),
                    None => otherwise,
                };
                let (from, to) = (bound(*from, 0), bound(*to, items.len()));
                let by = usize::try_from(*by).unwrap_or(1).max(1);
                found.extend(items.get(from..to.max(from)).unwrap_or_default().iter().step_by(by));
            }
            (Self::Filter(filter), Value::Array(items)) => found.extend(items.iter().filter(|item| filter.holds(item))),
            (Self::Filter(filter), Value::Object(fields)) => {
                found.extend(fields.values().filter(|value| filter.holds(value)));
            }
            (Self::Descend, value) => descend(value, found),
            _ => {}
        }
    }
}

/// A value and all that is in it, the nearest first.
fn descend<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    let mut next = vec![value];
    while let Some(value) = next.pop() {
        if found.len() >= FOUND_MAX {
            return;
        }
        found.push(value);
        match value {
            Value::Object(fields) => next.extend(fields.values().rev()),
            Value::Array(items) => next.extend(items.iter().rev()),
            _ => {}
        }
    }
}

fn place(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

impl Filter {
    fn holds(&self, value: &Value) -> bool {
        let found = self.path.find(value);
        let Some((operator, wanted)) = &self.comparison else { return !found.is_empty() };
        let Some(found) = found.first() else { return false };
        let order = match (found, wanted) {
            (Value::String(found), Value::String(wanted)) => Some(found.cmp(wanted)),
            (Value::Number(found), Value::Number(wanted)) => {
                found.as_f64().zip(wanted.as_f64()).and_then(|(found, wanted)| found.partial_cmp(&wanted))
            }
            (Value::Bool(found), Value::Bool(wanted)) => Some(found.cmp(wanted)),
            _ => None,
        };
        match operator {
            Operator::Equal => order == Some(Ordering::Equal),
            Operator::Unequal => order != Some(Ordering::Equal),
            Operator::Less => order == Some(Ordering::Less),
            Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
            Operator::Greater => order == Some(Ordering::Greater),
            Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &Value) {
        let object = json!({
            "metadata": {"name": "n", "labels": {"a.b/c": "x"}},
            "spec": {"ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}, {"port": 1}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        let found: Vec<Value> = JsonPath::parse(path).unwrap().find(&object).into_iter().cloned().collect();
        assert_eq!(Value::Array(found), *expected, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        check(".metadata.name", &json!(["n"]));
        check("{.metadata.name}", &json!(["n"]));
        check("$.metadata.name", &json!(["n"]));
        check(".metadata.labels.a\\.b/c", &json!(["x"]));
        check(".metadata.labels['a.b/c']", &json!(["x"]));
        check(".spec.ports[0].port", &json!([80]));
        check(".spec.ports[-1].port", &json!([1]));
        check(".spec.ports[-7].port", &json!([]));
        check(".spec.ports[*].name", &json!(["http", "https"]));
        check(".spec.ports[1:].port", &json!([443, 1]));
        check(".spec.ports[0:3:2].port", &json!([80, 1]));
        check(".spec.ports[:-1].port", &json!([80, 443]));
        check(".status.conditions[?(@.type==\"Ready\")].status", &json!(["True"]));
        check(".status.conditions[?(@.type != 'Ready')].status", &json!(["False"]));
        check(".spec.ports[?(@.port>=80)].name", &json!(["http", "https"]));
        check(".spec.ports[?(@.name)].port", &json!([80, 443]));
        check(
            "..status",
            &json!([{"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}, "True", "False"]),
        );
        check(".spec.none.at.all", &json!([]));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [".a[", ".a[b]", ".a[1:2:0]", ".a[0]b", ".a[?(@.b==c)]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
        assert_eq!(JsonPath::parse(".spec.replicas").unwrap().fields(), Some(vec!["spec", "replicas"]));
        assert_eq!(JsonPath::parse(".spec.list[0]").unwrap().fields(), None);
    }
}
