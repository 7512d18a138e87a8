//! What every operator of this workspace needs, and nothing of any one of them.
//!
//! ```text
//!   operator   args, log, client, admin server, election, drain: from command line to clean stop
//!   watch      the one way to watch a kind; indexes of small values with read-your-writes
//!   reconcile  observe ─► plan ─► apply ─► report, and the driver that runs it
//!   error      classes of errors, which decide the retry; errors as one line of text
//!   event      Kubernetes Events as data
//!   client     the gate of all requests: fence, request classes with deadlines, counters
//!   listen     HTTP listeners that no client can exhaust
//!   egress     which addresses are called on behalf of a manifest
//!   aws        signatures of AWS, and where their credentials come from
//!   jwt        proofs of identity that a private key signs
//!   credentials, secret   texts without the credentials of URLs; secrets that do not print
//!   process_limits  what the kernel gives to the programs that an operator starts
//!   shards     objects that are shared out between processes by named claims
//!   shares     fair shares of bytes and threads: a holder leaves as much free as it holds
//!   apply      the few ways to write
//!   conditions status conditions with honest transition times
//!   kube_types Go durations, quantities, int-or-percent, selectors, names
//!   yaml       YAML with the scalar rules of Go, and a writer with a stable order
//!   fields     the support ledger: which fields are honoured, and what is said about the others
//!   unserved   kinds that are not supported yet: each object gets a condition that says so
//!   testkit    (feature) fake API server, simulation loop, transcripts
//! ```
//!
//! This crate never names an Argo kind.

pub mod admin;
pub mod apply;
pub mod args;
pub mod aws;
pub mod client;
pub mod clock;
pub mod conditions;
pub mod credentials;
pub mod egress;
pub mod error;
pub mod event;
pub mod fields;
pub mod jwt;
pub mod kube_types;
pub mod lease;
pub mod listen;
pub mod manifests;
pub mod object;
pub mod operator;
pub mod process_limits;
pub mod reconcile;
pub mod redaction;
pub mod secret;
pub mod shards;
pub mod shares;
pub mod telemetry;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod unserved;
pub mod watch;
pub mod yaml;
