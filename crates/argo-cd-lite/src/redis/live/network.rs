//! How objects are reached, as far as the objects say it.

use std::collections::BTreeSet;

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};

/// Prefix of annotations with links.
const LINK: &str = "link.argocd.argoproj.io/";

/// `networkingInfo` of a node; null when there is none.
pub(super) fn networking(resource: &ApiResource, object: &DynamicObject) -> Value {
    let mut info = Map::new();
    let mut urls: BTreeSet<String> = links(object);
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => put(&mut info, "labels", json!(object.metadata.labels)),
        ("", "Service") => {
            put(
                &mut info,
                "targetLabels",
                object.data["spec"]["selector"].clone(),
            );
            put(&mut info, "ingress", load_balancers(object));
        }
        ("networking.k8s.io" | "extensions", "Ingress") => {
            put(&mut info, "targetRefs", backends(object));
            put(&mut info, "ingress", load_balancers(object));
            urls.extend(ingress_urls(object));
        }
        _ => {}
    }
    put(&mut info, "externalURLs", json!(urls));
    if info.is_empty() {
        Value::Null
    } else {
        info.into()
    }
}

fn put(info: &mut Map<String, Value>, name: &str, value: Value) {
    let empty = match &value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    };
    if !empty {
        info.insert(name.to_owned(), value);
    }
}

fn links(object: &DynamicObject) -> BTreeSet<String> {
    let annotations = object.metadata.annotations.iter().flatten();
    let links = annotations.filter(|(name, _)| name.starts_with(LINK));
    // Browsers run what other schemes name.
    let links = links.filter(|(_, link)| {
        let url = link
            .rsplit_once('|')
            .map_or(link.as_str(), |(_, url)| url)
            .trim();
        url.starts_with("https://") || url.starts_with("http://")
    });
    links.map(|(_, link)| link.clone()).collect()
}

fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn load_balancers(object: &DynamicObject) -> Value {
    let addresses = items(&object.data, "/status/loadBalancer/ingress").iter();
    let addresses = addresses.map(|address| {
        let mut kept = Map::new();
        for field in ["hostname", "ip"] {
            put(&mut kept, field, address[field].clone());
        }
        Value::from(kept)
    });
    addresses.collect()
}

/// The paths of an Ingress with their hosts.
fn paths(object: &DynamicObject) -> impl Iterator<Item = (&str, &Value)> {
    items(&object.data, "/spec/rules").iter().flat_map(|rule| {
        let host = rule["host"].as_str().unwrap_or_default();
        items(rule, "/http/paths")
            .iter()
            .map(move |path| (host, path))
    })
}

fn backends(object: &DynamicObject) -> Value {
    let default = [
        &object.data["spec"]["defaultBackend"],
        &object.data["spec"]["backend"],
    ];
    let backends = paths(object)
        .map(|(_, path)| &path["backend"])
        .chain(default);
    let names = backends.filter_map(|backend| {
        let name = backend
            .pointer("/service/name")
            .or_else(|| backend.get("serviceName"))?;
        name.as_str()
    });
    let names: BTreeSet<&str> = names.collect();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let references = names.into_iter();
    references
        .map(|name| json!({"kind": "Service", "namespace": namespace, "name": name}))
        .collect()
}

fn ingress_urls(object: &DynamicObject) -> Vec<String> {
    let secured: BTreeSet<&str> = items(&object.data, "/spec/tls")
        .iter()
        .flat_map(|tls| items(tls, "/hosts"))
        .filter_map(Value::as_str)
        .collect();
    let urls = paths(object).filter(|(host, _)| !host.is_empty() && !host.contains('*'));
    urls.map(|(host, path)| {
        let scheme = if secured.contains(host) {
            "https"
        } else {
            "http"
        };
        let path = path["path"]
            .as_str()
            .unwrap_or_default()
            .trim_end_matches('*');
        let path = path.trim_end_matches('/');
        format!("{scheme}://{host}{path}")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(kind: &str, group: &str, value: Value) -> Value {
        let object: DynamicObject = serde_json::from_value(value).expect("an object");
        let gvk = kube::core::GroupVersionKind::gvk(group, "v1", kind);
        networking(&ApiResource::from_gvk(&gvk), &object)
    }

    #[test]
    fn an_ingress_leads_to_services_and_has_urls() {
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "ns", "annotations": {
                "link.argocd.argoproj.io/docs": "Docs|https://docs.example.com",
                "link.argocd.argoproj.io/bad": "javascript:alert(1)",
            }},
            "spec": {
                "tls": [{"hosts": ["a.example.com"]}],
                "rules": [
                    {"host": "a.example.com", "http": {"paths": [{"path": "/shop/*", "backend": {"service": {"name": "web"}}}]}},
                    {"host": "b.example.com", "http": {"paths": [{"path": "/", "backend": {"service": {"name": "web"}}}]}},
                ],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ports": []}]}},
        });
        assert_eq!(
            info("Ingress", "networking.k8s.io", ingress),
            json!({
                "targetRefs": [{"kind": "Service", "namespace": "ns", "name": "web"}],
                "ingress": [{"ip": "10.0.0.1"}],
                "externalURLs": ["Docs|https://docs.example.com", "http://b.example.com", "https://a.example.com/shop"],
            })
        );
    }

    #[test]
    fn services_and_pods_have_labels_and_others_nothing() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"app": "web"}}});
        assert_eq!(
            info("Service", "", service),
            json!({"targetLabels": {"app": "web"}})
        );
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": "web"}}});
        assert_eq!(info("Pod", "", pod), json!({"labels": {"app": "web"}}));
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
        assert_eq!(info("ConfigMap", "", map), Value::Null);
    }
}
