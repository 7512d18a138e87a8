//! The settings in force, shared by everything that depends on them.

use std::{fmt, sync::Arc};

use parking_lot::RwLock;

use super::ArgoSettings;

/// The settings of now. Cloning shares them.
#[derive(Clone, Default)]
pub struct SettingsHandle(Arc<RwLock<Arc<ArgoSettings>>>);

impl SettingsHandle {
    /// The settings of now; a pass takes them once.
    pub fn current(&self) -> Arc<ArgoSettings> {
        self.0.read().clone()
    }

    /// Puts other settings in force. False when they are the same.
    pub fn replace(&self, settings: ArgoSettings) -> bool {
        let mut current = self.0.write();
        if **current == settings {
            return false;
        }
        *current = Arc::new(settings);
        true
    }
}

impl fmt::Debug for SettingsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettingsHandle").finish_non_exhaustive()
    }
}
