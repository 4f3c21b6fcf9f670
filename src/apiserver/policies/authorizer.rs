//! What expressions may ask of rights: the server's own decisions, for whoever made the request or a service account.

use api::access::Wish;
use api::cel::admission::authorizer::{Asked, Authorizer, Decision, ServiceAccount};

use crate::authentication::{User, service_account};
use crate::authorization;
use crate::server::ApiServer;

/// The rights of one request's maker.
pub(crate) struct Rights<'a> {
    pub server: &'a ApiServer,
    pub user: &'a User,
}

impl Authorizer for Rights<'_> {
    fn authorize(&self, account: Option<&ServiceAccount>, asked: &Asked, verb: &str) -> Decision {
        let account = account.map(|account| service_account::user(&account.namespace, &account.name));
        let user = account.as_ref().unwrap_or(self.user);
        let decision = match asked {
            Asked::Path(path) => authorization::decide_path(self.server, user, path, verb),
            Asked::Resource(resource) => {
                let wish = Wish {
                    verb,
                    group: &resource.group,
                    resource: &resource.resource,
                    subresource: &resource.subresource,
                    name: &resource.name,
                };
                let namespace = Some(&*resource.namespace).filter(|namespace| !namespace.is_empty());
                authorization::decide_wish(self.server, user, namespace, &wish)
            }
        };
        Decision { is_allowed: decision.is_allowed, reason: decision.reason, error: None }
    }
}
