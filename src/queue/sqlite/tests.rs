//! What is internal to this engine: its query plans, the ring, what is forgotten. The laws are proved elsewhere.
