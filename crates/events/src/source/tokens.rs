//! Tokens that a source got with its secrets, and that no text may show.

use std::collections::VecDeque;

use parking_lot::Mutex;
use reconcile_core::redaction::Redactor;

/// Tokens that are remembered. A source has one at a time, and earlier ones are of no use to anybody after a while.
const MOST: usize = 8;

/// The latest tokens of one source.
#[derive(Debug, Default)]
pub(super) struct RecentTokens(Mutex<VecDeque<Redactor>>);

impl RecentTokens {
    /// Hides a token from now on, until many others have followed it.
    pub(super) fn add(&self, token: &str) {
        let redactor = Redactor::default();
        redactor.add(token);
        let mut tokens = self.0.lock();
        tokens.push_front(redactor);
        tokens.truncate(MOST);
    }

    /// `text` without tokens.
    pub(super) fn redact(&self, text: String) -> String {
        let tokens = self.0.lock();
        tokens.iter().fold(text, |text, token| token.redact(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_tokens_are_hidden_and_their_number_is_bounded() {
        let tokens = RecentTokens::default();
        for number in 0..1000 {
            tokens.add(&format!("token-{number}."));
        }
        assert_eq!(tokens.0.lock().len(), MOST);
        let text = tokens.redact("sent token-999. after token-998.".to_owned());
        assert_eq!(text, "sent ***** after *****");
    }
}
