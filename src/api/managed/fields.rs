//! Sets of fields, as `metadata.managedFields` writes them (`FieldsV1`).
//!
//! A set is a tree. An element of a path is kept as it is written there: `f:spec` is a field or a key of a map,
//! `k:{"name":"web"}` an item of a list by its keys, `v:"x"` a value of a set. A node without inner ones is a member of
//! the set; one with inner ones is a member too where `"."` stands beside them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Any number of fields.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    nodes: BTreeMap<Box<str>, Node>,
}

/// One element of paths.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Node {
    /// Whether the path that ends here is in the set.
    pub(super) is_member: bool,
    /// What goes on from here.
    pub(super) inner: Fields,
}

/// A text that is no set of fields.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// It is no object of objects.
    #[error("a set of fields is an object, not {0}")]
    NoObject(String),
    /// An element that is none of the four kinds.
    #[error("cannot read the path element {0:?}")]
    Element(String),
}

impl Node {
    /// A member without inner ones.
    pub(super) fn leaf() -> Self {
        Self { is_member: true, inner: Fields::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_member && self.inner.is_empty()
    }
}

impl Fields {
    /// Reads `FieldsV1`.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(value: &Value) -> Result<Self, ParseError> {
        let object = value.as_object().ok_or_else(|| ParseError::NoObject(value.to_string()))?;
        let mut fields = Self::default();
        for (element, inner) in object.iter().filter(|(element, _)| *element != ".") {
            let inner_map = inner.as_object().ok_or_else(|| ParseError::NoObject(inner.to_string()))?;
            let is_member = inner_map.is_empty() || inner_map.contains_key(".");
            fields.put(canonical(element)?, Node { is_member, inner: Self::parse(inner)? });
        }
        Ok(fields)
    }

    /// Writes `FieldsV1`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let nodes = self.nodes.iter().map(|(element, node)| {
            let mut inner = node.inner.to_value();
            if let (true, Value::Object(inner)) = (node.is_member && !node.inner.is_empty(), &mut inner) {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (element.to_string(), inner)
        });
        Value::Object(nodes.collect())
    }

    /// The set of these paths.
    #[must_use]
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut fields = Self::default();
        for path in paths {
            fields.insert(path);
        }
        fields
    }

    fn insert(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.nodes.entry((*first).into()).or_default();
        if rest.is_empty() {
            node.is_member = true;
        } else {
            node.inner.insert(rest);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn get(&self, element: &str) -> Option<&Node> {
        self.nodes.get(element)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(element, node)| (&**element, node))
    }

    /// Puts a node, unless it is empty.
    pub(super) fn put(&mut self, element: Box<str>, node: Node) {
        if !node.is_empty() {
            self.nodes.insert(element, node);
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.add(other);
        all
    }

    fn add(&mut self, other: &Self) {
        for (element, theirs) in &other.nodes {
            match self.nodes.get_mut(element) {
                Some(node) => {
                    node.is_member |= theirs.is_member;
                    node.inner.add(&theirs.inner);
                }
                None => {
                    self.nodes.insert(element.clone(), theirs.clone());
                }
            }
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| {
            let theirs = theirs?;
            let inner = mine.inner.intersection(&theirs.inner);
            Some(Node { is_member: mine.is_member && theirs.is_member, inner })
        })
    }

    /// What is in this one alone.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| {
            let Some(theirs) = theirs else { return Some(mine.clone()) };
            let inner = mine.inner.difference(&theirs.inner);
            Some(Node { is_member: mine.is_member && !theirs.is_member, inner })
        })
    }

    /// What is neither in the other nor beneath what is.
    #[must_use]
    pub fn outside(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| match theirs {
            None => Some(mine.clone()),
            Some(theirs) if theirs.is_member => None,
            Some(theirs) => Some(Node { is_member: mine.is_member, inner: mine.inner.outside(&theirs.inner) }),
        })
    }

    fn combine(&self, other: &Self, combine: impl Fn(&Node, Option<&Node>) -> Option<Node>) -> Self {
        let mut combined = Self::default();
        for (element, mine) in &self.nodes {
            if let Some(node) = combine(mine, other.nodes.get(element)) {
                combined.put(element.clone(), node);
            }
        }
        combined
    }

    /// Each member as upstream writes paths for people: `.spec.containers[name="web"].image`; in order.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, before: &str, paths: &mut Vec<String>) {
        for (element, node) in &self.nodes {
            let path = format!("{before}{}", spoken(element));
            if node.is_member {
                paths.push(path.clone());
            }
            node.inner.collect_paths(&path, paths);
        }
    }
}

/// The element of a field or of a map's key.
pub(super) fn field(name: &str) -> Box<str> {
    format!("f:{name}").into()
}

/// The element of a value of a set.
pub(super) fn value(value: &Value) -> Box<str> {
    format!("v:{value}").into()
}

/// The element of a list's item by its keys.
pub(super) fn key(keys: Map<String, Value>) -> Box<str> {
    format!("k:{}", Value::Object(keys)).into()
}

/// An element as we write it, from how a client did.
fn canonical(element: &str) -> Result<Box<str>, ParseError> {
    let wrong = || ParseError::Element(element.to_owned());
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| wrong());
    match element.split_once(':').ok_or_else(wrong)? {
        ("f", name) => Ok(field(name)),
        ("i", index) => index.parse::<i64>().map(|index| format!("i:{index}").into()).map_err(|_| wrong()),
        ("v", text) => Ok(value(&json(text)?)),
        ("k", text) => match json(text)? {
            Value::Object(keys) => Ok(key(keys)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// An element as it stands in a path for people.
pub(super) fn spoken(element: &str) -> String {
    let keys = |text: &str| -> Option<String> {
        let Ok(Value::Object(keys)) = serde_json::from_str(text) else { return None };
        Some(keys.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
    };
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", text)) => format!("[{}]", keys(text).unwrap_or_else(|| text.to_owned())),
        Some(("v", text)) => format!("[={text}]"),
        Some((_, text)) => format!("[{text}]"),
        None => element.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::parse(&value).unwrap()
    }

    #[test]
    fn a_set_is_written_as_it_was_read() {
        let written = json!({"f:spec": {"f:ports": {
            "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:set": {"v:\"x\"": {}}}, "f:data": {}});
        assert_eq!(fields(written.clone()).to_value(), written);
        let loose = json!({"k:{ \"protocol\": \"TCP\", \"port\": 80 }": {}});
        assert_eq!(fields(loose).to_value(), json!({"k:{\"port\":80,\"protocol\":\"TCP\"}": {}}));
        for wrong in [json!([]), json!({"spec": {}}), json!({"k:1": {}}), json!({"f:a": 1}), json!({"x:a": {}})] {
            assert!(Fields::parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sets_are_combined_member_by_member() {
        let left = fields(json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let right = fields(json!({"f:a": {"f:b": {}, "f:d": {}}}));
        let check = |found: Fields, expected: Value| assert_eq!(found.to_value(), expected);
        check(left.union(&right), json!({"f:a": {".": {}, "f:b": {}, "f:d": {}}, "f:c": {}}));
        check(left.intersection(&right), json!({"f:a": {"f:b": {}}}));
        check(left.difference(&right), json!({"f:a": {}, "f:c": {}}));
        check(right.outside(&left), json!({}));
        check(right.outside(&fields(json!({"f:a": {"f:b": {}}}))), json!({"f:a": {"f:d": {}}}));
    }

    #[test]
    fn paths_are_spoken_as_upstream_does() {
        let fields = fields(json!({"f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}, "f:finalizers": {"v:\"x\"": {}}}}));
        assert_eq!(
            fields.paths(),
            [".spec.containers[name=\"a\"]", ".spec.containers[name=\"a\"].image", ".spec.finalizers[=\"x\"]"]
        );
    }
}
