//! `pods/eviction`: a deletion that asks first. Budgets for disruptions come with their kind; until then every
//! eviction is allowed, as upstream allows it where no budget selects the pod.

use api::meta;
use api::status::Status;
use bytes::Bytes;

use super::super::{Call, decode, delete};
use crate::admission::extend;
use crate::options::{DeleteOptions, WriteOptions};
use crate::respond::Answer;

/// Evicts the pod that the path names.
pub(super) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = WriteOptions::read(&call.query, "CreateOptions")?;
    let expected = decode::Expected::builtin("policy", "v1", "Eviction")?;
    let mut eviction = decode::object(call, &expected, &body, options.field_validation)?;
    if meta::name(&eviction) != call.name()? {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    extend::admit(call, &extend::Change::of_request("eviction", options.keep), &mut eviction).await?;
    let mut delete_options = DeleteOptions::read(&call.query, eviction.get("deleteOptions"))?;
    if options.keep == crate::options::Keep::DryRun {
        delete_options.keep = options.keep;
    }
    delete::evict(call, &delete_options).await?;
    Ok(Answer::created())
}
