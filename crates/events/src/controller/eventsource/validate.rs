//! What an EventSource may ask for. Each event is checked by itself; what one has wrong does not stop the
//! others.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use reconcile_core::{fields::Finding, object::FieldError};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    api::decode,
    api::{
        DEFAULT_BUS, KeySelector,
        eventsource::{EventSourceSpec, PortText, ServiceSpec, SourceFilter, WebhookEvent},
        fields::EVENT_SOURCE,
        source_fields::unserved_source_types,
    },
    bus,
    source::{
        BoundHook, Endpoint, EventFilter, TaskEvent, Webhook,
        hook::{self, HookKind},
        kind::SourceKind,
        registry,
        webhook::MAX_BODY,
    },
};

/// No webhook takes a larger body: JetStream's own limit is 64 MiB at most.
const MOST_BODY: i64 = 64 * 1024 * 1024;

/// Each port takes sockets of a process that serves all EventSources.
const MOST_PORTS: usize = 16;

/// Secrets of an HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookSecrets {
    /// The token that requests must carry.
    pub token: Option<KeySelector>,
    /// Certificate chain and key.
    pub certificate: Option<(KeySelector, KeySelector)>,
    /// What the service behind the endpoint needs, by field.
    pub hook: Vec<(&'static str, KeySelector)>,
}

impl WebhookSecrets {
    /// True when there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.token.is_none() && self.certificate.is_none() && self.hook.is_empty()
    }
}

/// An EventSource with everything checked; its secrets are not read yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckedSpec {
    /// Name of the EventBus.
    pub bus: String,
    /// The service account that `spec.template` names.
    pub account: Option<String>,
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

    /// Takes an event in, or what is wrong with it.
    fn add<T>(
        &mut self,
        key: &str,
        event: &str,
        checked: Result<T, FieldError>,
        push: fn(&mut Self, T),
    ) {
        match (checked, self.kind_of(event)) {
            (Ok(_), Some(other)) => self.problems.push(format!(
                "spec.{key}.{event}: the name is used by a {other} too"
            )),
            (Ok(event), None) => push(self, event),
            (Err(problem), _) => self.problems.push(problem.to_string()),
        }
    }

    fn push_webhook(&mut self, webhook: (Webhook, WebhookSecrets)) {
        self.webhooks.push(webhook);
    }

    fn push_task(&mut self, task: TaskEvent) {
        self.tasks.push(task);
    }

    /// Has the webhook of an event that is served registered, where the manifest asks for it.
    fn add_registration(&mut self, kind: &HookKind, event: &str, value: &Value) {
        let wanted = kind.registration.filter(|kind| kind.is_wanted(value));
        let served =
            |(webhook, _): &(Webhook, _)| webhook.event == event && webhook.kind() == kind.key;
        let (Some(wanted), true) = (wanted, self.webhooks.iter().any(served)) else {
            return;
        };
        match check_task(&wanted.task, event, value) {
            Ok(task) => self.push_task(task),
            Err(problem) => self.problems.push(problem.to_string()),
        }
    }

    /// The key of the events among which there is one of this name.
    fn kind_of(&self, event: &str) -> Option<&'static str> {
        let mut webhooks = self.webhooks.iter();
        if let Some((webhook, _)) = webhooks.find(|(webhook, _)| webhook.event == event) {
            return Some(webhook.kind());
        }
        let task = self.tasks.iter().find(|task| task.event == event);
        task.map(|task| task.kind.key)
    }
}

/// Fields without effect, besides whole types of event sources.
pub fn findings(spec: &Value) -> Vec<Finding> {
    let mut all = EVENT_SOURCE.findings(spec, "spec");
    let types: Vec<String> = unserved_source_types()
        .map(|(name, _)| format!("spec.{name}"))
        .collect();
    // Said by `SourcesProvided` already.
    all.retain(|finding| !types.iter().any(|name| is_below(&finding.path, name)));
    all
}

/// Whether a field is `top`, or below it.
fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Checks a `spec`. An error means that nothing of it can run.
pub fn check(name: &str, spec: &Value) -> Result<CheckedSpec, FieldError> {
    let raw: EventSourceSpec = decode("spec", spec)?;
    let mut checked = CheckedSpec {
        bus: raw
            .event_bus_name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| DEFAULT_BUS.to_owned()),
        account: account_of(&raw.other),
        service: raw.service,
        ..CheckedSpec::default()
    };
    if !bus::is_token(name) {
        let message = format!("{name:?} cannot be used on the bus: no dots");
        return Err(FieldError::new("metadata.name", message));
    }
    let left_out = registry::LEFT_OUT.iter().map(|kind| (*kind, None));
    for (kind, reason) in unserved_source_types().chain(left_out) {
        if raw
            .other
            .get(kind)
            .is_some_and(|events| events.as_object().is_none_or(|all| !all.is_empty()))
        {
            match reason {
                Some(reason) => checked.problems.push(format!("spec.{kind}: {reason}")),
                None => checked.unsupported.push(format!("spec.{kind}")),
            }
        }
    }
    for (event, value) in &raw.webhook {
        match check_webhook(event, value) {
            Ok(webhook) => checked.webhooks.push(webhook),
            Err(problem) => checked.problems.push(problem.to_string()),
        }
    }
    for kind in hook::ALL {
        for (event, value) in events_of(kind.key, &raw.other, &mut checked.problems) {
            checked.add(
                kind.key,
                event,
                check_hook(kind, event, value),
                CheckedSpec::push_webhook,
            );
            checked.add_registration(kind, event, value);
        }
    }
    for kind in registry::ALL {
        for (event, value) in events_of(kind.key, &raw.other, &mut checked.problems) {
            checked.add(
                kind.key,
                event,
                check_task(kind, event, value),
                CheckedSpec::push_task,
            );
        }
    }
    bound_ports(&mut checked);
    if checked.serves_nothing() && checked.problems.is_empty() && checked.unsupported.is_empty() {
        checked
            .problems
            .push("spec: no event source is given".to_owned());
    }
    Ok(checked)
}

/// Leaves out the endpoints on more ports than one EventSource may have.
fn bound_ports(checked: &mut CheckedSpec) {
    let mut ports = BTreeSet::new();
    let problems = &mut checked.problems;
    checked.webhooks.retain(|(webhook, _)| {
        let port = webhook.port;
        let fits = ports.contains(&port) || ports.len() < MOST_PORTS;
        if fits {
            ports.insert(port);
        } else {
            problems.push(format!(
                "{}: {port} is one port too many; the endpoints of an EventSource may use {MOST_PORTS} ports, and share each \
                 of them",
                webhook.port_field()
            ));
        }
        fits
    });
}

fn account_of(spec: &BTreeMap<String, Value>) -> Option<String> {
    let account = spec.get("template")?.get("serviceAccountName")?.as_str()?;
    Some(account.to_owned()).filter(|account| !account.is_empty())
}

/// The events below `spec.KEY`.
fn events_of<'s>(
    key: &str,
    spec: &'s BTreeMap<String, Value>,
    problems: &mut Vec<String>,
) -> impl Iterator<Item = (&'s String, &'s Value)> + use<'s> {
    let events = match spec.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::Object(events)) => Some(events),
        Some(_) => {
            problems.push(format!("spec.{key}: must map names of events to settings"));
            None
        }
    };
    events.into_iter().flatten()
}

fn check_task(
    kind: &'static SourceKind,
    event: &str,
    value: &Value,
) -> Result<TaskEvent, FieldError> {
    check_name(&format!("spec.{}.{event}", kind.key), event)?;
    TaskEvent::check(kind, event, value)
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
        Some(filter) => EventFilter::parse(&filter.expression).map_err(|error| {
            FieldError::new(format!("{path}.filter.expression"), error.to_string())
        }),
    }
}

fn check_webhook(event: &str, value: &Value) -> Result<(Webhook, WebhookSecrets), FieldError> {
    let path = format!("spec.webhook.{event}");
    check_name(&path, event)?;
    check_endpoint(&path, event, decode(&path, value)?)
}

/// What the settings of all services have in common.
#[derive(Default, Deserialize)]
#[serde(default)]
struct HookEvent {
    webhook: Option<Value>,
    metadata: Option<BTreeMap<String, String>>,
}

fn check_hook(
    kind: &'static HookKind,
    event: &str,
    value: &Value,
) -> Result<(Webhook, WebhookSecrets), FieldError> {
    let path = format!("spec.{}.{event}", kind.key);
    check_name(&path, event)?;
    let raw: HookEvent = decode(&path, value)?;
    let endpoint = raw
        .webhook
        .ok_or_else(|| FieldError::new(format!("{path}.webhook"), "must be set"))?;
    let at = format!("{path}.webhook");
    let endpoint = WebhookEvent {
        // Services send their events by POST, whatever is written there.
        method: String::new(),
        filter: None,
        metadata: raw.metadata,
        ..decode(&at, &endpoint)?
    };
    let (mut webhook, mut secrets) = check_endpoint(&at, event, endpoint)?;
    let hook = BoundHook::check(kind, &path, value)?;
    if hook.kind.has_expression {
        let filter: Filtered = decode(&path, value)?;
        webhook.filter = check_filter(&path, filter.filter.as_ref())?;
    }
    secrets.hook = hook.hook.secrets();
    webhook.hook = Some(hook);
    Ok((webhook, secrets))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Filtered {
    filter: Option<SourceFilter>,
}

fn check_endpoint(
    path: &str,
    event: &str,
    raw: WebhookEvent,
) -> Result<(Webhook, WebhookSecrets), FieldError> {
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
        filter: check_filter(path, raw.filter.as_ref())?,
        hook: None,
    };
    let secrets = WebhookSecrets {
        token: raw.auth_secret,
        certificate: raw.server_cert_secret.zip(raw.server_key_secret),
        hook: Vec::new(),
    };
    Ok((webhook, secrets))
}
