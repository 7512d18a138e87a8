//! Why there is no connection. While the client library tries again by itself it only tells the kind of
//! failure, such as "IO error"; a try of our own says what exactly is wrong.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    BusConfig,
    options::{CONNECT_DEADLINE, options},
};

/// A connection that is down for less is not probed.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two tries.
const AGAIN: Duration = Duration::from_secs(10);

/// Looks for the reason while a bus is not connected.
#[derive(Default)]
pub(super) struct Probe {
    /// When to try next; none while the bus is connected.
    next: Option<Instant>,
    found: Arc<Mutex<String>>,
}

impl Probe {
    /// The bus is connected.
    pub(super) fn connected(&mut self) {
        // What a try under way still finds is about the past.
        *self = Self::default();
    }

    /// What is known of the reason, empty when that is nothing. Tries in the background when it is time,
    /// and calls `done` after a try.
    pub(super) fn ask(
        &mut self,
        config: &BusConfig,
        done: impl FnOnce() + Send + 'static,
    ) -> String {
        let now = Instant::now();
        let next = self.next.get_or_insert(now + PATIENCE);
        if now >= *next {
            *next = now + AGAIN;
            let (config, found) = (config.clone(), self.found.clone());
            tokio::spawn(async move {
                find(config, &found).await;
                done();
            });
        }
        self.found.lock().clone()
    }
}

async fn find(config: BusConfig, found: &Mutex<String>) {
    let Ok(options) = options("probe", &config) else {
        return;
    };
    for url in &config.urls {
        let Ok(address) = url.parse::<async_nats::ServerAddr>() else {
            continue;
        };
        if let Err(error) = config.egress.check_host(address.host()).await {
            *found.lock() = format!("{url}: {error}");
            return;
        }
    }
    let options = options.reconnect_delay_callback(|_| Duration::ZERO);
    let tried = tokio::time::timeout(2 * CONNECT_DEADLINE, options.connect(config.urls)).await;
    let reason = match tried {
        // It works again; the bus will notice.
        Ok(Ok(_)) => String::new(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the server does not answer".to_owned(),
    };
    *found.lock() = reason;
}
