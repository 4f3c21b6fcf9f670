//! Paths and queries of requests to the test server.

use serde_json::Value;

/// The parts of a path. Parts that it lacks are empty.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Path {
    /// `/api/v1` or `/apis/GROUP/VERSION`
    pub(super) root: String,
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) subresource: String,
}

impl Path {
    pub(super) fn parse(path: &str) -> Self {
        let mut parts = path.trim_matches('/').split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let first = next();
        let root = if first == "api" { format!("/api/{}", next()) } else { format!("/apis/{}/{}", next(), next()) };
        let rest: Vec<String> = parts.collect();
        let part = |index: usize| rest.get(index).cloned().unwrap_or_default();
        let is_in_namespace = part(0) == "namespaces" && rest.len() > 2 && !is_of_namespaces(&part(2));
        let at = if is_in_namespace { 2 } else { 0 };
        Self {
            root,
            resource: part(at),
            namespace: if is_in_namespace { part(1) } else { String::new() },
            name: part(at + 1),
            subresource: part(at + 2),
        }
    }

    /// The object that a path to its subresource is about.
    pub(super) fn whole(&self) -> Self {
        Self { subresource: String::new(), ..self.clone() }
    }

    /// Whether this collection, of one namespace or all, holds that object.
    pub(super) fn holds(&self, object: &Self) -> bool {
        let is_of = |own: &str, other: &str| own.is_empty() || own == other;
        self.root == object.root
            && self.resource == object.resource
            && is_of(&self.namespace, &object.namespace)
            && is_of(&self.name, &object.name)
    }
}

/// The subresources of namespaces, which are no resources in one.
fn is_of_namespaces(part: &str) -> bool {
    matches!(part, "status" | "finalize")
}

/// The parameters of a query, decoded as far as tests need it.
pub(super) fn query(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let replaced = text.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
        replaced.replace("%21", "!").replace('+', " ")
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// The equalities of a field selector.
pub(super) fn fields(query: &[(String, String)]) -> Vec<(String, String)> {
    let selector = query.iter().find(|(name, _)| name == "fieldSelector").map(|(_, value)| value.as_str());
    let terms = selector.unwrap_or_default().split(',').filter_map(|term| term.split_once('='));
    terms.map(|(field, value)| (field.to_owned(), value.trim_start_matches('=').to_owned())).collect()
}

/// Whether an object has these values in its fields.
pub(super) fn selects(fields: &[(String, String)], object: &Value) -> bool {
    fields.iter().all(|(field, value)| {
        let pointer = format!("/{}", field.replace('.', "/"));
        object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default() == value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart() {
        let check = |text: &str, expected: [&str; 5]| {
            let path = Path::parse(text);
            assert_eq!([path.root, path.resource, path.namespace, path.name, path.subresource], expected, "{text}");
        };
        check("/api/v1/pods", ["/api/v1", "pods", "", "", ""]);
        check("/api/v1/namespaces/a", ["/api/v1", "namespaces", "", "a", ""]);
        check("/api/v1/namespaces/a/finalize", ["/api/v1", "namespaces", "", "a", "finalize"]);
        check("/api/v1/namespaces/a/pods/p/status", ["/api/v1", "pods", "a", "p", "status"]);
        check("/apis/apps/v1/namespaces/a/deployments", ["/apis/apps/v1", "deployments", "a", "", ""]);
    }
}
