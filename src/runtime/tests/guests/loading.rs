//! From bytes to code, and what is refused on the way.
