//! `/healthz`, `/livez` and `/readyz`: named checks, in upstream's text.
//!
//! `?verbose` lists each check, `?exclude=NAME` leaves one out, and `/readyz/NAME` asks one alone. Why a check failed is
//! in the log: who asks may be anybody.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

/// A check: `Err` says why it fails.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks, in the order in which they are listed.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
    /// Asked by `/readyz` alone: what keeps callers away and is no reason to start again.
    of_readiness: Vec<(&'static str, Check)>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _)| name)).finish()
    }
}

impl Health {
    /// Adds a check under a name.
    pub fn add(&mut self, name: &'static str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.checks.push((name, Arc::new(check)));
    }

    /// Adds a check that `/readyz` alone asks.
    pub fn add_to_readiness(
        &mut self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.of_readiness.push((name, Arc::new(check)));
    }

    /// The answer at `path`; `None` when it is no health path.
    #[must_use]
    pub fn serve(&self, path: &str, query: &str) -> Option<Response<Body>> {
        let (root, one) = ["healthz", "livez", "readyz"].iter().find_map(|root| {
            let rest = path.strip_prefix('/')?.strip_prefix(root)?;
            if rest.is_empty() { Some((*root, "")) } else { rest.strip_prefix('/').map(|one| (*root, one)) }
        })?;
        if !one.is_empty() {
            let (_, check) = self.checks(root).find(|(name, _)| *name == one)?;
            return Some(match check() {
                Ok(()) => text(StatusCode::OK, "ok".into()),
                Err(why) => {
                    tracing::warn!(check = one, why, "health check failed");
                    text(StatusCode::INTERNAL_SERVER_ERROR, "internal server error: reason withheld\n".into())
                }
            });
        }
        let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let excluded: Vec<&str> =
            parameters.iter().filter(|(key, _)| key == "exclude").map(|(_, value)| value.as_str()).collect();
        let is_verbose = parameters.iter().any(|(key, _)| key == "verbose");
        Some(self.all(root, &excluded, is_verbose))
    }

    /// The checks of a path, `ping` before all.
    fn checks(&self, root: &str) -> impl Iterator<Item = (&'static str, Check)> {
        let ping: Check = Arc::new(|| Ok(()));
        let of_readiness = self.of_readiness.iter().filter(move |_| root == "readyz");
        std::iter::once(("ping", ping)).chain(self.checks.iter().chain(of_readiness).cloned())
    }

    fn all(&self, root: &str, excluded: &[&str], is_verbose: bool) -> Response<Body> {
        let mut lines = String::new();
        let mut failed = Vec::new();
        for (name, check) in self.checks(root) {
            if excluded.contains(&name) {
                lines.push_str(&format!("[+]{name} excluded: ok\n"));
            } else if let Err(why) = check() {
                tracing::warn!(check = name, why, "health check failed");
                lines.push_str(&format!("[-]{name} failed: reason withheld\n"));
                failed.push(name);
            } else {
                lines.push_str(&format!("[+]{name} ok\n"));
            }
        }
        let unknown = excluded.iter().filter(|wanted| !self.checks(root).any(|(name, _)| name == **wanted));
        let unknown: Vec<String> = unknown.map(|name| format!("{name:?}")).collect();
        if !unknown.is_empty() {
            lines.push_str(&format!(
                "warn: some health checks cannot be excluded: no matches for {}\n",
                unknown.join(",")
            ));
        }
        if !failed.is_empty() {
            return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{root} check failed\n"));
        }
        text(StatusCode::OK, if is_verbose { format!("{lines}{root} check passed\n") } else { "ok".into() })
    }
}

fn text(code: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn check(target: &str, expected: (u16, &str)) {
        let mut health = Health::default();
        health.add("store", || Ok(()));
        health.add("disk", || Err("it is full".into()));
        health.add_to_readiness("shutdown", || Err("it begins".into()));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let response = health.serve(path, query).unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!((code, std::str::from_utf8(&body).unwrap()), expected, "{target}");
    }

    #[tokio::test]
    async fn checks_are_told_in_upstreams_words() {
        let disk = "[+]ping ok\n[+]store ok\n[-]disk failed: reason withheld\n";
        check("/livez", (500, &format!("{disk}livez check failed\n"))).await;
        let ending = "[-]shutdown failed: reason withheld\n";
        check("/readyz", (500, &format!("{disk}{ending}readyz check failed\n"))).await;
        check("/livez?exclude=disk", (200, "ok")).await;
        check(
            "/healthz?verbose&exclude=disk",
            (200, "[+]ping ok\n[+]store ok\n[+]disk excluded: ok\nhealthz check passed\n"),
        )
        .await;
        check("/readyz/ping", (200, "ok")).await;
        assert!(Health::default().serve("/readyzz", "").is_none());
    }
}
