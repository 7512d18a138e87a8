//! The value types against tables and, where Go's own answer was recorded, against that.

mod go_duration;
mod int_or_percent;
mod names;
mod quantity;
mod selector;
