//! Somebody acts as somebody else, who may: the `Impersonate-…` headers, as upstream's filter reads them.

use api::access::Wish;
use api::status::Status;
use http::HeaderMap;

use super::User;
use super::service_account;
use crate::authorization::{self, Facts};
use crate::request_info;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The group of what only impersonation has a word for.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom the caller acts as; `None` for themselves.
///
/// # Errors
/// 403 for what the caller may not act as, 500 (as upstream) for groups without a user.
pub(crate) fn impersonated(facts: &impl Facts, user: &User, headers: &HeaderMap) -> Result<Option<User>, Status> {
    let all = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let (name, groups, uid) = (all(USER).into_iter().next(), all(GROUP), all(UID).into_iter().next());
    let extra: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let key = name.as_str().strip_prefix(EXTRA)?;
            Some((request_info::decode(key)?, value.to_str().ok()?.to_owned()))
        })
        .collect();
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        if groups.is_empty() && uid.is_none() && extra.is_empty() {
            return Ok(None);
        }
        return Err(Status::bad_request("requested impersonation without impersonating a user name"));
    };
    let may = |group, resource, subresource, namespace, name| {
        let wish = Wish { verb: "impersonate", group, resource, subresource, name };
        authorization::check_wish(facts, user, namespace, &wish)
    };
    let account = service_account::parse(&name);
    match account {
        Some((namespace, account)) => may("", "serviceaccounts", "", Some(namespace), account)?,
        None => may("", "users", "", None, &name)?,
    }
    groups.iter().try_for_each(|group| may("", "groups", "", None, group))?;
    extra.iter().try_for_each(|(key, value)| may(AUTHENTICATION, "userextras", key, None, value))?;
    uid.iter().try_for_each(|uid| may(AUTHENTICATION, "uids", "", None, uid))?;

    let groups = match account {
        Some((namespace, _)) if groups.is_empty() => service_account::groups(namespace),
        _ => groups,
    };
    let mut acting = User { groups, uid: uid.unwrap_or_default(), ..User::default() };
    let every = if name == User::ANONYMOUS { "system:unauthenticated" } else { "system:authenticated" };
    if !acting.is_in("system:authenticated") && !acting.is_in("system:unauthenticated") {
        acting.groups.push(every.to_owned());
    }
    acting.name = name;
    for (key, value) in extra {
        acting.extra.entry(key).or_default().push(value);
    }
    Ok(Some(acting))
}
