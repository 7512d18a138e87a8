//! Filters of event sources (filled in with the sprig functions).
