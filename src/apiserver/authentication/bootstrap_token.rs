//! Bootstrap tokens: `ID.SECRET`, kept as Secrets `bootstrap-token-ID` in `kube-system`, as upstream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::User;

/// What a token's Secret says.
#[derive(Debug)]
pub(crate) struct TokenSecret {
    id: String,
    secret: String,
    expiration: Option<Timestamp>,
    authenticates: bool,
    extra_groups: Vec<String>,
}

impl TokenSecret {
    /// Reads a Secret of type `bootstrap.kubernetes.io/token`; `None` for any other, and for one that is being
    /// deleted or whose expiration cannot be read.
    pub(crate) fn read(secret: &Value) -> Option<Self> {
        if secret.get("type").and_then(Value::as_str) != Some("bootstrap.kubernetes.io/token") {
            return None;
        }
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
        let groups = data("auth-extra-groups").unwrap_or_default();
        Some(Self {
            id: data("token-id")?,
            secret: data("token-secret")?,
            expiration,
            authenticates: data("usage-bootstrap-authentication").as_deref() == Some("true"),
            extra_groups: groups.split(',').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned).collect(),
        })
    }

    /// Whom the token lets in, if it is this one and still good.
    pub(crate) fn user(&self, id: &str, secret: &str, now: Timestamp) -> Option<User> {
        let is_good = self.authenticates
            && self.id == id
            && is_same(&self.secret, secret)
            && self.expiration.is_none_or(|expiration| now < expiration);
        let groups = ["system:bootstrappers".to_owned()].into_iter().chain(self.extra_groups.iter().cloned());
        is_good.then(|| User::authenticated(&format!("system:bootstrap:{id}"), groups.collect()))
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
}
