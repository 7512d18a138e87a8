//! The HTTP server: webhooks of Git servers.

mod payload;
mod webhook;

pub use payload::{Provider, repositories, verify};
pub use webhook::{WebhookSecrets, serve};

#[cfg(test)]
mod tests;
