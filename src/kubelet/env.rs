//! The environment of a container, and the arguments that are made from it.
//!
//! As upstream's kubelet: `envFrom` first, in order, then `env`, each later value winning; `$(NAME)` in a value
//! stands for what was set before it, in `command` and `args` for the whole environment.

use std::collections::BTreeMap;

use ::images::ImageConfig;
use k8s_openapi::api::core::v1 as core;

use crate::fields::{self, Facts};
use crate::objects::{self, Content, Kind, Objects};

/// The variables of one container, in the order in which they were first set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Environment {
    /// Name and value.
    pub(crate) variables: Vec<(String, String)>,
    /// Keys of an `envFrom` that cannot be names, told in an Event.
    pub(crate) skipped: Vec<String>,
}

/// Why there is no environment: the message of `CreateContainerConfigError`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    /// The object is not there.
    #[error(transparent)]
    Object(#[from] objects::Error),
    /// The object is there, the key is not.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        /// The key.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// The pod's namespace.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// A variable is text; these bytes are not.
    #[error("the value of key {0} is not UTF-8 text, so no variable can hold it")]
    NotText(String),
    /// A field that cannot be read.
    #[error(transparent)]
    Field(#[from] fields::Error),
}

/// The environment of `spec`, on top of what its image sets.
///
/// # Errors
/// When it refers to what is not there.
pub(crate) fn environment(
    facts: &Facts<'_>,
    spec: &core::Container,
    image: &ImageConfig,
    objects: &Objects,
) -> Result<Environment, Error> {
    let pairs = image.env.iter().filter_map(|pair| pair.split_once('='));
    let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut environment = Environment { variables, skipped: Vec::new() };
    for source in spec.env_from.iter().flatten() {
        environment.add_all(source, objects)?;
    }
    for variable in spec.env.iter().flatten() {
        if let Some(value) = value(facts, spec, variable, &environment, objects)? {
            environment.set(&variable.name, value);
        }
    }
    Ok(environment)
}

/// The arguments of `spec`, the program's name first. As with every image, `command` replaces the image's entrypoint
/// and its arguments, `args` its arguments alone. The program itself is always the image's Wasm, so where nobody names
/// it, `name` stands for it.
pub(crate) fn arguments(
    spec: &core::Container,
    image: &ImageConfig,
    name: &str,
    environment: &Environment,
) -> Vec<String> {
    let expanded = |texts: &Option<Vec<String>>| -> Vec<String> {
        texts.iter().flatten().map(|text| environment.expand(text)).collect()
    };
    let (command, args) = (expanded(&spec.command), expanded(&spec.args));
    // Without an entrypoint the image's arguments begin with the program.
    let (program, image_args) = match (image.entrypoint.as_slice(), image.cmd.as_slice()) {
        ([], []) => (vec![name.to_owned()], Vec::new()),
        ([], [program, args @ ..]) => (vec![program.clone()], args.to_vec()),
        (program, args) => (program.to_vec(), args.to_vec()),
    };
    match (command.is_empty(), args.is_empty()) {
        (true, true) => [program, image_args].concat(),
        (true, false) => [program, args].concat(),
        (false, _) => [command, args].concat(),
    }
}

fn value(
    facts: &Facts<'_>,
    spec: &core::Container,
    variable: &core::EnvVar,
    so_far: &Environment,
    objects: &Objects,
) -> Result<Option<String>, Error> {
    let Some(source) = &variable.value_from else {
        return Ok(Some(so_far.expand(variable.value.as_deref().unwrap_or_default())));
    };
    if let Some(from) = &source.field_ref {
        return Ok(Some(fields::field(facts, &from.field_path)?));
    }
    if let Some(from) = &source.resource_field_ref {
        let container = named_container(facts, spec, from)?;
        return Ok(Some(fields::resource(facts, container, from)?));
    }
    let namespace = facts.pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(from) = &source.config_map_key_ref {
        let content = objects.content(Kind::ConfigMap, &from.name, from.optional)?;
        let place = Place { kind: Kind::ConfigMap, namespace, name: &from.name };
        return key(content, &from.key, from.optional, &place);
    }
    if let Some(from) = &source.secret_key_ref {
        let content = objects.content(Kind::Secret, &from.name, from.optional)?;
        let place = Place { kind: Kind::Secret, namespace, name: &from.name };
        return key(content, &from.key, from.optional, &place);
    }
    Ok(Some(String::new()))
}

/// The container that a `resourceFieldRef` means: its own unless it names another.
pub(crate) fn named_container<'a>(
    facts: &'a Facts<'_>,
    own: &'a core::Container,
    source: &core::ResourceFieldSelector,
) -> Result<&'a core::Container, fields::Error> {
    match source.container_name.as_deref() {
        None | Some("") => Ok(own),
        Some(name) => crate::pods::state::specs(facts.pod)
            .map(|(_, spec)| spec)
            .find(|spec| spec.name == name)
            .ok_or_else(|| fields::Error::NoContainer(name.to_owned())),
    }
}

/// Where a key is looked for.
struct Place<'a> {
    kind: Kind,
    namespace: &'a str,
    name: &'a str,
}

fn key(
    content: Option<&Content>,
    key: &str,
    is_optional: Option<bool>,
    place: &Place<'_>,
) -> Result<Option<String>, Error> {
    let Some(content) = content else { return Ok(None) };
    match content.entries.get(key) {
        Some(bytes) => text(key, bytes).map(Some),
        None if is_optional == Some(true) => Ok(None),
        None => Err(Error::NoKey {
            key: key.to_owned(),
            kind: place.kind.name(),
            namespace: place.namespace.to_owned(),
            name: place.name.to_owned(),
        }),
    }
}

fn text(key: &str, bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::NotText(key.to_owned()))
}

impl Environment {
    /// Sets a variable; one of this name keeps its place and gets the new value.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn add_all(&mut self, source: &core::EnvFromSource, objects: &Objects) -> Result<(), Error> {
        let config_map = source.config_map_ref.as_ref().map(|from| (Kind::ConfigMap, &from.name, from.optional));
        let secret = source.secret_ref.as_ref().map(|from| (Kind::Secret, &from.name, from.optional));
        let prefix = source.prefix.as_deref().unwrap_or_default();
        for (kind, name, is_optional) in config_map.into_iter().chain(secret) {
            let Some(content) = objects.content(kind, name, is_optional)? else { continue };
            for (key, bytes) in &content.entries {
                let variable = format!("{prefix}{key}");
                if is_name(&variable) {
                    self.set(&variable, text(key, bytes)?);
                } else {
                    self.skipped.push(key.clone());
                }
            }
        }
        Ok(())
    }

    /// `text` with each `$(NAME)` replaced by its value. `$$` is one `$`, and a name that is not set stays as it is
    /// written, as upstream's `third_party/forked/golang/expansion`.
    pub(crate) fn expand(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let values: BTreeMap<&str, &str> = self.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            if let Some(escaped) = after.strip_prefix('$') {
                expanded.push('$');
                rest = escaped;
                continue;
            }
            match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
                Some((name, after)) => {
                    match values.get(name) {
                        Some(value) => expanded.push_str(value),
                        None => expanded.extend(["$(", name, ")"]),
                    }
                    rest = after;
                }
                None => {
                    expanded.push('$');
                    rest = after;
                }
            }
        }
        expanded.push_str(rest);
        expanded
    }
}

/// Whether upstream takes it for a variable's name: printable ASCII without `=`.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::objects::Reference;
    use crate::resources::Amounts;

    fn objects() -> Objects {
        let content = |entries: &[(&str, &str)]| {
            let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
            Some(Arc::new(Content { entries }))
        };
        let reference = |kind, name: &str| Reference { kind, name: name.to_owned() };
        Objects {
            found: [
                (reference(Kind::ConfigMap, "conf"), content(&[("A", "1"), ("B", "2"), ("bad=key", "3")])),
                (reference(Kind::Secret, "key"), content(&[("token", "t")])),
                (reference(Kind::ConfigMap, "none"), None),
            ]
            .into(),
            tokens: BTreeMap::new(),
        }
    }

    fn check(container: serde_json::Value) -> Result<Environment, String> {
        let pod: core::Pod = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns"},
            "spec": {"containers": [container]},
        }))
        .unwrap();
        let facts = Facts {
            pod: &pod,
            address: None,
            node_ip: [127, 0, 0, 1].into(),
            allocatable: Amounts { cpu_milli: 1000, memory_bytes: 1 << 20 },
        };
        environment(&facts, &pod.spec.as_ref().unwrap().containers[0], &ImageConfig::default(), &objects())
            .map_err(|e| e.to_string())
    }

    fn variables(container: serde_json::Value) -> Vec<String> {
        check(container).unwrap().variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn later_sources_win_and_names_that_cannot_be_are_skipped() {
        let container = json!({
            "name": "c",
            "envFrom": [{"configMapRef": {"name": "conf"}}, {"prefix": "P_", "secretRef": {"name": "key"}}],
            "env": [{"name": "B", "value": "own"}, {"name": "C", "value": "$(A)-$(B)-$$(A)-$(NONE)"}],
        });
        assert_eq!(variables(container.clone()), ["A=1", "B=own", "P_token=t", "C=1-own-$(A)-$(NONE)"]);
        assert_eq!(check(container).unwrap().skipped, ["bad=key"]);
    }

    #[test]
    fn values_come_from_keys_and_fields() {
        let from = |source: serde_json::Value| json!({"name": "c", "env": [{"name": "V", "valueFrom": source}]});
        for (source, expected) in [
            (json!({"configMapKeyRef": {"name": "conf", "key": "A"}}), "V=1"),
            (json!({"secretKeyRef": {"name": "key", "key": "token"}}), "V=t"),
            (json!({"fieldRef": {"fieldPath": "metadata.name"}}), "V=web"),
            (json!({"resourceFieldRef": {"resource": "limits.cpu"}}), "V=1"),
        ] {
            assert_eq!(variables(from(source)), [expected]);
        }
    }

    #[test]
    fn what_is_missing_is_named_as_upstream_names_it() {
        let from = |source: serde_json::Value| json!({"name": "c", "env": [{"name": "V", "valueFrom": source}]});
        for (container, expected) in [
            (from(json!({"configMapKeyRef": {"name": "none", "key": "A"}})), r#"configmap "none" not found"#),
            (from(json!({"secretKeyRef": {"name": "none", "key": "A"}})), r#"secret "none" not found"#),
            (
                from(json!({"configMapKeyRef": {"name": "conf", "key": "Z"}})),
                "couldn't find key Z in ConfigMap ns/conf",
            ),
            (json!({"name": "c", "envFrom": [{"secretRef": {"name": "none"}}]}), r#"secret "none" not found"#),
        ] {
            assert_eq!(check(container).unwrap_err(), expected);
        }
        let optional = from(json!({"configMapKeyRef": {"name": "none", "key": "A", "optional": true}}));
        assert_eq!(variables(optional), Vec::<String>::new());
    }

    #[test]
    fn dollars_are_expanded_once() {
        let environment = Environment { variables: vec![("A".into(), "$(B)".into())], skipped: Vec::new() };
        for (input, expected) in [
            ("$(A)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$$(B)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("$()x", "$()x"),
        ] {
            assert_eq!(environment.expand(input), expected, "{input}");
        }
    }

    #[test]
    fn command_replaces_the_image_and_args_its_arguments() {
        let environment = Environment { variables: vec![("X".into(), "1".into())], skipped: Vec::new() };
        let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        for (entrypoint, cmd, command, args, expected) in [
            (&[][..], &[][..], &[][..], &[][..], &["web"][..]),
            (&[], &[], &[], &["$(X)"], &["web", "1"]),
            (&["prog"], &["default"], &[], &[], &["prog", "default"]),
            (&["prog"], &["default"], &[], &["a"], &["prog", "a"]),
            (&[], &["prog", "default"], &[], &[], &["prog", "default"]),
            (&[], &["prog", "default"], &[], &["a"], &["prog", "a"]),
            (&["prog"], &["default"], &["sh"], &["a"], &["sh", "a"]),
            (&["prog"], &["default"], &["sh", "-c"], &[], &["sh", "-c"]),
        ] {
            let image = ImageConfig { entrypoint: texts(entrypoint), cmd: texts(cmd), ..ImageConfig::default() };
            let spec = core::Container {
                command: Some(texts(command)),
                args: Some(texts(args)),
                ..core::Container::default()
            };
            assert_eq!(arguments(&spec, &image, "web", &environment), expected);
        }
    }
}
