//! The HTTP server: webhooks of Git servers and registries.

mod payload;
mod refresh;
mod registry;
mod webhook;

pub use payload::{Provider, repositories, verify};
pub use refresh::RefreshRequests;
pub use webhook::{WebhookSecrets, WebhookServer};

#[cfg(test)]
mod tests;
