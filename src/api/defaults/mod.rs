//! What a field holds when nobody set it, a function a kind.
