//! A file or folder a controller
