//! OCI references, pull, push, content store and inspection
