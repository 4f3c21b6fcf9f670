//! Who asks: a client certificate, a bearer token, or nobody.
//!
//! Order as upstream's union: the certificate of the connection, then `Authorization: Bearer`, then
//! `Authorization: Basic` with a token as password (for registry clients). A token that is sent and not known is 401;
//! nothing sent is `system:anonymous`.

mod bootstrap_token;
pub(crate) mod impersonation;
pub(crate) mod service_account;
mod user;

use std::collections::HashMap;

use api::status::Status;
use base::pki::Facts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

pub(crate) use bootstrap_token::{PREFIXES as TOKEN_PREFIXES, TokenSecret, artifacts_group};
pub use user::User;

/// Tokens that are told at start: by the hash of the token, so that looking one up tells nothing through time.
#[derive(Clone, Default)]
pub struct StaticTokens {
    users: HashMap<[u8; 32], User>,
}

impl std::fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticTokens").field("count", &self.users.len()).finish()
    }
}

impl StaticTokens {
    /// Lets whoever holds `token` in as `user`.
    pub fn add(&mut self, token: &str, user: User) {
        self.users.insert(hash(token), user);
    }

    fn find(&self, token: &str) -> Option<User> {
        self.users.get(&hash(token)).cloned()
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Finds out who asks. `certificate` is what the connection showed and TLS verified; `known` knows the tokens that the
/// cluster gives: of service accounts, and of bootstrap.
///
/// # Errors
/// 401 for credentials that are not good.
pub fn authenticate(
    certificate: Option<&Facts>,
    headers: &HeaderMap,
    tokens: &StaticTokens,
    known: impl Fn(&str) -> Option<User>,
) -> Result<User, Status> {
    if let Some(facts) = certificate {
        let mut user = User::authenticated(&facts.common_name, facts.organizations.clone());
        user.extra.insert(User::CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={}", facts.fingerprint)]);
        return Ok(user);
    }
    let Some(token) = token(headers) else {
        return if headers.contains_key(AUTHORIZATION) { Err(Status::unauthorized()) } else { Ok(User::anonymous()) };
    };
    tokens.find(&token).or_else(|| known(&token)).ok_or_else(Status::unauthorized)
}

/// The token of an `Authorization` header.
fn token(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        decoded.split_once(':')?.1.to_owned()
    } else {
        return None;
    };
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&str>, expected: Result<&str, u16>) {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        let mut tokens = StaticTokens::default();
        tokens.add("good", User::authenticated("alice", Vec::new()));
        let found = authenticate(None, &headers, &tokens, |_| None).map(|user| user.name).map_err(|status| status.code);
        assert_eq!(found.as_deref().map_err(|code| *code), expected, "{header:?}");
    }

    #[test]
    fn a_token_says_who_asks_and_a_wrong_one_is_refused() {
        check(None, Ok("system:anonymous"));
        check(Some("Bearer good"), Ok("alice"));
        check(Some("bearer good"), Ok("alice"));
        check(Some("Basic bWlua2U6Z29vZA=="), Ok("alice"));
        check(Some("Bearer bad"), Err(401));
        check(Some("Digest good"), Err(401));
        check(Some("Bearer "), Err(401));
    }

    #[test]
    fn a_certificate_comes_first() {
        let facts = Facts {
            common_name: "system:node:a".into(),
            organizations: vec!["system:nodes".into()],
            names: Vec::new(),
            not_before_seconds: 0,
            not_after_seconds: 0,
            fingerprint: "ab".into(),
        };
        let user = authenticate(Some(&facts), &HeaderMap::new(), &StaticTokens::default(), |_| None).unwrap();
        assert_eq!(user.groups, ["system:nodes", "system:authenticated"]);
    }
}
