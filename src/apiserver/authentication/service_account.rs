//! Tokens of service accounts: signed by the server, bound to the account and to a pod, Secret or node, and good for as
//! long as these are there.
//!
//! Claims as upstream's `pkg/serviceaccount/claims.go`; the keys are `pki/sa.key` and `pki/sa.pub`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::User;

/// Who issues the tokens, and whom they are for when they do not say, as kubeadm's default.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

const PREFIX: &str = "system:serviceaccount:";

/// Bytes of a key's header in DER before the point of a P-256 public key.
const POINT_BYTES: usize = 64;

/// Signs and reads tokens.
pub(crate) struct Tokens {
    signing: EncodingKey,
    reading: DecodingKey,
    /// The hash of the public key, by which a token names it.
    key_id: String,
    /// The public key as a JSON Web Key.
    public: Value,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Claims {
    pub aud: Vec<String>,
    pub exp: i64,
    pub iat: i64,
    pub iss: String,
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub bound: Bound,
    pub nbf: i64,
    pub sub: String,
}

/// What a token is bound to.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Bound {
    pub namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    pub serviceaccount: Reference,
}

/// An object, by name and UID.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Reference {
    pub name: String,
    #[serde(default)]
    pub uid: String,
}

/// Keys that are no P-256 pair.
#[derive(Debug, thiserror::Error)]
#[error("the keys of service accounts cannot be used: {0}")]
pub struct KeyError(String);

impl Tokens {
    /// With these keys, in PEM.
    pub(crate) fn new(public_pem: &str, private_pem: &str) -> Result<Self, KeyError> {
        let unusable = |error: jsonwebtoken::errors::Error| KeyError(error.to_string());
        let der = base::pki::public_key_der(public_pem).map_err(|error| KeyError(error.to_string()))?;
        let point = der.len().checked_sub(POINT_BYTES).and_then(|from| der.get(from..));
        let (x, y) = point.ok_or_else(|| KeyError("no P-256 key".to_owned()))?.split_at(POINT_BYTES / 2);
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(&der));
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        Ok(Self {
            signing: EncodingKey::from_ec_pem(private_pem.as_bytes()).map_err(unusable)?,
            reading: DecodingKey::from_ec_pem(public_pem.as_bytes()).map_err(unusable)?,
            public: json!({"use": "sig", "kty": "EC", "kid": key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}),
            key_id,
        })
    }

    /// The keys by which others check tokens: `/openid/v1/jwks`.
    pub(crate) fn key_set(&self) -> Value {
        json!({"keys": [self.public]})
    }

    /// A signed token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let header = Header { kid: Some(self.key_id.clone()), typ: None, ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(|error| KeyError(error.to_string()))
    }

    /// What a token says, if this server signed it and it is good now.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::ES256);
        // Times are looked at here, by the process' one clock; audiences by who asks.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["iss", "sub", "exp"]);
        validation.set_issuer(&[ISSUER]);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.reading, &validation).ok()?.claims;
        let now = now.as_second();
        (now < claims.exp && claims.nbf <= now).then_some(claims)
    }
}

impl Claims {
    /// Whom the token lets in, if all that it is bound to is there; `object` reads one by plural, namespace and name.
    pub(crate) fn user(&self, object: impl Fn(&str, Option<&str>, &str) -> Option<Value>) -> Option<User> {
        let Bound { namespace, serviceaccount, .. } = &self.bound;
        let is_there = |plural: &str, namespace: Option<&str>, wanted: &Reference| {
            object(plural, namespace, &wanted.name).is_some_and(|found| {
                api::meta::uid(&found) == Some(&wanted.uid) && api::meta::deletion_timestamp(&found).is_none()
                    // A pod that is being deleted still works for as long as its grace.
                    || plural == "pods" && api::meta::uid(&found) == Some(&wanted.uid)
            })
        };
        let own = Some(namespace.as_str());
        let is_good = is_there("serviceaccounts", own, serviceaccount)
            && self.bound.pod.as_ref().is_none_or(|pod| is_there("pods", own, pod))
            && self.bound.secret.as_ref().is_none_or(|secret| is_there("secrets", own, secret))
            && (self.bound.pod.is_some() || self.bound.node.as_ref().is_none_or(|node| is_there("nodes", None, node)));
        if !is_good || self.sub != format!("{PREFIX}{namespace}:{}", serviceaccount.name) {
            return None;
        }
        let mut groups = groups(namespace);
        groups.push("system:authenticated".to_owned());
        let mut extra = BTreeMap::from([(User::CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", self.jti)])]);
        for (kind, bound) in [("node", &self.bound.node), ("pod", &self.bound.pod)] {
            for bound in bound.iter() {
                extra.insert(format!("authentication.kubernetes.io/{kind}-name"), vec![bound.name.clone()]);
                extra.insert(format!("authentication.kubernetes.io/{kind}-uid"), vec![bound.uid.clone()]);
            }
        }
        Some(User { name: self.sub.clone(), uid: serviceaccount.uid.clone(), groups, extra })
    }
}

/// The name of an account's user.
pub(crate) fn user_name(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// An account as the caller that its tokens make.
pub(crate) fn user(namespace: &str, name: &str) -> User {
    User::authenticated(&user_name(namespace, name), groups(namespace))
}

/// Namespace and name of the account whose user this is.
pub(crate) fn parse(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(PREFIX)?
        .split_once(':')
        .filter(|(namespace, name)| api::names::label(namespace).is_empty() && api::names::subdomain(name).is_empty())
}

/// The groups of the accounts of a namespace.
pub(crate) fn groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        let named = |name: &str| Reference { name: name.to_owned(), uid: format!("uid-of-{name}") };
        Claims {
            aud: vec![ISSUER.to_owned()],
            exp: 200,
            iat: 100,
            iss: ISSUER.to_owned(),
            jti: "id".to_owned(),
            bound: Bound {
                namespace: "n".to_owned(),
                pod: Some(named("p")),
                serviceaccount: named("a"),
                ..Bound::default()
            },
            nbf: 100,
            sub: user_name("n", "a"),
        }
    }

    #[test]
    fn a_token_is_good_for_its_time_and_from_this_server() {
        let tokens = || {
            let (public, private) = base::pki::service_account_keys().unwrap();
            Tokens::new(&public, &private).unwrap()
        };
        let (own, other) = (tokens(), tokens());
        let token = own.sign(&claims()).unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(own.read(&token, at(150)), Some(claims()));
        assert_eq!(own.read(&token, at(200)), None);
        assert_eq!(own.read(&token, at(99)), None);
        assert_eq!(other.read(&token, at(150)), None);
        assert_eq!(own.read(&format!("{token}x"), at(150)), None);
    }

    #[test]
    fn a_token_ends_with_what_it_is_bound_to() {
        let user = |gone: &str, uid_prefix: &str| {
            claims().user(|plural, _, name| {
                (plural != gone).then(|| json!({"metadata": {"name": name, "uid": format!("{uid_prefix}{name}")}}))
            })
        };
        let good = user("", "uid-of-").unwrap();
        assert_eq!(good.name, "system:serviceaccount:n:a");
        assert_eq!(good.groups, ["system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated"]);
        assert_eq!(good.extra["authentication.kubernetes.io/pod-name"], ["p"]);
        assert_eq!(user("pods", "uid-of-"), None);
        assert_eq!(user("serviceaccounts", "uid-of-"), None);
        assert_eq!(user("", "another-"), None);
    }
}
