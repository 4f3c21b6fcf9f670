//! Authenticated multiplexed streams over one mTLS connection
