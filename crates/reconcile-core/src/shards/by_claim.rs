//! What is made once for each claim.

use parking_lot::Mutex;

use super::Claim;

/// A value for each claim that is held, such as a client whose writes pass the fence of its lease.
#[derive(Debug)]
pub struct ByClaim<T>(Mutex<Vec<(Claim, T)>>);

impl<T> Default for ByClaim<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> ByClaim<T> {
    /// The value of a claim, which `make` makes at the first call. The values of claims that go are dropped.
    pub fn of(&self, claim: &Claim, make: impl FnOnce() -> T) -> T {
        let mut values = self.0.lock();
        if let Some((_, value)) = values.iter().find(|(held, _)| held.is(claim)) {
            return value.clone();
        }
        values.retain(|(held, _)| !held.leaving().is_cancelled());
        let value = make();
        values.push((claim.clone(), value.clone()));
        value
    }
}
