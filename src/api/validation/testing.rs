//! How tables of field errors are compared.

use super::field::{Error, ErrorList};

/// The errors read as expected, in order.
#[track_caller]
pub(super) fn check(errors: &ErrorList, expected: &[&str]) {
    assert_eq!(errors.iter().map(Error::to_string).collect::<Vec<_>>(), expected);
}
