//! Tokens `ID.SECRET` that are kept as Secrets in `kube-system`: `bootstrap-token-ID` as upstream, by which nodes join,
//! and `registry-token-ID`, by which registry clients work on the artifacts of one namespace and on nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::User;

/// How the Secrets of tokens are named: this, and the token's id.
pub(crate) const PREFIXES: [&str; 2] = ["bootstrap-token-", "registry-token-"];

/// The beginning of the groups that may work on the artifacts of a namespace, which follows.
const ARTIFACTS: &str = "run.minke.dev:artifacts:";

/// The group that may work on the artifacts of `namespace`.
pub(crate) fn artifacts_group(namespace: &str) -> String {
    format!("{ARTIFACTS}{namespace}")
}

/// What a token's Secret says.
#[derive(Debug)]
pub(crate) struct TokenSecret {
    id: String,
    secret: String,
    expiration: Option<Timestamp>,
    authenticates: bool,
    /// The beginning of the user's name, which the id follows.
    user_prefix: &'static str,
    groups: Vec<String>,
}

impl TokenSecret {
    /// Reads a Secret of type `bootstrap.kubernetes.io/token` or `run.minke.dev/registry-token`; `None` for any other,
    /// and for one that is being deleted or whose expiration cannot be read.
    pub(crate) fn read(secret: &Value) -> Option<Self> {
        if api::meta::deletion_timestamp(secret).is_some() {
            return None;
        }
        let data = |key: &str| {
            let encoded = secret.get("data")?.get(key)?.as_str()?;
            String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
        };
        let expiration = match data("expiration") {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let (user_prefix, authenticates, groups) = match secret.get("type")?.as_str()? {
            "bootstrap.kubernetes.io/token" => {
                let extra = data("auth-extra-groups").unwrap_or_default();
                let extra = extra.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned);
                let groups = std::iter::once("system:bootstrappers".to_owned()).chain(extra).collect();
                ("system:bootstrap:", data("usage-bootstrap-authentication").as_deref() == Some("true"), groups)
            }
            "run.minke.dev/registry-token" => {
                ("run.minke.dev:registry-token:", true, vec![artifacts_group(&data("namespace")?)])
            }
            _ => return None,
        };
        let (id, secret) = (data("token-id")?, data("token-secret")?);
        Some(Self { id, secret, expiration, authenticates, user_prefix, groups })
    }

    /// Whom the token lets in, if it is this one and still good.
    pub(crate) fn user(&self, id: &str, secret: &str, now: Timestamp) -> Option<User> {
        let is_good = self.authenticates
            && self.id == id
            && is_same(&self.secret, secret)
            && self.expiration.is_none_or(|expiration| now < expiration);
        is_good.then(|| User::authenticated(&format!("{}{id}", self.user_prefix), self.groups.clone()))
    }
}

/// Compares in a time that does not depend on where the texts differ.
fn is_same(a: &str, b: &str) -> bool {
    let differing = a.bytes().zip(b.bytes()).fold(0, |acc, (a, b)| acc | (a ^ b));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(expiration: &str) -> Value {
        let b64 = |text: &str| STANDARD.encode(text);
        json!({"type": "bootstrap.kubernetes.io/token", "data": {"token-id": b64("abcdef"),
            "token-secret": b64("0123456789abcdef"), "usage-bootstrap-authentication": b64("true"),
            "auth-extra-groups": b64("system:bootstrappers:minke"), "expiration": b64(expiration)}})
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let check = |expiration: &str, id: &str, given: &str| {
            TokenSecret::read(&secret(expiration)).and_then(|token| token.user(id, given, now)).map(|user| user.name)
        };
        let good = Some("system:bootstrap:abcdef".to_owned());
        assert_eq!(check("2026-11-24T00:00:00Z", "abcdef", "0123456789abcdef"), good);
        assert_eq!(check("2026-11-23T11:59:59Z", "abcdef", "0123456789abcdef"), None);
        assert_eq!(check("2026-11-24T00:00:00Z", "abcdef", "0123456789abcdeX"), None);
        assert_eq!(check("2026-11-24T00:00:00Z", "other1", "0123456789abcdef"), None);
        assert_eq!(check("no date", "abcdef", "0123456789abcdef"), None);
    }

    #[test]
    fn a_registry_token_is_for_the_artifacts_of_its_namespace_alone() {
        let b64 = |text: &str| STANDARD.encode(text);
        let secret = json!({"type": "run.minke.dev/registry-token", "data": {"token-id": b64("abcdef"),
            "token-secret": b64("0123456789abcdef"), "namespace": b64("shop")}});
        let user =
            TokenSecret::read(&secret).unwrap().user("abcdef", "0123456789abcdef", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(user.name, "run.minke.dev:registry-token:abcdef");
        assert!(user.is_in("run.minke.dev:artifacts:shop") && !user.is_in("system:bootstrappers"));
    }
}
