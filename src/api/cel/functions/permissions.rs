//! Asking for permissions: `authorizer.group('apps').resource('deployments').check('create').allowed()`.

use std::ops::Deref as _;
use std::sync::Arc;

use super::super::admission::authorizer::{Asked, Check, Resource, ServiceAccount, Subject};
use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::{Row, row};
use crate::names;

/// What a check costs: so much that two fit into a call.
const CHECK: Rule = Rule::Fixed(350_000);
const STEP: Rule = Rule::Fixed(1);

macro_rules! member {
    ($target:literal, $call:literal, $result:literal) => {
        concat!("kubernetes.authorization.", $target, "#", $call, " -> kubernetes.authorization.", $result)
    };
    ($target:literal, $call:literal) => {
        concat!("kubernetes.authorization.", $target, "#", $call)
    };
}

pub(super) const ROWS: &[Row] = &[
    row("authorizer_path", member!("Authorizer", "path(string)", "PathCheck"), STEP, path),
    row("authorizer_group", member!("Authorizer", "group(string)", "GroupCheck"), STEP, group),
    row(
        "authorizer_serviceaccount",
        member!("Authorizer", "serviceAccount(string, string)", "Authorizer"),
        STEP,
        service_account,
    ),
    row("groupcheck_resource", member!("GroupCheck", "resource(string)", "ResourceCheck"), STEP, resource),
    row(
        "resourcecheck_subresource",
        member!("ResourceCheck", "subresource(string)", "ResourceCheck"),
        STEP,
        |_, args| with(args, |resource, text| resource.subresource = text),
    ),
    row("resourcecheck_namespace", member!("ResourceCheck", "namespace(string)", "ResourceCheck"), STEP, |_, args| {
        with(args, |resource, text| resource.namespace = text)
    }),
    row("resourcecheck_name", member!("ResourceCheck", "name(string)", "ResourceCheck"), STEP, |_, args| {
        with(args, |resource, text| resource.name = text)
    }),
    row(
        "authorizer_fieldselector",
        member!("ResourceCheck", "fieldSelector(string)", "ResourceCheck"),
        Rule::Selector,
        |_, args| with(args, |resource, text| resource.field_selector = Some(text)),
    ),
    row(
        "authorizer_labelselector",
        member!("ResourceCheck", "labelSelector(string)", "ResourceCheck"),
        Rule::Selector,
        |_, args| with(args, |resource, text| resource.label_selector = Some(text)),
    ),
    row("pathcheck_check", member!("PathCheck", "check(string)", "Decision"), CHECK, check),
    row("resourcecheck_check", member!("ResourceCheck", "check(string)", "Decision"), CHECK, check),
    row("decision_errored", member!("Decision", "errored() -> bool"), STEP, errored),
    row("decision_error", member!("Decision", "error() -> string"), STEP, error),
    row("decision_allowed", member!("Decision", "allowed() -> bool"), STEP, allowed),
    row("decision_reason", member!("Decision", "reason() -> string"), STEP, reason),
];

fn answer(check: Check<'_>) -> Outcome<'_> {
    Ok(Value::Check(Arc::new(check)))
}

/// The check that is the target, and the text that is the argument.
fn parts<'v, 'a>(args: &'v [Value<'a>]) -> Result<(&'v Check<'a>, &'v str), Error> {
    match args {
        [Value::Check(check), Value::String(text)] => Ok((check, text.deref())),
        _ => Err(Error::no_such_overload()),
    }
}

fn path<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match parts(args)? {
        (Check::Subject(_), "") => Err(Error::failed("path must not be empty")),
        (Check::Subject(subject), path) => answer(Check::Asked(subject.clone(), Asked::Path(path.into()))),
        _ => Err(Error::no_such_overload()),
    }
}

fn group<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match parts(args)? {
        (Check::Subject(subject), group) => answer(Check::Group(subject.clone(), group.into())),
        _ => Err(Error::no_such_overload()),
    }
}

fn service_account<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Check(check), Value::String(namespace), Value::String(name)] = args else {
        return Err(Error::no_such_overload());
    };
    let Check::Subject(subject) = check.as_ref() else {
        return Err(Error::no_such_overload());
    };
    if !names::subdomain(name).is_empty() {
        return Err(Error::failed("Invalid service account name"));
    }
    if !names::label(namespace).is_empty() {
        return Err(Error::failed("Invalid service account namespace"));
    }
    let account = ServiceAccount { namespace: namespace.deref().into(), name: name.deref().into() };
    answer(Check::Subject(Subject { service_account: Some(Arc::new(account)), ..subject.clone() }))
}

fn resource<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match parts(args)? {
        (Check::Group(..), "") => Err(Error::failed("resource must not be empty")),
        (Check::Group(subject, group), resource) => {
            let resource = Resource { group: group.clone(), resource: resource.into(), ..Resource::default() };
            answer(Check::Asked(subject.clone(), Asked::Resource(resource)))
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn with<'a>(args: &[Value<'a>], set: impl Fn(&mut Resource, Box<str>)) -> Outcome<'a> {
    let (Check::Asked(subject, Asked::Resource(resource)), text) = parts(args)? else {
        return Err(Error::no_such_overload());
    };
    let mut resource = resource.clone();
    set(&mut resource, text.into());
    answer(Check::Asked(subject.clone(), Asked::Resource(resource)))
}

fn check<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match parts(args)? {
        (Check::Asked(subject, asked), verb) => {
            let account = subject.service_account.as_deref();
            answer(Check::Decision(subject.authorizer.authorize(account, asked, verb)))
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn decision<'a>(
    args: &[Value<'a>],
    of: impl Fn(&super::super::admission::authorizer::Decision) -> Value<'a>,
) -> Outcome<'a> {
    match args {
        [Value::Check(check)] => match check.as_ref() {
            Check::Decision(decision) => Ok(of(decision)),
            _ => Err(Error::no_such_overload()),
        },
        _ => Err(Error::no_such_overload()),
    }
}

fn errored<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    decision(args, |decision| decision.error.is_some().into())
}

fn error<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    decision(args, |decision| decision.error.clone().unwrap_or_default().into())
}

fn allowed<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    decision(args, |decision| decision.is_allowed.into())
}

fn reason<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    decision(args, |decision| decision.reason.clone().into())
}
