//! Expressions of admission: match conditions of webhooks, and policies that validate or change objects.

pub mod authorizer;
