//! What is wrong with the parts of a running object, for its controller.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::{object::ObjectKey, reconcile::Queue};

/// Problems by part; notifies the controller when one begins or ends. Cloning shares them.
#[derive(Clone)]
pub(super) struct Health {
    problems: Arc<Mutex<BTreeMap<String, String>>>,
    queue: Queue,
    key: ObjectKey,
}

impl Health {
    /// Health of an object, whose controller listens to `queue`.
    pub(super) fn new(queue: Queue, key: ObjectKey) -> Self {
        Self {
            problems: Arc::default(),
            queue,
            key,
        }
    }

    /// Says how a part is doing.
    pub(super) fn set(&self, part: &str, problem: Option<String>) {
        let mut problems = self.problems.lock();
        let changed = problems.get(part) != problem.as_ref();
        match problem {
            Some(problem) => drop(problems.insert(part.to_owned(), problem)),
            None => drop(problems.remove(part)),
        }
        drop(problems);
        if changed {
            self.queue.add(self.key.clone());
        }
    }

    /// All problems, by part.
    pub(super) fn problems(&self) -> BTreeMap<String, String> {
        self.problems.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_hears_of_changes_only() {
        let (queue, key) = (Queue::new(), ObjectKey::new("ns", "s"));
        let health = Health::new(queue.clone(), key);
        health.set("a", None);
        assert_eq!(queue.depth(), 0);
        health.set("a", Some("away".into()));
        assert_eq!(queue.depth(), 1);
        assert_eq!(health.problems().get("a").map(String::as_str), Some("away"));
        health.set("a", None);
        assert!(health.problems().is_empty());
    }
}
