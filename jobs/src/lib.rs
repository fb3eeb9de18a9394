//! Job kinds.
