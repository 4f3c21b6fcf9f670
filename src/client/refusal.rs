//! What the server said no to, as questions about an error.

use std::time::Duration;

use base::backoff::{Backoff, Law};

/// The wait between two tries to write what others write as well, as client-go's `retry.DefaultRetry`.
const CONFLICT: Law = Law::spread(Duration::from_millis(10), Duration::from_millis(40));

/// How often a write is tried that others keep getting in before; then the conflict is the answer.
const CONFLICT_TRIES_MAX: u32 = 5;

/// Whether there is no such object.
#[must_use]
pub fn is_not_found(error: &kube::Error) -> bool {
    code(error) == Some(404)
}

/// Whether the object is there already, or is not as the write expected it.
#[must_use]
pub fn is_conflict(error: &kube::Error) -> bool {
    code(error) == Some(409)
}

/// Whether trying the same request again is in vain: the server has understood and refused it.
#[must_use]
pub fn is_final(error: &kube::Error) -> bool {
    code(error).is_some_and(|code| (400..500).contains(&code) && !matches!(code, 408 | 409 | 429))
}

/// Whether the server refused because the namespace is being emptied, and takes in nothing new.
#[must_use]
pub fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let details = status.details.as_ref();
    details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
}

/// The code of the answer; `None` where there was none.
#[must_use]
pub fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// An answer of the server, where `None` stands for "there is no such object".
///
/// # Errors
/// Every other refusal.
pub fn found<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs `attempt`, which reads an object and writes it back, again where somebody else wrote in between.
///
/// # Errors
/// What the last attempt met: another refusal, or a conflict after five tries.
pub async fn retry_on_conflict<T, F: Future<Output = kube::Result<T>>>(attempt: impl Fn() -> F) -> kube::Result<T> {
    let mut retry = Backoff::new(CONFLICT);
    loop {
        match attempt().await {
            Err(error) if is_conflict(&error) && retry.tries() + 1 < CONFLICT_TRIES_MAX => {
                tokio::time::sleep(retry.next_wait()).await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::*;

    fn refusal(code: u16) -> kube::Error {
        kube::Error::Api(Status { code, ..Status::default() }.boxed())
    }

    #[test]
    fn only_what_may_change_by_itself_is_worth_another_try() {
        for (code, expected) in
            [(400, true), (403, true), (404, true), (422, true), (409, false), (429, false), (503, false)]
        {
            assert_eq!(is_final(&refusal(code)), expected, "{code}");
        }
        assert!(!is_final(&kube::Error::LinesCodecMaxLineLengthExceeded));
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again_and_other_refusals_are_not() {
        for (code, expected) in [(409, CONFLICT_TRIES_MAX), (403, 1)] {
            let tries = Cell::new(0);
            let answer = retry_on_conflict(|| {
                tries.set(tries.get() + 1);
                async { Err::<(), _>(refusal(code)) }
            });
            assert_eq!(super::code(&answer.await.unwrap_err()), Some(code));
            assert_eq!(tries.get(), expected, "{code}");
        }
    }
}
