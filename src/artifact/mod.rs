//! The artifact pipeline.
