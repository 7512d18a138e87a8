//! Effects: the few ways in which an operator writes to the API server.
//!
//! The error of each function names the verb and the object, and every call passes the
//! fence of [`crate::client`].

mod events;
mod finalizer;
mod write;

pub use events::EventSink;
pub use finalizer::{FinalizerChange, add_finalizer, remove_finalizer};
pub use write::{
    ApplyError, Deleted, apply_forced, apply_with, create, delete, get, list, merge_patch,
    merge_with, replace, resource_of,
};
