//! How many passes work on one cluster at the same time, so that a slow one leaves workers for the others.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;

/// Requests a pass over an Application.
pub type Wake = Arc<dyn Fn(ObjectKey) + Send + Sync>;

/// The passes of one cluster. Cloning shares them.
#[derive(Clone)]
pub struct Turns(Arc<TurnState>);

struct TurnState {
    state: Mutex<State>,
    wake: Wake,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: VecDeque<ObjectKey>,
}

/// A pass that works on a cluster; its end lets the next one in.
#[derive(Clone)]
pub struct Turn(#[expect(dead_code, reason = "held for its end")] Arc<Running>);

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turn")
    }
}

struct Running(Arc<TurnState>);

impl Drop for Running {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state.lock();
            state.running -= 1;
            state.waiting.pop_front()
        };
        if let Some(app) = next {
            (self.0.wake)(app);
        }
    }
}

impl Turns {
    /// No pass works yet; `wake` is called with an Application whose turn has come.
    pub fn new(wake: Wake) -> Self {
        Self(Arc::new(TurnState {
            state: Mutex::default(),
            wake,
        }))
    }

    /// A turn for `app` when fewer than `limit` passes work; otherwise the Application is woken when one has ended.
    pub fn take(&self, app: &ObjectKey, limit: usize) -> Option<Turn> {
        let mut state = self.0.state.lock();
        if state.running >= limit.max(1) {
            if !state.waiting.contains(app) {
                state.waiting.push_back(app.clone());
            }
            return None;
        }
        state.running += 1;
        drop(state);
        Some(Turn(Arc::new(Running(self.0.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_beyond_the_limit_waits_for_the_end_of_another() {
        let woken: Arc<Mutex<Vec<ObjectKey>>> = Arc::default();
        let turns = Turns::new({
            let woken = woken.clone();
            Arc::new(move |app| woken.lock().push(app))
        });
        let app = |name: &str| ObjectKey::new("argocd", name);
        let first = turns.take(&app("a"), 2).expect("a turn");
        let second = turns.take(&app("b"), 2).expect("a turn");
        assert!(turns.take(&app("c"), 2).is_none());
        assert!(turns.take(&app("c"), 2).is_none(), "waits once");
        drop(first.clone());
        assert!(woken.lock().is_empty(), "the pass has not ended");
        drop(first);
        assert_eq!(*woken.lock(), [app("c")]);
        assert!(turns.take(&app("c"), 2).is_some());
        drop(second);
        assert_eq!(woken.lock().len(), 1);
    }
}
