//! What an EventSource may ask for. Each event is checked by itself; what one has wrong does not stop the
//! others.

use http::Method;
use reconcile_core::{fields::Finding, object::FieldError};
use serde_json::Value;

use crate::{
    api::decode,
    api::{
        DEFAULT_BUS, KeySelector,
        eventsource::{EventSourceSpec, PortText, ServiceSpec, SourceFilter, WebhookEvent},
        fields::{EVENT_SOURCE, unserved_source_types},
    },
    bus,
    source::{
        Endpoint, EventFilter, TaskEvent, Webhook,
        kind::{self, SourceKind},
        webhook::MAX_BODY,
    },
};

/// No webhook takes a larger body: JetStream's own limit is 64 MiB at most.
const MOST_BODY: i64 = 64 * 1024 * 1024;

/// Secrets of an HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookSecrets {
    /// The token that requests must carry.
    pub token: Option<KeySelector>,
    /// Certificate chain and key.
    pub certificate: Option<(KeySelector, KeySelector)>,
}

impl WebhookSecrets {
    /// True when there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.token.is_none() && self.certificate.is_none()
    }
}

/// An EventSource with everything checked; its secrets are not read yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckedSpec {
    /// Name of the EventBus.
    pub bus: String,
    /// The Service that is asked for.
    pub service: Option<ServiceSpec>,
    /// HTTP endpoints, with the secrets that they need.
    pub webhooks: Vec<(Webhook, WebhookSecrets)>,
    /// Events that tasks bring in; their secrets are not read yet.
    pub tasks: Vec<TaskEvent>,
    /// What is wrong, per event.
    pub problems: Vec<String>,
    /// What is not served yet.
    pub unsupported: Vec<String>,
}

impl CheckedSpec {
    /// There is no event that can be served.
    pub fn serves_nothing(&self) -> bool {
        self.webhooks.is_empty() && self.tasks.is_empty()
    }

    /// The key of the events among which there is one of this name.
    fn kind_of(&self, event: &str) -> Option<&'static str> {
        let webhook = |(webhook, _): &(Webhook, WebhookSecrets)| webhook.event == event;
        if self.webhooks.iter().any(webhook) {
            return Some("webhook");
        }
        let task = self.tasks.iter().find(|task| task.event == event);
        task.map(|task| task.kind.key)
    }
}

/// Fields without effect, besides whole types of event sources.
pub fn findings(spec: &Value) -> Vec<Finding> {
    let mut all = EVENT_SOURCE.findings(spec, "spec");
    let types: Vec<String> = unserved_source_types()
        .map(|name| format!("spec.{name}"))
        .collect();
    // Said by `SourcesProvided` already.
    all.retain(|finding| !types.iter().any(|name| finding.path.starts_with(name)));
    all
}

/// Checks a `spec`. An error means that nothing of it can run.
pub fn check(name: &str, spec: &Value) -> Result<CheckedSpec, FieldError> {
    let raw: EventSourceSpec = decode("spec", spec)?;
    let mut checked = CheckedSpec {
        bus: raw
            .event_bus_name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| DEFAULT_BUS.to_owned()),
        service: raw.service,
        ..CheckedSpec::default()
    };
    if !bus::is_token(name) {
        let message = format!("{name:?} cannot be used on the bus: no dots");
        return Err(FieldError::new("metadata.name", message));
    }
    for kind in unserved_source_types() {
        if raw
            .other
            .get(kind)
            .is_some_and(|events| events.as_object().is_none_or(|all| !all.is_empty()))
        {
            checked.unsupported.push(format!("spec.{kind}"));
        }
    }
    for (event, value) in &raw.webhook {
        match check_webhook(event, value) {
            Ok(webhook) => checked.webhooks.push(webhook),
            Err(problem) => checked.problems.push(problem.to_string()),
        }
    }
    for kind in kind::ALL {
        check_kind(kind, raw.other.get(kind.key), &mut checked);
    }
    if checked.serves_nothing() && checked.problems.is_empty() && checked.unsupported.is_empty() {
        checked
            .problems
            .push("spec: no event source is given".to_owned());
    }
    Ok(checked)
}

/// Checks all events of a kind.
fn check_kind(kind: &'static SourceKind, events: Option<&Value>, checked: &mut CheckedSpec) {
    let events = match events {
        None | Some(Value::Null) => return,
        Some(Value::Object(events)) => events,
        Some(_) => {
            let problem = format!("spec.{}: must map names of events to settings", kind.key);
            checked.problems.push(problem);
            return;
        }
    };
    for (event, value) in events {
        let path = format!("spec.{}.{event}", kind.key);
        let task = check_name(&path, event).and_then(|()| TaskEvent::check(kind, event, value));
        match (task, checked.kind_of(event)) {
            (Ok(_), Some(other)) => checked
                .problems
                .push(format!("{path}: the name is used by a {other} too")),
            (Ok(task), None) => checked.tasks.push(task),
            (Err(problem), _) => checked.problems.push(problem.to_string()),
        }
    }
}

fn check_name(path: &str, event: &str) -> Result<(), FieldError> {
    if bus::is_token(event) && event != "*" {
        return Ok(());
    }
    Err(FieldError::new(
        path,
        "the name of an event has no dots and no spaces",
    ))
}

fn check_filter(
    path: &str,
    filter: Option<&SourceFilter>,
) -> Result<Option<EventFilter>, FieldError> {
    match filter {
        None => Ok(None),
        Some(filter) => EventFilter::parse(&filter.expression)
            .map_err(|error| FieldError::new(format!("{path}.filter.expression"), error)),
    }
}

fn check_webhook(event: &str, value: &Value) -> Result<(Webhook, WebhookSecrets), FieldError> {
    let path = format!("spec.webhook.{event}");
    check_name(&path, event)?;
    let raw: WebhookEvent = decode(&path, value)?;
    let at = |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
    let port = match &raw.port {
        PortText::Text(text) => text.trim().parse().ok(),
        PortText::Number(number) => u16::try_from(*number).ok(),
    };
    let port = port
        .filter(|port| *port > 0)
        .ok_or_else(|| at("port", "must be a port number".into()))?;
    if raw.endpoint.is_empty() {
        return Err(at("endpoint", "must not be empty".into()));
    }
    if raw.server_cert_secret.is_some() != raw.server_key_secret.is_some() {
        let message = "serverCertSecret and serverKeySecret belong together";
        return Err(at("serverCertSecret", message.into()));
    }
    let method = match raw.method.to_uppercase().as_str() {
        "" | "POST" => Method::POST,
        "GET" => Method::GET,
        _ => return Err(at("method", format!("{:?} is not GET or POST", raw.method))),
    };
    let max_body = match raw.max_payload_size {
        None | Some(0) => MAX_BODY,
        Some(size) if (1..=MOST_BODY).contains(&size) => usize::try_from(size).unwrap_or(MAX_BODY),
        Some(size) => {
            return Err(at(
                "maxPayloadSize",
                format!("{size} is not between 1 and {MOST_BODY}"),
            ));
        }
    };
    if raw
        .auth_secret
        .as_ref()
        .is_some_and(|secret| secret.name.is_empty() || secret.key.is_empty())
    {
        return Err(at("authSecret", "needs a name and a key".into()));
    }
    let webhook = Webhook {
        event: event.to_owned(),
        port,
        endpoint: Endpoint::parse(&raw.endpoint).map_err(|error| at("endpoint", error))?,
        method,
        token: None,
        tls: None,
        max_body,
        metadata: raw.metadata.unwrap_or_default(),
        filter: check_filter(&path, raw.filter.as_ref())?,
    };
    let secrets = WebhookSecrets {
        token: raw.auth_secret,
        certificate: raw.server_cert_secret.zip(raw.server_key_secret),
    };
    Ok((webhook, secrets))
}
