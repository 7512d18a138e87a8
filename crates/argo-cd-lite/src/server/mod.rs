//! The HTTP server: webhooks of Git servers.

mod payload;
mod refresh;
mod webhook;

pub use payload::{Provider, repositories, verify};
pub use refresh::RefreshRequests;
pub use webhook::{WebhookSecrets, WebhookServer};

#[cfg(test)]
mod tests;
