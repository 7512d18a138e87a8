//! What an operator is, and which part a process of it has.

use std::net::IpAddr;

/// What differs between operators at start.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the process, for the log and for Events.
    pub name: &'static str,
    /// Name of the Lease that its controllers need.
    pub lease: String,
    /// Address of the admin server; all addresses when absent.
    pub address: Option<IpAddr>,
    /// Ports of the admin server; each serves all endpoints. 0 takes a free one.
    pub ports: Vec<u16>,
}

/// What a process does among the others of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// It runs for the lease of the controllers, and all work is the leader's.
    #[default]
    Leader,
    /// As [`Part::Leader`], and it works on shards whether it leads or not ([`crate::shards`]).
    LeaderAndShards,
    /// It works on shards only and never leads.
    Shards,
}

impl Part {
    /// That of a controller with so many shards; with one the leader acts for all objects.
    pub fn of_controller(shards: u32) -> Self {
        if shards > 1 {
            Self::LeaderAndShards
        } else {
            Self::Leader
        }
    }
}
