//! What requests may take of this process together, and one caller of it: turns, and bytes in memory.

use crate::authentication::User;
use crate::request_info::{RequestInfo, ResourceRequest, Verb};
use crate::shares::{Share, Shares};
use crate::verbs::{self, RUN_GROUP};

/// Requests that read, and requests that write, at once: of all callers, and of one. Upstream's are 400 and 200 for
/// goroutines that wait on etcd for milliseconds; ours cost a task of some kilobytes each, and ten thousand pods of one
/// node may want to tell their status in the same moment. Beyond it, clients are told to come again.
const REQUESTS_MAX: usize = 16 << 10;
const REQUESTS_OF_ONE_MAX: usize = 8 << 10;

/// Large answers on their way out, in bytes: of all callers, and of one. An answer stays in memory until its client has
/// taken it, however slowly. Beyond it, clients are told to come again.
const ANSWERS_BYTES_MAX: usize = 512 << 20;
const ANSWERS_OF_ONE_BYTES_MAX: usize = 128 << 20;

/// Answers below this are not counted.
pub(crate) const LARGE_ANSWER_BYTES: usize = 1 << 20;

/// Subresources whose requests last as long as their clients like.
const LASTING: [&str; 6] = ["log", "attach", "exec", "portforward", "proxy", "tunnel"];

/// See the module.
#[derive(Debug)]
pub(crate) struct Limits {
    pub reads: Shares,
    pub writes: Shares,
    pub bodies: Shares,
    pub answers: Shares,
    pub backups: Shares,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reads: Shares::new(REQUESTS_MAX, REQUESTS_OF_ONE_MAX),
            writes: Shares::new(REQUESTS_MAX, REQUESTS_OF_ONE_MAX),
            bodies: verbs::body::room(),
            answers: Shares::new(ANSWERS_BYTES_MAX, ANSWERS_OF_ONE_BYTES_MAX),
            backups: verbs::backup::room(),
        }
    }
}

impl Limits {
    /// A turn for a request; `Ok(None)` for one that lasts and has bounds of its own.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn turn(&self, user: &User, info: &RequestInfo) -> Result<Option<Share>, Refused> {
        let of = match info {
            RequestInfo::Resource(request) if lasts(request) => return Ok(None),
            RequestInfo::Resource(request) if !request.verb.is_read() => &self.writes,
            _ => &self.reads,
        };
        of.take(&user.name, 1).map(Some).ok_or(Refused)
    }
}

/// There is no turn left.
#[derive(Debug)]
pub(crate) struct Refused;

/// Whether a request lasts as long as its client likes.
pub(crate) fn lasts(request: &ResourceRequest) -> bool {
    request.verb == Verb::Watch
        || request.group == RUN_GROUP
        || request.subresource.as_deref().is_some_and(|subresource| LASTING.contains(&subresource))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn requests_that_last_take_no_turn() {
        let check = |method: Method, target: &str, expected: (usize, usize)| {
            let limits = Limits::default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let turn = limits.turn(&User::anonymous(), &RequestInfo::parse(&method, path, query));
            assert_eq!((limits.reads.taken(), limits.writes.taken()), expected, "{method} {target}");
            drop(turn);
            assert_eq!((limits.reads.taken(), limits.writes.taken()), (0, 0));
        };
        check(Method::GET, "/healthz", (1, 0));
        check(Method::GET, "/api/v1/pods", (1, 0));
        check(Method::GET, "/api/v1/pods?watch=1", (0, 0));
        check(Method::GET, "/api/v1/namespaces/n/pods/p/log", (0, 0));
        check(Method::POST, "/api/v1/namespaces/n/pods", (0, 1));
        check(Method::PATCH, "/api/v1/namespaces/n/pods/p/status", (0, 1));
        check(Method::POST, "/apis/run.minke.dev/v1/namespaces/n/run", (0, 0));
    }
}
