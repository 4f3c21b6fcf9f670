//! Definitions that upstream takes and refuses.

use serde_json::{Value, json};

use super::super::testing::check;
use super::*;
use crate::scheme::Scheme;

/// A definition of boats whose only version has this schema, with changes to its spec.
fn boats(schema: Value, changes: Value) -> Value {
    let mut spec = json!({"group": "sea.example", "scope": "Namespaced", "conversion": {"strategy": "None"},
        "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]});
    if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
        spec.extend(changes);
    }
    json!({"metadata": {"name": "boats.sea.example"}, "spec": spec, "status": {"storedVersions": ["v1"]}})
}

/// What is wrong with a schema.
#[track_caller]
fn check_schema(schema: Value, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|text| format!("spec.validation.openAPIV3Schema{text}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&definition(&boats(schema, json!({}))), &expected);
}

fn fields(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn a_definition_names_its_kind() {
    check(&definition(&boats(json!({"type": "object"}), json!({}))), &[]);
    let names = json!({"plural": "Boats", "singular": "boat", "kind": "Boat", "listKind": "Boat", "shortNames": ["1"]});
    check(
        &definition(&boats(json!({"type": "object"}), json!({"group": "sea", "scope": "Odd", "names": names}))),
        &[
            "metadata.name: Invalid value: \"boats.sea.example\": must be spec.names.plural+\".\"+spec.group",
            "spec.group: Invalid value: \"sea\": should be a domain with at least one dot",
            "spec.scope: Unsupported value: \"Odd\": supported values: \"Cluster\", \"Namespaced\"",
            "spec.names.plural: Invalid value: \"Boats\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.names.shortNames[0]: Invalid value: \"1\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.names.listKind: Invalid value: \"Boat\": kind and listKind may not be the same",
        ],
    );
}

#[test]
fn a_definition_has_versions() {
    let version = |name: &str, storage: bool, kind: &str| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": kind}}});
    let of = |versions: Value| definition(&boats(Value::Null, json!({"versions": versions})));
    check(&of(json!([version("v1", true, "object"), version("v2", false, "object")])), &[]);
    // Where versions differ, each has its own place.
    check(
        &of(json!([version("v1", true, "object"), version("v2", false, "array")])),
        &[
            "spec.versions[1].schema.openAPIV3Schema.items: Required value: must be specified",
            "spec.versions[1].schema.openAPIV3Schema.type: Invalid value: \"array\": must be object at the root",
        ],
    );
    let errors = of(json!([version("v1", true, "object"), version("v1", true, "object")]));
    let details: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
    assert_eq!(
        details,
        ["must contain unique version names", "must have exactly one version marked as storage version"]
    );
    check(
        &of(json!([{"name": "v1", "served": true, "storage": true, "deprecationWarning": ""}])),
        &[
            "spec.versions[0].schema.openAPIV3Schema: Required value",
            "spec.versions[0].deprecationWarning: Invalid value: \"\": can only be set for deprecated versions",
        ],
    );
    let mut stored = boats(json!({"type": "object"}), json!({}));
    stored["status"]["storedVersions"] = json!(["v0"]);
    check(
        &definition(&stored),
        &[
            "status.storedVersions: Invalid value: [\"v0\"]: must have the storage version v1",
            "status.storedVersions[0]: Invalid value: \"v0\": missing from spec.versions; v0 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v0 and removes v0 from status.storedVersions",
        ],
    );
}

#[test]
fn a_conversion_is_complete() {
    let of = |conversion: Value| definition(&boats(json!({"type": "object"}), json!({"conversion": conversion})));
    check(
        &of(json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v2"]}})),
        &[
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
            "spec.conversion.conversionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
        ],
    );
    check(
        &of(json!({"strategy": "None", "webhook": {"clientConfig": {}, "conversionReviewVersions": ["v1"]}})),
        &[
            "spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
            "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
        ],
    );
    check(
        &of(json!({"strategy": "Odd"})),
        &["spec.conversion.strategy: Unsupported value: \"Odd\": supported values: \"None\", \"Webhook\""],
    );
}

#[test]
fn columns_scales_and_selectable_fields_lead_somewhere() {
    let with = |changes: Value| {
        let mut given = boats(fields(json!({"spec": fields(json!({"mast": {"type": "integer"}}))})), json!({}));
        if let (Some(version), Value::Object(changes)) = (given["spec"]["versions"][0].as_object_mut(), changes) {
            version.extend(changes);
        }
        definition(&given)
    };
    check(
        &with(json!({"additionalPrinterColumns": [{"type": "odd", "format": "x", "jsonPath": "a"}]})),
        &[
            "spec.additionalPrinterColumns[0].name: Required value",
            "spec.additionalPrinterColumns[0].type: Invalid value: \"odd\": must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].format: Invalid value: \"x\": must be one of byte,date,date-time,double,float,int32,int64,password",
            "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"a\": must be a simple json path starting with .",
        ],
    );
    check(
        &with(json!({"subresources": {"scale": {"specReplicasPath": ".a", "labelSelectorPath": ".b"}}})),
        &[
            "spec.subresources.scale.specReplicasPath: Invalid value: \".a\": should be a json path under .spec",
            "spec.subresources.scale.statusReplicasPath: Required value",
            "spec.subresources.scale.labelSelectorPath: Invalid value: \".b\": should be a json path under either .spec or .status",
        ],
    );
    check(&with(json!({"selectableFields": [{"jsonPath": ".spec.mast"}]})), &[]);
    check(
        &with(
            json!({"selectableFields": [{"jsonPath": ".spec.mast"}, {"jsonPath": ".spec.mast"}, {"jsonPath": ".spec"},
            {"jsonPath": ".spec['mast']"}, {"jsonPath": ".no"}]}),
        ),
        &[
            "spec.selectableFields[1].jsonPath: Duplicate value: \".spec.mast\"",
            "spec.selectableFields[2].jsonPath: Invalid value: \".spec\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            "spec.selectableFields[3].jsonPath: Invalid value: \".spec['mast']\": is an invalid path: array notation is not allowed",
            "spec.selectableFields[4].jsonPath: Invalid value: \".no\": is an invalid path: does not refer to a valid field",
        ],
    );
}

#[test]
fn protected_groups_are_approved() {
    let of = |annotation: Option<&str>| {
        let mut given = boats(json!({"type": "object"}), json!({"group": "sea.k8s.io"}));
        given["metadata"] = json!({"name": "boats.sea.k8s.io"});
        if let Some(text) = annotation {
            given["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": text});
        }
        given
    };
    check(
        &definition(&of(None)),
        &[
            "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        ],
    );
    check(
        &definition(&of(Some("yes"))),
        &[
            "metadata.annotations[api-approved.kubernetes.io]: Invalid value: \"yes\": protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111",
        ],
    );
    for fine in ["unapproved, an experiment", "https://github.com/kubernetes/kubernetes/pull/1"] {
        check(&definition(&of(Some(fine))), &[]);
    }
    check(&definition_update(&of(None), &of(None)), &[]);
}

#[test]
fn what_says_where_objects_are_does_not_change() {
    let old = boats(json!({"type": "object"}), json!({}));
    let mut new = old.clone();
    new["spec"]["scope"] = json!("Cluster");
    check(&definition_update(&new, &old), &[]);
    let mut established = old.clone();
    established["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    check(&definition_update(&new, &established), &["spec.scope: Invalid value: \"Cluster\": field is immutable"]);
    new["spec"]["preserveUnknownFields"] = json!(true);
    new["spec"]["group"] = json!("lake.example");
    let errors = definition_update(&new, &old);
    check(
        &errors,
        &[
            "spec.group: Invalid value: \"lake.example\": field is immutable",
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ],
    );
}

#[test]
fn a_schema_is_structural() {
    check_schema(json!({}), &[".type: Required value: must not be empty at the root"]);
    check_schema(
        fields(json!({"a": {}, "b": {"type": "array", "items": {}}, "c": {"type": "array"}})),
        &[
            ".properties[a].type: Required value: must not be empty for specified object fields",
            ".properties[b].items.type: Required value: must not be empty for specified array items",
            ".properties[c].items: Required value: must be specified",
        ],
    );
    check_schema(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"type": "object",
            "properties": {"a": {"pattern": "x"}, "b": {"minimum": 1}, "metadata": {}}, "description": "d"}]}),
        &[
            ".anyOf[0].description: Forbidden: must be empty to be structural",
            ".anyOf[0].properties[metadata]: Forbidden: must not be specified in a nested context",
            ".anyOf[0].type: Forbidden: must be empty to be structural",
            ".properties[b]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[b]",
            ".properties[metadata]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[metadata]",
        ],
    );
    let either = json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]});
    check_schema(fields(json!({"port": either})), &[]);
    check_schema(
        fields(json!({"kind": {"type": "object"}, "metadata": {"type": "object", "description": "d"},
            "e": {"type": "object", "x-kubernetes-embedded-resource": true},
            "o": {"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}})),
        &[
            ".properties[e].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
            ".properties[kind].type: Invalid value: \"object\": must be string",
            ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ".properties[o].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        ],
    );
    check_schema(
        fields(json!({"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}})),
        &[],
    );
}

#[test]
fn a_schema_says_what_openapi_knows() {
    check_schema(
        fields(json!({"a": {"type": "odd"}, "b": {"type": "object", "uniqueItems": true, "$ref": "x"},
            "c": {"type": "array", "items": [{"type": "string"}]}})),
        &[
            ".properties[a].type: Unsupported value: \"odd\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            ".properties[b].$ref: Forbidden: $ref is not supported",
            ".properties[b].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ".properties[c].items: Forbidden: items must be a schema object and not an array",
        ],
    );
    check_schema(
        fields(
            json!({"a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": false}}),
        ),
        &[".properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    );
    check_schema(
        fields(json!({"kind": {"type": "string", "default": "Boat"}})),
        &[".properties[kind].default: Forbidden: must not be set in top-level kind"],
    );
}

#[test]
fn lists_say_who_owns_what() {
    let list = |more: Value| {
        let mut list =
            json!({"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}});
        if let (Value::Object(list), Value::Object(more)) = (&mut list, more) {
            list.extend(more);
        }
        fields(json!({"a": list}))
    };
    let at = ".properties[a]";
    check_schema(
        list(json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "no"]})),
        &[
            &format!(
                "{at}.x-kubernetes-list-map-keys: Invalid value: [\"name\",\"no\"]: entries must all be names of item properties"
            ),
            &format!(
                "{at}.items.properties[name].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ),
        ],
    );
    check_schema(
        list(json!({"x-kubernetes-list-type": "set"})),
        &[&format!(
            "{at}.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set"
        )],
    );
    check_schema(
        list(json!({"x-kubernetes-list-map-keys": ["name"], "x-kubernetes-map-type": "odd"})),
        &[
            &format!("{at}.type: Invalid value: \"array\": must be object if x-kubernetes-map-type is specified"),
            &format!(
                "{at}.x-kubernetes-map-type: Unsupported value: \"odd\": supported values: \"atomic\", \"granular\""
            ),
            &format!(
                "{at}.x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty"
            ),
        ],
    );
}

#[test]
fn defaults_are_values_of_their_schemas() {
    check_schema(
        fields(
            json!({"a": {"type": "object", "properties": {"b": {"type": "integer"}}, "default": {"b": 1.5, "c": 1}}}),
        ),
        &[
            ".properties[a].default: Invalid value: {\"b\":1.5,\"c\":1}: must not have unknown fields",
            ".properties[a].default.b: Invalid value: \"number\": b in body must be of type integer: \"number\"",
        ],
    );
    check_schema(fields(json!({"a": {"type": "number", "default": 1}})), &[]);
    check_schema(
        fields(json!({"a": {"type": "integer", "minimum": 3, "default": 1}, "b": {"type": "integer", "default": 1,
            "x-kubernetes-validations": [{"rule": "self > 2", "message": "too small"}]}})),
        &[
            ".properties[a].default: Invalid value: 1:  in body should be greater than or equal to 3",
            ".properties[b].default: Invalid value: 1: too small",
        ],
    );
}

#[test]
fn rules_are_written_out() {
    let rules =
        json!([{"rule": " "}, {"rule": "a\nb"}, {"rule": "x", "message": " ", "reason": "Odd", "fieldPath": ".no"}]);
    let mut schema = fields(json!({}));
    schema["x-kubernetes-validations"] = rules;
    let at = ".x-kubernetes-validations";
    check_schema(
        schema,
        &[
            &format!("{at}[0].rule: Required value: rule is not specified"),
            &format!("{at}[1].message: Required value: message must be specified if rule contains line breaks"),
            &format!("{at}[2].message: Invalid value: \" \": must be non-empty if specified"),
            &format!(
                "{at}[2].reason: Unsupported value: \"Odd\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
            ),
            &format!("{at}[2].fieldPath: Invalid value: \".no\": must be a valid path"),
        ],
    );
}

#[test]
fn what_has_no_effect_is_told() {
    let schema = fields(json!({"a": {"type": "string", "format": "odd"}, "b": {"type": "integer", "format": "int32"},
        "c": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object", "x-kubernetes-map-type": "atomic"}}}));
    assert_eq!(
        warnings(&boats(schema, json!({}))),
        [
            "unrecognized format \"odd\"",
            "x-kubernetes-list-type: set for items of type \"object\" is not supported by server-side apply or CEL validation rules"
        ]
    );
}

#[test]
fn schemas_are_read_as_deep_as_bodies_are_and_lose_what_nobody_knows() {
    let row = Scheme::builtin().by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
    let schema = json!({"type": "object", "odd": 1, "minimum": 1.0, "properties": {"a": {"type": "array",
        "items": {"type": "string", "odd": 1, "default": {"kept": null}}}, "b": {"additionalProperties": true}}});
    let decoded = row.decode(boats(schema, json!({}))).unwrap();
    assert_eq!(decoded.unknown, ["unknown field \"spec.versions[0].schema.openAPIV3Schema.odd\""]);
    let expected = json!({"type": "object", "minimum": 1, "properties": {"a": {"type": "array",
        "items": {"type": "string", "default": {"kept": null}}}, "b": {"additionalProperties": true}}});
    assert_eq!(decoded.object["spec"]["versions"][0]["schema"]["openAPIV3Schema"], expected);

    let wrong = boats(json!({"additionalProperties": "x"}), json!({}));
    let error = row.decode(wrong).unwrap_err();
    assert_eq!(error.to_string(), "boolean or JSON schema expected");

    let mut deep = json!({"type": "string"});
    for _ in 0..60 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    check(&definition(&boats(deep, json!({}))), &[]);
}
