//! Conditions and labels of Applications, read at each scrape.

use std::collections::{BTreeMap, HashMap};

use super::OwnApplications;
use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

const CONDITION: &str = "argocd_app_condition";
const CONDITION_HELP: &str = "Conditions of the Application, by type.";
const CONDITION_LABELS: [&str; 3] = ["namespace", "name", "condition"];
const LABELS: &str = "argocd_app_labels";
const LABELS_HELP: &str = "Labels of the Application, as labels of the series.";

/// `argocd_app_condition` and `argocd_app_labels`.
pub struct AppDetails {
    apps: OwnApplications,
    /// Labels of Applications with the labels of the series that show them.
    labels: Vec<(String, String)>,
    descriptions: Vec<Desc>,
}

impl AppDetails {
    /// A collector over `apps` that shows these labels of Applications.
    pub fn new(apps: OwnApplications, labels: &[String]) -> Result<Self, prometheus::Error> {
        // Two labels that differ only in signs would make one label of the series.
        let shown: BTreeMap<String, String> = labels
            .iter()
            .map(|label| (series_label(label), label.clone()))
            .collect();
        let names = |own: &[&str]| own.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut all = names(&["namespace", "name", "project"]);
        all.extend(shown.keys().cloned());
        let desc = |name: &str, help: &str, labels: Vec<String>| {
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        let mut descriptions = vec![desc(CONDITION, CONDITION_HELP, names(&CONDITION_LABELS))?];
        if !shown.is_empty() {
            descriptions.push(desc(LABELS, LABELS_HELP, all)?);
        }
        Ok(Self {
            apps,
            labels: shown
                .into_iter()
                .map(|(series, label)| (label, series))
                .collect(),
            descriptions,
        })
    }

    fn conditions(&self) -> Result<IntGaugeVec, prometheus::Error> {
        let gauge = IntGaugeVec::new(Opts::new(CONDITION, CONDITION_HELP), &CONDITION_LABELS)?;
        self.apps.each(|key, root| {
            for condition in root.parse_status().unwrap_or_default().conditions {
                let labels = [&*key.namespace, &*key.name, &*condition.type_];
                gauge.with_label_values(&labels).inc();
            }
        });
        Ok(gauge)
    }

    fn labels(&self) -> Result<IntGaugeVec, prometheus::Error> {
        let mut names = vec!["namespace", "name", "project"];
        names.extend(self.labels.iter().map(|(_, series)| series.as_str()));
        let gauge = IntGaugeVec::new(Opts::new(LABELS, LABELS_HELP), &names)?;
        self.apps.each(|key, root| {
            let spec = root.parse_spec().unwrap_or_default();
            let mut values = vec![&*key.namespace, &*key.name, spec.project_name()];
            let own = root.metadata.labels.as_ref();
            values.extend(self.labels.iter().map(|(label, _)| {
                own.and_then(|own| own.get(label))
                    .map_or("", String::as_str)
            }));
            gauge.with_label_values(&values).set(1);
        });
        Ok(gauge)
    }
}

/// As upstream: `label_`, and an underscore for every sign that a label of a series cannot have.
fn series_label(label: &str) -> String {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    let signs = label
        .chars()
        .map(|sign| if fits(sign) { sign } else { '_' });
    format!("label_{}", signs.collect::<String>())
}

impl Collector for AppDetails {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut gauges: Vec<IntGaugeVec> = self.conditions().into_iter().collect();
        if !self.labels.is_empty() {
            gauges.extend(self.labels());
        }
        let mut families: Vec<MetricFamily> = gauges.iter().flat_map(Collector::collect).collect();
        // The text encoder refuses families without a series.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};
    use reconcile_core::{
        clock::Clock, object::Root, operator::Operator, shards::Authority, testkit::FakeApi,
        watch::Index,
    };
    use serde_json::json;

    use super::*;
    use crate::api::Application;

    #[tokio::test]
    async fn conditions_and_chosen_labels_are_series() {
        let roots: Index<Root<Application>> = Index::default();
        let object = json!({
            "metadata": {"name": "shop", "namespace": "argocd", "resourceVersion": "1", "uid": "u",
                "labels": {"team.example/name": "red", "other": "x"}},
            "spec": {"project": "sales"},
            "status": {"conditions": [{"type": "SyncError", "message": "a"}, {"type": "SyncError", "message": "b"}]},
        });
        let root = Root::from_value(&object).expect("a root");
        let meta = root.metadata.clone();
        drop(roots.written(&meta, root));
        let labels = ["team.example/name".to_owned(), "absent".to_owned()];
        let registry = Registry::new();
        let operator = Operator::detached(FakeApi::new().client(), Clock::system());
        let own = |authority| OwnApplications {
            roots: roots.clone(),
            authority,
        };
        let nobody = AppDetails::new(own(Authority::Nobody), &labels).expect("a collector");
        assert!(nobody.collect().is_empty(), "another process shows it");
        let details = AppDetails::new(own(Authority::leader(&operator)), &labels);
        let details = details.expect("a collector");
        registry.register(Box::new(details)).expect("fresh names");
        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .expect("text");
        for line in [
            r#"argocd_app_condition{condition="SyncError",name="shop",namespace="argocd"} 2"#,
            r#"argocd_app_labels{label_absent="",label_team_example_name="red",name="shop",namespace="argocd",project="sales"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
    }
}
