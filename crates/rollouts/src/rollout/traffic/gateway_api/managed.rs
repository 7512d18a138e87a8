//! Header and mirror rules of a route: copies of the rules that split traffic, with more to match. They are
//! known by the name of the rule.

use kube::api::DynamicObject;
use reconcile_core::object::FieldError;
use serde_json::{Value, json};

use super::super::{
    managed::{HeaderRoute, ManagedRoute, MirrorMatch, MirrorRoute, StringMatch},
    router::RouteContext,
};
use super::{RouteKind, backend};

/// The name in `managedRoutes` that a rule was made for.
pub(super) fn name_of<'m>(rule: &Value, managed: &'m [String]) -> Option<&'m String> {
    let rule = rule.get("name")?.as_str()?;
    managed.iter().find(|name| {
        let number = rule
            .strip_prefix(name.as_str())
            .and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// The names of `managedRoutes` that a route has rules of, in their order.
pub(super) fn present(route: &DynamicObject, context: &RouteContext<'_>) -> Vec<String> {
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array);
    let has = |name: &String| {
        let mut rules = rules.into_iter().flatten();
        rules.any(|rule| name_of(rule, context.managed) == Some(name))
    };
    let names = context.managed.iter();
    names.filter(|name| has(name)).cloned().collect()
}

/// The rules of a route with those of `routes` in front. `own` are the rules without any of a managed route.
pub(super) fn with_managed(
    kind: RouteKind,
    own: Vec<Value>,
    routes: &[ManagedRoute],
    context: &RouteContext<'_>,
) -> Result<Vec<Value>, FieldError> {
    let mut rules = Vec::new();
    for route in routes {
        let sources = own.iter().filter(|rule| {
            backend(rule, context.canary).is_some() && backend(rule, context.stable).is_some()
        });
        for (number, source) in sources.enumerate() {
            let mut rule = match route {
                ManagedRoute::Header(route) => header_rule(source, route, context),
                ManagedRoute::Mirror(route) => mirror_rule(kind, source, route, context)?,
            };
            rule["name"] = format!("{}-{number}", route.name()).into();
            rules.push(rule);
        }
    }
    rules.extend(own);
    Ok(rules)
}

fn header_rule(source: &Value, route: &HeaderRoute, context: &RouteContext<'_>) -> Value {
    let mut rule = source.clone();
    let headers: Vec<Value> = route
        .matches
        .iter()
        .map(|one| header(&one.header, &one.value))
        .collect();
    let matches = matches_of(source).into_iter().map(|mut matched| {
        add_headers(&mut matched, &headers);
        matched
    });
    rule["matches"] = matches.collect();
    let only = backend(source, context.canary).map(|index| {
        let mut only = source["backendRefs"][index].clone();
        only["weight"] = 1.into();
        only
    });
    rule["backendRefs"] = only.into_iter().collect();
    rule
}

fn mirror_rule(
    kind: RouteKind,
    source: &Value,
    route: &MirrorRoute,
    context: &RouteContext<'_>,
) -> Result<Value, FieldError> {
    let mut rule = source.clone();
    let mut matches = Vec::new();
    for wanted in &route.matches {
        for mut matched in matches_of(source) {
            narrow(kind, &mut matched, wanted)?;
            matches.push(matched);
        }
    }
    rule["matches"] = matches.into();
    let index = backend(source, context.canary);
    let mut copy = index.map_or(Value::Null, |index| source["backendRefs"][index].clone());
    if let Some(copy) = copy.as_object_mut() {
        copy.remove("weight");
        copy.remove("filters");
    }
    let mut filter = json!({ "type": "RequestMirror", "requestMirror": { "backendRef": copy } });
    if let Some(percentage) = route.percentage {
        filter["requestMirror"]["percent"] = percentage.into();
    }
    let filters = source["filters"].as_array();
    rule["filters"] = filters
        .into_iter()
        .flatten()
        .cloned()
        .chain([filter])
        .collect();
    Ok(rule)
}

/// The matches of a rule; one without any matches everything.
fn matches_of(rule: &Value) -> Vec<Value> {
    match rule["matches"].as_array() {
        Some(matches) if !matches.is_empty() => matches.clone(),
        _ => vec![json!({})],
    }
}

fn add_headers(matched: &mut Value, headers: &[Value]) {
    if headers.is_empty() {
        return;
    }
    let names: Vec<&Value> = headers.iter().map(|header| &header["name"]).collect();
    let old = matched["headers"].as_array().cloned().unwrap_or_default();
    let kept = old.into_iter().filter(|old| !names.contains(&&old["name"]));
    let all: Vec<Value> = kept.chain(headers.iter().cloned()).collect();
    matched["headers"] = all.into();
}

fn header(name: &str, value: &StringMatch) -> Value {
    let (kind, text) = value_match(value);
    json!({ "name": name, "type": kind, "value": text })
}

/// Gateway API knows exact values and regular expressions.
fn value_match(value: &StringMatch) -> (&'static str, String) {
    match value {
        StringMatch::Exact(text) => ("Exact", text.clone()),
        StringMatch::Prefix(text) => ("RegularExpression", format!("{}.*", regex::escape(text))),
        StringMatch::Regex(text) => ("RegularExpression", text.clone()),
    }
}

/// Adds what a mirror route matches to a match of a rule.
fn narrow(kind: RouteKind, matched: &mut Value, wanted: &MirrorMatch) -> Result<(), FieldError> {
    let wrong = |message: String| {
        FieldError::new(
            "spec.strategy.canary.steps",
            format!("Invalid value: {message}"),
        )
    };
    let is_http = kind == RouteKind::Http;
    if (wanted.method.is_some() || wanted.path.is_some()) && !is_http {
        let message = format!("a {} is mirrored by headers only", kind.kind());
        return Err(wrong(message));
    }
    match &wanted.method {
        None => {}
        Some(StringMatch::Exact(method)) => matched["method"] = method.as_str().into(),
        Some(_) => {
            let message = "Gateway API matches a method by its exact value only";
            return Err(wrong(message.to_owned()));
        }
    }
    if let Some(path) = &wanted.path {
        let (kind, text) = match path {
            StringMatch::Exact(text) => ("Exact", text),
            StringMatch::Prefix(text) => ("PathPrefix", text),
            StringMatch::Regex(text) => ("RegularExpression", text),
        };
        matched["path"] = json!({ "type": kind, "value": text });
    }
    let headers: Vec<Value> = wanted
        .headers
        .iter()
        .map(|(name, value)| header(name, value))
        .collect();
    add_headers(matched, &headers);
    Ok(())
}
