//! Commands that only speak to a server
