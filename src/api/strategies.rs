//! What differs between kinds, one [`crate::scheme::Strategy`] a kind.
