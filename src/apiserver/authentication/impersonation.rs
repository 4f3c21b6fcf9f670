//! Somebody acts as somebody else, who may: the `Impersonate-…` headers, as upstream's filters read them.
//!
//! Who has the right to `impersonate` somebody may do all that these may. Beside it there are narrower rights (KEP 5284):
//! to `impersonate:MODE` somebody, for requests that one has the right to `impersonate-on:MODE:VERB`.

use api::access::Wish;
use api::status::Status;
use http::HeaderMap;

use super::User;
use super::service_account;
use crate::authorization::{self, Facts};
use crate::request_info::{self, RequestInfo};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The group of what only impersonation has a word for.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// How the name of a node's user begins.
const NODE: &str = "system:node:";

/// What a service account's token says of the node of its pod.
const OWN_NODE: &str = "authentication.kubernetes.io/node-name";

/// The narrower ways, in the order in which they are tried.
const MODES: [&str; 4] = ["associated-node", "arbitrary-node", "serviceaccount", "user-info"];

/// Whom somebody wants to act as.
struct Wanted {
    name: String,
    groups: Vec<String>,
    uid: Option<String>,
    extra: Vec<(String, String)>,
}

/// Whom the caller acts as; `None` for themselves.
///
/// # Errors
/// 403 for what the caller may not act as, 400 for groups without a user.
pub(crate) fn impersonated(
    facts: &impl Facts,
    user: &User,
    headers: &HeaderMap,
    info: &RequestInfo,
) -> Result<Option<User>, Status> {
    let Some(wanted) = Wanted::read(headers)? else { return Ok(None) };
    let mut refused = None;
    for mode in MODES.into_iter().filter(|mode| wanted.is_for(mode, user)) {
        match wanted.check_mode(facts, user, mode, info) {
            Ok(()) => return Ok(Some(wanted.into_user(true))),
            Err(status) => refused = refused.or(Some(status)),
        }
    }
    match wanted.check_whole(facts, user) {
        Ok(()) => Ok(Some(wanted.into_user(false))),
        Err(status) => Err(refused.unwrap_or(status)),
    }
}

impl Wanted {
    fn read(headers: &HeaderMap) -> Result<Option<Self>, Status> {
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
        match name.filter(|name| !name.is_empty()) {
            Some(name) => Ok(Some(Self { name, groups, uid, extra })),
            None if groups.is_empty() && uid.is_none() && extra.is_empty() => Ok(None),
            None => Err(Status::bad_request("requested impersonation without impersonating a user name")),
        }
    }

    fn node(&self) -> Option<&str> {
        self.name.strip_prefix(NODE).filter(|node| !node.is_empty())
    }

    /// Whether a narrower way is one to this user.
    fn is_for(&self, mode: &str, user: &User) -> bool {
        let is_name_alone = self.groups.is_empty() && self.uid.is_none() && self.extra.is_empty();
        let (node, account) = (self.node(), service_account::parse(&self.name));
        match mode {
            "associated-node" => {
                let own = user.extra.get(OWN_NODE).and_then(|nodes| nodes.first()).map(String::as_str);
                is_name_alone && node.is_some() && own == node && service_account::parse(&user.name).is_some()
            }
            "arbitrary-node" => is_name_alone && node.is_some(),
            "serviceaccount" => is_name_alone && account.is_some(),
            _ => node.is_none() && account.is_none(),
        }
    }

    /// Refuses who may not act so in this request.
    fn check_mode(&self, facts: &impl Facts, user: &User, mode: &str, info: &RequestInfo) -> Result<(), Status> {
        match info {
            RequestInfo::Resource(request) => {
                let verb = format!("impersonate-on:{mode}:{}", request.verb.as_str());
                let wish = Wish { verb: &verb, ..authorization::wish(request) };
                authorization::check_wish(facts, user, request.namespace.as_deref(), &wish)?;
            }
            RequestInfo::Path { path, verb } => {
                authorization::check_path(facts, user, path, &format!("impersonate-on:{mode}:{verb}"))?;
            }
        }
        let verb = format!("impersonate:{mode}");
        let may = |resource, subresource, namespace, name| {
            let wish = Wish { verb: &verb, group: AUTHENTICATION, resource, subresource, name };
            authorization::check_wish(facts, user, namespace, &wish)
        };
        match (self.node(), service_account::parse(&self.name)) {
            // Whoever may act as the node of their pod may so on all nodes.
            (Some(_), _) if mode == "associated-node" => may("nodes", "", None, "*")?,
            (Some(node), _) => may("nodes", "", None, node)?,
            (None, Some((namespace, account))) => may("serviceaccounts", "", Some(namespace), account)?,
            (None, None) => may("users", "", None, &self.name)?,
        }
        self.groups.iter().try_for_each(|group| may("groups", "", None, group))?;
        self.extra.iter().try_for_each(|(key, value)| may("userextras", key, None, value))?;
        self.uid.iter().try_for_each(|uid| may("uids", "", None, uid))
    }

    /// Refuses who may not act so in all that they do.
    fn check_whole(&self, facts: &impl Facts, user: &User) -> Result<(), Status> {
        let check = |group, resource, subresource, namespace, name| {
            let wish = Wish { verb: "impersonate", group, resource, subresource, name };
            authorization::check_wish(facts, user, namespace, &wish)
        };
        match service_account::parse(&self.name) {
            Some((namespace, account)) => check("", "serviceaccounts", "", Some(namespace), account)?,
            None => check("", "users", "", None, &self.name)?,
        }
        self.groups.iter().try_for_each(|group| check("", "groups", "", None, group))?;
        self.extra.iter().try_for_each(|(key, value)| check(AUTHENTICATION, "userextras", key, None, value))?;
        self.uid.iter().try_for_each(|uid| check(AUTHENTICATION, "uids", "", None, uid))
    }

    /// Who acts. Narrower ways tell what groups a node is in.
    fn into_user(self, is_narrow: bool) -> User {
        let groups = match (self.node().filter(|_| is_narrow), service_account::parse(&self.name)) {
            (Some(_), _) => vec!["system:nodes".to_owned()],
            (None, Some((namespace, _))) if self.groups.is_empty() => service_account::groups(namespace),
            _ => self.groups,
        };
        let mut acting = User { groups, uid: self.uid.unwrap_or_default(), ..User::default() };
        let every = if self.name == User::ANONYMOUS { "system:unauthenticated" } else { "system:authenticated" };
        if !acting.is_in("system:authenticated") && !acting.is_in("system:unauthenticated") {
            acting.groups.push(every.to_owned());
        }
        acting.name = self.name;
        for (key, value) in self.extra {
            acting.extra.entry(key).or_default().push(value);
        }
        acting
    }
}
