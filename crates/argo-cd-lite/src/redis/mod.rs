//! The part of the Redis protocol that Argo CD's own server needs beside the controller.
//!
//! ```text
//!   connection ─► password ─► frame ─► command ─┬─► key of a tree, of managed resources, of a cluster ─► live answers
//!                                               ├─► a revoked token ─► store that is kept over a restart
//!                                               ├─► any other key ─► store with times to live
//!   controller ─► publisher ─► channels ────────┴─► mailbox of each subscriber
//! ```
//!
//! Everything that a client can make grow has a bound: frames, connections, values, subscriptions, mailboxes, and
//! the answers that are made at the same time.

mod answers;
mod changes;
mod channels;
mod command;
mod execute;
mod frame;
mod key;
pub mod live;
mod pattern;
mod reply;
mod revoked;
mod server;
mod session;
mod store;

pub use answers::{AnswerError, LiveAnswers};
pub use changes::Changes;
pub use revoked::{KeepRevoked, RevokedToken};
pub use server::{BoundRedis, Password, Publisher, RedisServer};

#[cfg(test)]
mod tests;
