//! The one way to watch a kind, and the small values that are kept of it.
//!
//! ```text
//!   API server ──► streamed list / watch ──► guard ──► convert ──► Index<T> ──► changed(key, old, new)
//!                  (falls back to pages)     (undecodable          (small values,
//!                                             objects are logged)   by key and tag)
//! ```

mod guard;
mod index;
mod pauses;
mod stream;

pub use guard::{Guarded, Undecodable};
pub use index::{Change, Index, Origin, Stored};
pub use stream::{Watch, WatchConfig};

#[cfg(test)]
mod tests;
