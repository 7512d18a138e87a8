//! The slack trigger: a message to a channel, or into the thread of earlier messages with the same key.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use parking_lot::Mutex;
use reconcile_core::object::FieldError;
use reqwest::Url;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Done, Firing, Run, Trigger, TriggerError, kind::patched};
use crate::{
    api::{KeySelector, trigger::Parameter},
    http_client::{Call, read_answer},
    tls::TlsSettings,
};

/// Where messages are posted.
const POST: &str = "https://slack.com/api/chat.postMessage";
/// For one message.
const DEADLINE: Duration = Duration::from_secs(30);
/// Answers of the API are small.
const ANSWER: usize = 64 * 1024;
/// Threads that are remembered; beyond that number all are forgotten, and the next message begins a new one.
const MOST_THREADS: usize = 4096;

/// Posts to Slack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlackTrigger {
    /// Patches of this trigger. Upstream ignores them.
    pub parameters: Vec<Parameter>,
    /// The OAuth token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack_token: Option<KeySelector>,
    /// Name, with or without `#`, or id of the channel.
    pub channel: String,
    /// The text.
    pub message: String,
    /// JSON text of an array of attachments.
    pub attachments: String,
    /// JSON text of an array of blocks.
    pub blocks: String,
    /// Messages with one key are one thread.
    pub thread: Thread,
    /// Who the message seems to come from.
    pub sender: Sender,
}

/// The thread of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Thread {
    /// Messages with the same key go into the thread of the first one.
    pub message_aggregation_key: String,
    /// Show the message in the channel too.
    pub broadcast_message_to_channel: bool,
}

/// Who a message seems to come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sender {
    /// Name.
    pub username: String,
    /// `:emoji:` or the URL of a picture.
    pub icon: String,
}

/// First messages of threads, by namespace, channel and key. Cloning shares them.
#[derive(Clone, Default)]
pub struct SlackThreads(Arc<Mutex<HashMap<ThreadKey, String>>>);

/// Namespace, channel and aggregation key.
type ThreadKey = (String, String, String);

/// A message without its token and thread.
pub struct SlackRequest {
    url: Url,
    token: KeySelector,
    channel: String,
    thread: Thread,
    body: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    ok: bool,
    error: String,
    ts: String,
}

/// The array that a field holds as text; `None` when it is empty.
fn array(path: &str, text: &str) -> Result<Option<Value>, FieldError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(list @ Value::Array(_)) => Ok(Some(list)),
        Ok(_) => Err(FieldError::new(path, "is not a JSON array")),
        Err(error) => Err(FieldError::new(path, format!("is not JSON: {error}"))),
    }
}

impl Trigger for SlackTrigger {
    const KEY: &'static str = "slack";

    type Request = SlackRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        if self.slack_token.is_none() {
            return Err(FieldError::new(
                format!("{path}.slackToken"),
                "must not be empty",
            ));
        }
        array(&format!("{path}.attachments"), &self.attachments)?;
        array(&format!("{path}.blocks"), &self.blocks)?;
        Ok(())
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<SlackRequest, TriggerError> {
        let action = patched(self, firing)?;
        let missing = |field: &str| FieldError::new(format!("slack.{field}"), "must not be empty");
        let channel = action.channel.trim_start_matches('#').to_owned();
        if channel.is_empty() {
            return Err(missing("channel").into());
        }
        let mut body = json!({ "channel": channel });
        let mut has_content = false;
        if !action.message.is_empty() {
            body["text"] = json!(action.message);
            has_content = true;
        }
        for (field, text) in [
            ("attachments", &action.attachments),
            ("blocks", &action.blocks),
        ] {
            if let Some(list) = array(&format!("slack.{field}"), text)? {
                body[field] = list;
                has_content = true;
            }
        }
        if !has_content {
            return Err(missing("message").into());
        }
        let Sender { username, icon } = &action.sender;
        if !username.is_empty() {
            body["username"] = json!(username);
        }
        if !icon.is_empty() {
            let field = if icon.starts_with(':') {
                "icon_emoji"
            } else {
                "icon_url"
            };
            body[field] = json!(icon);
        }
        Ok(SlackRequest {
            url: Url::parse(POST).map_err(|error| FieldError::new("slack", error.to_string()))?,
            token: action.slack_token.ok_or_else(|| missing("slackToken"))?,
            channel,
            thread: action.thread,
            body,
        })
    }

    fn preview(request: &SlackRequest) -> Value {
        let mut shown = request.body.clone();
        if !request.thread.message_aggregation_key.is_empty() {
            shown["thread"] = json!(request.thread.message_aggregation_key);
        }
        json!({ "slack": shown })
    }

    async fn execute(mut request: SlackRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let namespace = &run.firing.sensor.namespace;
        let token = run
            .executor
            .secrets
            .needed_secret(namespace, &request.token)
            .await?;
        let key = &request.thread.message_aggregation_key;
        let threads = &run.executor.slack.0;
        let thread = (namespace.clone(), request.channel.clone(), key.clone());
        if !key.is_empty()
            && let Some(first) = threads.lock().get(&thread)
        {
            request.body["thread_ts"] = json!(first);
            request.body["reply_broadcast"] = json!(request.thread.broadcast_message_to_channel);
        }
        let mut headers = HeaderMap::new();
        let content = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, content);
        let bearer = format!("Bearer {}", token.expose_secret());
        let mut bearer = HeaderValue::from_str(&bearer)
            .map_err(|_| FieldError::new("slack.slackToken", "cannot be sent in a header"))?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
        let http = &run.executor.http;
        let call = Call {
            method: Method::POST,
            url: request.url,
            headers,
            body: Some(request.body.to_string().into()),
            timeout: DEADLINE,
        };
        let failed = |reason: String| {
            TriggerError::Failed(format!("slack channel {}: {reason}", request.channel))
        };
        let client = http.get(&TlsSettings::default())?;
        let answer = http
            .send(&client, call)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let body = read_answer(answer, ANSWER).await?;
        let answer: Answer = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() || !answer.ok {
            let reason = if answer.error.is_empty() {
                format!("answered {}", status.as_u16())
            } else {
                answer.error
            };
            return Err(failed(reason));
        }
        if !key.is_empty() && !answer.ts.is_empty() {
            let mut threads = threads.lock();
            if threads.len() >= MOST_THREADS && !threads.contains_key(&thread) {
                threads.clear();
            }
            threads.entry(thread).or_insert(answer.ts);
        }
        Ok(Done(format!(
            "slack channel {} answered {}",
            request.channel,
            status.as_u16()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::stage::{Server, Stage};

    fn trigger(extra: Value) -> SlackTrigger {
        let mut value = json!({
            "channel": "#builds", "message": "done",
            "slackToken": {"name": "s", "key": "token"},
        });
        if let (Value::Object(value), Value::Object(extra)) = (&mut value, extra) {
            value.extend(extra);
        }
        serde_json::from_value(value).expect("a trigger")
    }

    async fn post(
        stage: &Stage,
        server: &Server,
        trigger: &SlackTrigger,
    ) -> Result<Done, TriggerError> {
        let mut request = trigger.resolve(&stage.firing)?;
        request.url = Url::parse(&server.url).expect("a URL");
        SlackTrigger::execute(request, stage.run()).await
    }

    #[tokio::test]
    async fn messages_with_one_key_are_one_thread() {
        let stage = Stage::with_secret(&json!({"token": "eG94Yi0x"}));
        let server = Server::answering(200, &[], r#"{"ok":true,"ts":"17.5"}"#).await;
        let threaded = trigger(json!({
            "blocks": r#"[{"type":"divider"}]"#,
            "parameters": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "message"}],
            "sender": {"username": "ci", "icon": ":tada:"},
            "thread": {"messageAggregationKey": "run", "broadcastMessageToChannel": true},
        }));
        for _ in 0..2 {
            let done = post(&stage, &server, &threaded).await.expect("posted");
            assert_eq!(done.0, "slack channel builds answered 200");
        }
        let got = server.requests();
        assert_eq!(got[0].headers["authorization"], "Bearer xoxb-1");
        let first = json!({
            "channel": "builds", "text": "x", "blocks": [{"type": "divider"}],
            "username": "ci", "icon_emoji": ":tada:",
        });
        assert_eq!(got[0].json(), first);
        let mut second = first;
        second["thread_ts"] = json!("17.5");
        second["reply_broadcast"] = json!(true);
        assert_eq!(got[1].json(), second);
    }

    #[tokio::test]
    async fn refusals_are_named_and_show_no_token() {
        let stage = Stage::with_secret(&json!({"token": "eG94Yi0x"}));
        let server =
            Server::answering(200, &[], r#"{"ok":false,"error":"channel_not_found"}"#).await;
        let error = post(&stage, &server, &trigger(json!({})))
            .await
            .expect_err("refused");
        assert_eq!(error.to_string(), "slack channel builds: channel_not_found");
        let server = Server::answering(429, &[], "slow down").await;
        let error = post(&stage, &server, &trigger(json!({})))
            .await
            .expect_err("refused");
        assert_eq!(error.to_string(), "slack channel builds: answered 429");
        let absent = trigger(json!({"slackToken": {"name": "s", "key": "other"}}));
        let error = post(&stage, &server, &absent).await.expect_err("no token");
        assert_eq!(
            error.to_string(),
            "cannot read Secret ns/s: key other not found"
        );
        let error = post(&stage, &server, &trigger(json!({"message": ""}))).await;
        assert_eq!(
            error.expect_err("empty").to_string(),
            "slack.message: must not be empty"
        );
    }

    #[test]
    fn a_trigger_without_token_or_with_odd_blocks_is_refused() {
        let problem = |extra: Value| {
            let checked = Trigger::check(&mut trigger(extra), "t.slack");
            checked.expect_err("refused").to_string()
        };
        assert_eq!(
            problem(json!({"slackToken": null})),
            "t.slack.slackToken: must not be empty"
        );
        assert_eq!(
            problem(json!({"blocks": "{}"})),
            "t.slack.blocks: is not a JSON array"
        );
    }
}
