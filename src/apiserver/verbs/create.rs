//! POST of an object: decoded, defaulted, admitted, checked, stored.

use api::admission::Operation;
use api::managed::Managers;
use api::status::Status;
use api::{meta, names};
use base::clock;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::{Call, decode};
use crate::admission::extend::{self, Change};
use crate::admission::{self, resource_quota};
use crate::conversion;
use crate::field_manager;
use crate::idle;
use crate::options::{Keep, WriteOptions};
use crate::request_info::Verb;
use crate::respond::Answer;

/// How often another name is tried when a generated one is taken, as upstream.
const NAME_TRIES_MAX: usize = 8;

/// Creates the object in the body.
pub(crate) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = WriteOptions::read(&call.query, "CreateOptions")?;
    let object = decode::object(call, &decode::Expected::of(&call.resource), &body, options.field_validation)?;
    let value = create(call, object, &options, None).await?;
    Ok(Answer::Object { value, code: StatusCode::CREATED })
}

/// Creates a decoded object, generating its name if it asks for that. What a client sent is its manager's, unless the
/// caller knows the managers.
pub(crate) async fn create(
    call: &Call,
    mut object: Value,
    options: &WriteOptions,
    managers: Option<Managers>,
) -> Result<Value, Status> {
    if call.request.verb != Verb::Create {
        // Who may update or patch what is there may not therefore make what is not.
        call.authorize(Verb::Create)?;
    }
    check_namespace(call, &mut object)?;
    if call.resource.custom.as_ref().is_some_and(|custom| custom.is_ending()) {
        return Err(Status::creation_not_allowed());
    }
    admit(call, &mut object, options, managers).await?;
    check_namespace(call, &mut object)?;
    let is_generated = meta::name(&object).is_empty() && !meta::generate_name(&object).is_empty();
    if !is_generated {
        return store(call, object, options).await;
    }
    let mut tries = NAME_TRIES_MAX;
    loop {
        let mut named = object.clone();
        let suffix = names::generated_suffix(call.server.random_bytes());
        meta::set_name(&mut named, &names::generated_name(meta::generate_name(&object), &suffix));
        tries -= 1;
        match store(call, named, options).await {
            Err(status) if status.is_already_exists() && tries > 0 => {}
            done => return done,
        }
    }
}

/// What admission makes of an object, before it has a name that is generated.
async fn admit(
    call: &Call,
    object: &mut Value,
    options: &WriteOptions,
    managers: Option<Managers>,
) -> Result<(), Status> {
    call.resource.set_defaults(object);
    managers.unwrap_or_else(|| field_manager::of_created(call, object)).put(object);
    admission::admit_create(call, object, options.keep)?;
    let is_changed = extend::mutate(call, &change(options), Some(object)).await?;
    // An address that is chosen stays chosen.
    let has_address = call.resource.group.is_empty() && call.resource.plural == "services";
    if is_changed && !has_address {
        admission::admit_create(call, object, options.keep)?;
    }
    Ok(())
}

/// Stores an object that has its name, if it may be.
async fn store(call: &Call, mut object: Value, options: &WriteOptions) -> Result<Value, Status> {
    let resource = &call.resource;
    let says_version = meta::resource_version(&object).and_then(|version| version.parse::<u64>().ok()).unwrap_or(0) > 0;
    meta::fill_create(&mut object, &uuid::Uuid::new_v4().to_string(), clock::now_seconds());
    // What is derived of the object is derived of what admission made of it.
    resource.prepare_create(&mut object);
    let mut errors = meta::validate_create(&object, resource);
    errors.extend(resource.validate(&object));
    if !errors.is_empty() {
        return Err(Status::invalid(&resource.group, &resource.kind, meta::name(&object), errors));
    }
    extend::validate(call, &change(options), Some(&object)).await?;
    resource.warnings(&object, None).into_iter().for_each(|warning| call.warn(warning));
    if says_version && options.keep == Keep::Stored {
        // Upstream's storage refuses it, so what is not stored is not refused, and the code is no better.
        return Err(Status::internal_plain("resourceVersion should not be set on objects to be created"));
    }
    let name = meta::name(&object).to_owned();
    let charged = resource_quota::charge(call, &object, options.keep).await?;
    let created = async {
        let stored = conversion::to_storage(&call.server, resource, object).await?;
        call.objects().create(resource, call.namespace(), &name, stored, options.keep).await
    };
    match created.await {
        Ok(value) => {
            idle::warning(&resource.group, &resource.plural).into_iter().for_each(|warning| call.warn(warning));
            conversion::from_storage(&call.server, resource, value).await
        }
        Err(status) => {
            resource_quota::give_back(call, charged).await;
            Err(status)
        }
    }
}

fn change(options: &WriteOptions) -> Change<'static> {
    Change { operation: Operation::Create, subresource: "", keep: options.keep, old: None }
}

/// The namespace of the object is that of the request.
fn check_namespace(call: &Call, object: &mut Value) -> Result<(), Status> {
    let wanted = call.namespace();
    let said = meta::namespace(object).unwrap_or_default();
    match wanted {
        Some(wanted) if said.is_empty() => meta::set_namespace(object, wanted),
        Some(wanted) if said == wanted => {}
        // What has no namespace loses what it says of one, as upstream.
        None => meta::remove(object, "namespace"),
        Some(_) => {
            let text = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(text));
        }
    }
    Ok(())
}
