//! Commands that need no cluster and no bus. They check and decide with the code of the controllers and workers.

pub mod lint;
pub mod simulate;
