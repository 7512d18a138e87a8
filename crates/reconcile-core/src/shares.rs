//! Fair shares of something limited, such as bytes in memory or threads.
//!
//! A holder may hold as much as it leaves free. Alone it gets half, beside others an equal share, so a holder that
//! takes all it can get never shuts the others out. A holder that holds nothing may take whatever is free.
//!
//! ```
//! use reconcile_core::shares::Shares;
//!
//! let mut bytes = Shares::new(100);
//! bytes.take(&["shop"], 50);
//! assert!(!bytes.admits(&["shop"], 1));
//! assert!(bytes.admits(&["bank"], 50));
//! bytes.release(&["shop"], 50);
//! assert_eq!(bytes.free(), 100);
//! ```

use std::{collections::HashMap, hash::Hash};

/// What is held of a limited amount, in all and by holder. What waits for a release, or refuses, is up to the caller.
#[derive(Debug)]
pub struct Shares<H> {
    limit: usize,
    used: usize,
    held: HashMap<H, usize>,
}

impl<H: Clone + Eq + Hash> Shares<H> {
    /// Shares of `limit` units, all of them free.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            held: HashMap::new(),
        }
    }

    /// Units that nobody holds.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// Units that are held.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Units that `holder` holds.
    pub fn held(&self, holder: &H) -> usize {
        self.held.get(holder).copied().unwrap_or_default()
    }

    /// Whether each of `holders` leaves as much free as it holds once `amount` is taken for them.
    pub fn admits(&self, holders: &[H], amount: usize) -> bool {
        let Some(left) = self.free().checked_sub(amount) else {
            return false;
        };
        let mut held = holders.iter().map(|holder| self.held(holder));
        held.all(|held| held == 0 || held.saturating_add(amount) <= left)
    }

    /// Takes `amount` once, and counts it for each of `holders`. It is taken even when [`Shares::admits`] says no, for
    /// callers whose rules let more pass.
    pub fn take(&mut self, holders: &[H], amount: usize) {
        self.used = self.used.saturating_add(amount);
        for holder in holders {
            let held = self.held.entry(holder.clone()).or_default();
            *held = held.saturating_add(amount);
        }
    }

    /// Releases what [`Shares::take`] took with the same arguments.
    pub fn release(&mut self, holders: &[H], amount: usize) {
        self.used = self.used.saturating_sub(amount);
        for holder in holders {
            if let Some(held) = self.held.get_mut(holder) {
                *held = held.saturating_sub(amount);
                if *held == 0 {
                    self.held.remove(holder);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many units `holder` gets one after the other.
    fn fill(shares: &mut Shares<&'static str>, holder: &'static str) -> usize {
        while shares.admits(&[holder], 1) {
            shares.take(&[holder], 1);
        }
        shares.held(&holder)
    }

    #[test]
    fn a_holder_never_holds_more_than_it_leaves_free() {
        let mut shares = Shares::new(16);
        let got = ["greedy", "second", "third"].map(|holder| fill(&mut shares, holder));
        assert_eq!(got, [8, 4, 2]);
        assert_eq!((shares.used(), shares.free()), (14, 2));
        shares.release(&["greedy"], 8);
        assert_eq!(fill(&mut shares, "third"), 6);
    }

    #[test]
    fn who_holds_nothing_may_take_all_that_is_free_and_no_more() {
        let mut shares = Shares::new(16);
        assert!(shares.admits(&["one"], 16));
        assert!(!shares.admits(&["one"], 17));
        assert!(!shares.admits(&["one"], usize::MAX));
        shares.take(&["one"], 16);
        assert!(!shares.admits(&["two"], 1));
        assert!(shares.admits(&["two"], 0));
    }

    #[test]
    fn what_counts_for_two_holders_is_taken_once_and_needs_the_leave_of_both() {
        let mut shares = Shares::new(8);
        shares.take(&["host", "project"], 4);
        assert_eq!(shares.free(), 4);
        assert!(!shares.admits(&["host", "other"], 1));
        assert!(!shares.admits(&["elsewhere", "project"], 1));
        assert!(shares.admits(&["elsewhere", "other"], 1));
        shares.release(&["host", "project"], 4);
        assert_eq!((shares.free(), shares.held.len()), (8, 0));
    }

    #[test]
    fn more_than_the_limit_leaves_nothing_free() {
        let mut shares = Shares::new(4);
        shares.take(&["large"], 9);
        assert_eq!((shares.used(), shares.free()), (9, 0));
        shares.release(&["large"], 9);
        assert_eq!(shares.free(), 4);
    }
}
