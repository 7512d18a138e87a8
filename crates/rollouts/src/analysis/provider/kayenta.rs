//! Kayenta: a canary analysis that takes a while and judges by its own score.

use std::{collections::BTreeMap, time::Duration};

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use reconcile_core::{kube_types::GoDuration, object::FieldError};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    MetricProvider, Step, Task, checks,
    error::ProviderError,
    http::{Call, Reply},
};
use crate::api::analysis::{
    AnalysisPhase, Kayenta, KayentaScope, KayentaScopeDetail, KayentaThreshold, Measurement,
    Provider,
};

/// Time that one call may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Time between two looks at an analysis.
const PAUSE: SignedDuration = SignedDuration::from_secs(15);
/// Where the measurement keeps the id of the analysis.
const EXECUTION: &str = "canaryExecutionId";
/// Bytes of an id.
const LONGEST_ID: usize = 256;

/// Analyses of Kayenta.
pub(super) struct KayentaProvider;

impl MetricProvider for KayentaProvider {
    fn name(&self) -> &'static str {
        "kayenta"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        spec.kayenta.as_ref().map_or(Ok(()), check)
    }

    fn deadline(&self, _: &Provider) -> Duration {
        // The config is looked up first.
        TIMEOUT * 2
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.kayenta.as_ref())?;
            let config = config_id(task, spec).await?;
            let execution = start(task, spec, &config).await?;
            Ok(waiting(
                task.now,
                BTreeMap::from([(EXECUTION.to_owned(), execution)]),
            ))
        })
    }

    fn resume<'a>(
        &'a self,
        task: &'a Task<'a>,
        open: &'a Measurement,
    ) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.kayenta.as_ref())?;
            match open.metadata.get(EXECUTION) {
                Some(execution) => look(task, spec, execution).await,
                // The server asked for fewer requests before there was an analysis.
                None => self.run(task).await,
            }
        })
    }
}

fn check(spec: &Kayenta) -> Result<(), FieldError> {
    checks::url("kayenta.address", &spec.address)?;
    for (field, text) in [
        ("application", &spec.application),
        ("canaryConfigName", &spec.canary_config_name),
    ] {
        checks::required(&format!("kayenta.{field}"), Some(text))?;
    }
    if spec.scopes.is_empty() {
        return Err(FieldError::new("kayenta.scopes", "must have a scope"));
    }
    for (index, scope) in spec.scopes.iter().enumerate() {
        let (control, experiment) = (&scope.control_scope, &scope.experiment_scope);
        for (field, one, other) in [
            ("start", &control.start, &experiment.start),
            ("end", &control.end, &experiment.end),
        ] {
            if one.is_empty() != other.is_empty() {
                return Err(FieldError::new(
                    format!("kayenta.scopes[{index}]"),
                    format!(
                        "controlScope.{field} and experimentScope.{field} must both be set or be empty"
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn waiting(now: Timestamp, metadata: BTreeMap<String, String>) -> Step {
    Step::Wait {
        resume_at: now.saturating_add(PAUSE).unwrap_or(Timestamp::MAX),
        metadata,
    }
}

/// An URL of the server. The parts of the path are escaped.
fn url(spec: &Kayenta, path: &[&str]) -> Result<Url, ProviderError> {
    let mut url = checks::parse_url(&spec.address).map_err(ProviderError::invalid)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    Ok(url)
}

async fn ask(task: &Task<'_>, call: Call) -> Result<Reply, ProviderError> {
    let reply = task.tools.http.send(call, task.redactor).await?;
    if reply.status.as_u16() == 200 {
        Ok(reply)
    } else {
        Err(reply.refusal("Invalid Response:"))
    }
}

/// The id of the canary config that the metric names.
async fn config_id(task: &Task<'_>, spec: &Kayenta) -> Result<String, ProviderError> {
    #[derive(Deserialize)]
    struct Config {
        id: String,
        name: String,
    }
    let mut url = url(spec, &["canaryConfig"])?;
    url.query_pairs_mut()
        .append_pair("application", &spec.application)
        // Upstream asks with the storage account; the two are one wherever that works.
        .append_pair("configurationAccountName", &spec.configuration_account_name);
    let reply = ask(task, Call::get(url, TIMEOUT)).await?;
    let mut configs = reply.json::<Vec<Config>>()?.into_iter();
    configs
        .find(|config| config.name == spec.canary_config_name)
        .map(|config| config.id)
        .ok_or_else(|| ProviderError::answer("Canary config not found"))
}

/// Starts an analysis; the answer is its id.
async fn start(task: &Task<'_>, spec: &Kayenta, config: &str) -> Result<String, ProviderError> {
    let mut url = url(spec, &["canary", config])?;
    url.query_pairs_mut()
        .append_pair("application", &spec.application)
        .append_pair("metricsAccountName", &spec.metrics_account_name)
        .append_pair("configurationAccountName", &spec.configuration_account_name)
        .append_pair("storageAccountName", &spec.storage_account_name);
    let mut scopes = Map::new();
    for scope in &spec.scopes {
        scopes.insert(scope.name.clone(), scope_request(task, spec, scope)?);
    }
    let KayentaThreshold { pass, marginal } = spec.threshold;
    let body = json!({ "scopes": scopes, "thresholds": { "pass": pass, "marginal": marginal } });
    let reply = ask(task, Call::post_json(url, &body, TIMEOUT)).await?;
    let answer: Value = reply.json()?;
    let id = answer[EXECUTION].as_str();
    // It is shown in the status, whole: what repeats a secret, or is no id at all, is refused.
    let may_be_shown = |id: &&str| task.redactor.redact((*id).to_owned()) == *id;
    match id.filter(may_be_shown) {
        Some(id) if (1..=LONGEST_ID).contains(&id.len()) => Ok(id.to_owned()),
        _ => Err(ProviderError::answer("Invalid canaryExecutionId")),
    }
}

fn scope_request(
    task: &Task<'_>,
    spec: &Kayenta,
    scope: &KayentaScope,
) -> Result<Value, ProviderError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        control_scope: KayentaScopeDetail,
        experiment_scope: KayentaScopeDetail,
    }
    let mut request = Request {
        control_scope: scope.control_scope.clone(),
        experiment_scope: scope.experiment_scope.clone(),
    };
    let (control, experiment) = (&mut request.control_scope, &mut request.experiment_scope);
    if control.start.is_empty() && experiment.start.is_empty() {
        let start = first_moment(task, spec)?;
        control.start.clone_from(&start);
        experiment.start = start;
    }
    if control.end.is_empty() && experiment.end.is_empty() {
        let end = rfc3339(task.now);
        control.end.clone_from(&end);
        experiment.end = end;
    }
    serde_json::to_value(&request).map_err(ProviderError::invalid)
}

/// The start of the run with `lookback`, else one interval ago.
fn first_moment(task: &Task<'_>, spec: &Kayenta) -> Result<String, ProviderError> {
    if spec.lookback {
        return Ok(rfc3339(task.request.run_started.unwrap_or(task.now)));
    }
    let interval = task.metric.interval.as_deref().unwrap_or_default();
    let interval: GoDuration = interval.parse().map_err(|error| {
        ProviderError::invalid(format!("Invalid duration {interval:?}: {error}"))
    })?;
    let start = task.now.saturating_sub(interval.to_signed());
    Ok(rfc3339(start.unwrap_or(Timestamp::MIN)))
}

/// In whole seconds.
fn rfc3339(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

async fn look(task: &Task<'_>, spec: &Kayenta, execution: &str) -> Result<Step, ProviderError> {
    let reply = ask(task, Call::get(url(spec, &["canary", execution])?, TIMEOUT)).await?;
    let answer: Value = reply.json()?;
    match answer["complete"].as_bool() {
        None => return Err(ProviderError::answer("Missing Complete Status")),
        Some(false) => return Ok(waiting(task.now, BTreeMap::new())),
        Some(true) => {}
    }
    let score = answer["result"]["judgeResult"]["score"]["score"]
        .as_f64()
        .ok_or_else(|| ProviderError::answer("Missing Score"))?;
    #[expect(clippy::cast_possible_truncation, reason = "scores are cut, as in Go")]
    let score = score as i64;
    Ok(Step::Judged {
        phase: verdict(score, &spec.threshold),
        text: score.to_string(),
        message: String::new(),
    })
}

fn verdict(score: i64, threshold: &KayentaThreshold) -> AnalysisPhase {
    if score >= threshold.pass {
        AnalysisPhase::Successful
    } else if score >= threshold.marginal {
        AnalysisPhase::Inconclusive
    } else {
        AnalysisPhase::Failed
    }
}
