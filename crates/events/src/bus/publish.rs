//! Publishing: tried again with the same id, so that the server drops what it has already.

use std::time::Duration;

use async_nats::{HeaderMap, jetstream::context::PublishErrorKind};
use bytes::Bytes;
use rand::Rng;
use tokio::time::Instant;

use super::{Bus, BusError};

/// Tries of one publish, as upstream.
const PUBLISH_TRIES: u32 = 5;
/// All tries of one publish together: a caller of a webhook waits for the end of it.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(6);
const PUBLISH_TRY: Duration = Duration::from_secs(2);
/// Pause between tries, with up to as much again at random.
const PUBLISH_PAUSE: Duration = Duration::from_millis(300);

impl Bus {
    /// Publishes and waits until the server has stored the message. Tries again with the same id, so the
    /// server drops what it has already.
    pub async fn publish(&self, subject: &str, id: &str, body: Bytes) -> Result<(), BusError> {
        self.publish_with(subject, id, body, HeaderMap::new()).await
    }

    /// As [`Bus::publish`], with headers.
    pub async fn publish_with(
        &self,
        subject: &str,
        id: &str,
        body: Bytes,
        mut headers: HeaderMap,
    ) -> Result<(), BusError> {
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        let deadline = Instant::now() + PUBLISH_DEADLINE;
        let mut last = String::from("the bus is not connected");
        for attempt in 0..PUBLISH_TRIES {
            if tokio::time::timeout_at(deadline, self.ready())
                .await
                .is_err()
            {
                break;
            }
            match self
                .publish_once(subject, headers.clone(), body.clone())
                .await
            {
                Ok(()) => return Ok(()),
                Err(Failed { reason, hopeless }) => {
                    last = reason;
                    if hopeless {
                        break;
                    }
                }
            }
            if attempt + 1 < PUBLISH_TRIES {
                let pause = PUBLISH_PAUSE.mul_f64(1.0 + rand::rng().random::<f64>());
                if Instant::now() + pause >= deadline {
                    break;
                }
                tokio::time::sleep(pause).await;
            }
        }
        Err(BusError::Publish(self.redact(last)))
    }

    async fn publish_once(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), Failed> {
        let sent = self
            .context
            .publish_with_headers(subject.to_owned(), headers, body);
        let acknowledged = async { sent.await?.await };
        match tokio::time::timeout(PUBLISH_TRY, acknowledged).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                if error.kind() == PublishErrorKind::StreamNotFound {
                    self.check();
                }
                let hopeless = error.kind() == PublishErrorKind::MaxPayloadExceeded;
                Err(Failed {
                    reason: error.to_string(),
                    hopeless,
                })
            }
            Err(_) => Err(Failed {
                reason: "no answer in time".into(),
                hopeless: false,
            }),
        }
    }

    /// The largest message that the server takes, headers included.
    pub fn largest_message(&self) -> usize {
        match self.client.server_info().max_payload {
            // Not connected yet.
            0 => usize::MAX,
            largest => largest,
        }
    }
}

struct Failed {
    reason: String,
    /// Trying again cannot help.
    hopeless: bool,
}
