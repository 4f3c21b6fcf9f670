//! What the status of a ValidatingAdmissionPolicy says of its expressions: whether they fit the kinds that it is about.
//! As `k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cel::admission::{Compiler, KindType, Scope};
use crate::scheme::{Resource, Scheme};
use crate::value::{list, part, text, texts};

/// How many kinds a policy is checked against, as upstream.
const KINDS_MAX: usize = 10;

/// A kind by which a policy is checked: group, version and kind.
type Kind = (String, String, String);

/// What does not fit, as `status.typeChecking.expressionWarnings`. A policy is checked against the kinds that its rules
/// name without wildcards and that are served.
#[must_use]
pub fn warnings(policy: &Value, scheme: &Scheme) -> Vec<Value> {
    let spec = part(policy, "spec");
    let params = params(spec, scheme).map(KindType::of);
    let scope = Scope { has_params: params.is_some(), has_authorizer: true, has_patches: false };
    let compilers: Vec<(String, Compiler)> = kinds(spec, scheme)
        .into_iter()
        .filter_map(|(group, version, kind)| {
            let row = scheme.by_kind(&group, &version, &kind)?;
            let mut compiler = Compiler::of_kinds(&KindType::of(row), params.as_ref());
            for variable in list(spec, "variables") {
                // A variable that is ill-typed makes ill-typed what uses it, and only that is told.
                let _ = compiler.add_variable(text(variable, "name"), text(variable, "expression"), scope);
            }
            Some((format!("{group}/{version}, Kind={kind}"), compiler))
        })
        .collect();
    let mut warnings = Vec::new();
    for (index, validation) in list(spec, "validations").iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let source = text(validation, field);
            if source.is_empty() && field == "messageExpression" {
                continue;
            }
            let told = compilers.iter().filter_map(|(kind, compiler)| {
                let issues = compiler.check(source, scope).err()?;
                Some(format!("{kind}: {issues}\n"))
            });
            let told: Vec<String> = told.collect();
            if !told.is_empty() {
                let field = format!("spec.validations[{index}].{field}");
                warnings.push(json!({"fieldRef": field, "warning": told.join("\n")}));
            }
        }
    }
    warnings
}

/// The kinds that a policy's rules name, in their order.
fn kinds(spec: &Value, scheme: &Scheme) -> BTreeSet<Kind> {
    let mut kinds = BTreeSet::new();
    for rule in list(part(spec, "matchConstraints"), "resourceRules") {
        let (Some(groups), Some(versions)) = (names(rule, "apiGroups"), names(rule, "apiVersions")) else { continue };
        let plain = |resource: &&str| !resource.contains(['*', '/']);
        let resources: BTreeSet<&str> = texts(rule, "resources").filter(plain).collect();
        let mut found = 0;
        for group in &groups {
            for version in &versions {
                for row in resources.iter().filter_map(|resource| scheme.resource(group, version, resource)) {
                    kinds.insert((row.group.to_string(), row.version.to_string(), row.kind.to_string()));
                    found += 1;
                    if found == KINDS_MAX {
                        return kinds;
                    }
                }
            }
        }
    }
    kinds
}

/// Names in their order; `None` where one is a wildcard, which names no kind.
fn names<'v>(rule: &'v Value, field: &str) -> Option<BTreeSet<&'v str>> {
    let names: BTreeSet<&str> = texts(rule, field).collect();
    names.iter().all(|name| !name.contains('*')).then_some(names)
}

fn params<'s>(spec: &Value, scheme: &'s Scheme) -> Option<&'s Resource> {
    let kind = spec.get("paramKind")?;
    scheme.by_api_version(text(kind, "apiVersion"), text(kind, "kind")).map(AsRef::as_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(resource: &str, validation: Value, expected: &[(&str, &str)]) {
        let (group, resource) = resource.split_once('/').unwrap();
        let policy = json!({"spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource]}]},
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
            "validations": [validation]}});
        let warnings = warnings(&policy, Scheme::builtin());
        let found: Vec<(&str, &str)> =
            warnings.iter().map(|warning| (text(warning, "fieldRef"), text(warning, "warning"))).collect();
        assert_eq!(found, expected, "{validation}");
    }

    #[test]
    fn what_does_not_fit_the_kinds_of_a_policy_is_told() {
        let is_good = json!({"expression": "object.spec.replicas > 1 && variables.replicas < 9 && params.data.a == 'b' && \
            object.metadata.namespace != 'x' && object.spec.template.spec.containers.all(c, c.resources.limits.cpu == '1')"});
        check("apps/deployments", is_good, &[]);
        let is_confused =
            json!({"expression": "object.spec.replicas > '1'", "messageExpression": "'got ' + object.spec.replicas"});
        let told = |source: &str, at: usize, operator: &str, types: &str| {
            let mark = ".".repeat(at - 1);
            format!(
                "apps/v1, Kind=Deployment: ERROR: <input>:1:{at}: found no matching overload for '{operator}' applied to \
                 '{types}'\n | {source}\n | {mark}^\n"
            )
        };
        let expression = told("object.spec.replicas > '1'", 22, "_>_", "(int, string)");
        let message = told("'got ' + object.spec.replicas", 8, "_+_", "(string, int)");
        check(
            "apps/deployments",
            is_confused,
            &[("spec.validations[0].expression", &expression), ("spec.validations[0].messageExpression", &message)],
        );
        let unknown = "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replica'\n | object.spec.replica > 1\n | ...........^\n";
        let misses = json!({"expression": "object.spec.replica > 1"});
        check("apps/deployments", misses.clone(), &[("spec.validations[0].expression", unknown)]);
        check("apps/*", misses, &[]);
    }
}
