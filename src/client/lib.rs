//! How every component meets the API
