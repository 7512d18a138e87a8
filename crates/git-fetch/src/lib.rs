//! Git over http, https and ssh, as far as operators need it: list the refs of a server, fetch one commit or its
//! history into a bare store, read files from the store.
//!
//! ```text
//!   Login ──► Store::list_refs ──► refs
//!        └──► Store::fetch ──► pack, within GitLimits ──► objects ──► Store::read_file, or readers of operators
//! ```
//!
//! There is no work tree that a link could lead out of, and no program runs but `ssh`. Whatever a server sends is
//! counted before it is kept; addresses pass [`reconcile_core::egress`]; credentials go to their own server only. Calls
//! block: a [`Pool`] runs them, with a deadline and fair shares of its threads.

mod connection;
mod error;
mod file;
mod http;
mod limits;
mod login;
mod objects;
mod permits;
mod pool;
mod revision;
mod ssh;
mod store;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod url;

pub use connection::ConnectionSettings;
pub use error::{FetchError, remote_error, store_error};
pub use file::{FileError, plain_path};
pub use http::configured;
pub use limits::{GitLimits, Interrupt};
pub use login::{Login, Names};
pub use objects::{Entries, FolderIndex, commit_of, tree_of};
pub use permits::Share;
pub use pool::{Pool, PoolError};
pub use revision::{is_commit_id, is_ref_name};
pub use ssh::SshUrl;
pub use store::{Depth, FetchRequest, RefList, Store, StoreRules};
