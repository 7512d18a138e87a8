//! `cargo xtask dashboards`: the Grafana dashboards of the charts, from compact tables.
//!
//! ```yaml
//! title: Rollouts
//! uid: rollouts-overview
//! namespaces: label_values(rollout_info, namespace)   # the choice of $namespace
//! rows:
//! - title: What is broken
//!   panels:
//!   - title: Degraded Rollouts
//!     kind: stat                # stat, timeseries or table
//!     width: 6                  # of 24
//!     queries:
//!     - expr: sum(rollout_info{namespace=~"$namespace"})
//!       legend: "{{phase}}"
//!       quiet: true             # has no data while all is well
//! ```

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use reconcile_core::yaml;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::output::{self, Mode};

/// (chart, its table)
const SOURCES: [(&str, &str); 3] = [
    (
        "argo-cd-lite",
        include_str!("../dashboards/argo-cd-lite.yaml"),
    ),
    ("events", include_str!("../dashboards/events.yaml")),
    ("rollouts", include_str!("../dashboards/rollouts.yaml")),
];

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// Heights of panels, in units of the grid.
const STAT_HEIGHT: u64 = 4;
const PANEL_HEIGHT: u64 = 8;

/// One dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// The chart to which it belongs.
    #[serde(skip)]
    pub chart: &'static str,
    title: String,
    uid: String,
    description: String,
    namespaces: String,
    /// Panels under headings.
    pub rows: Vec<Row>,
}

/// Panels under one heading.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    title: String,
    /// From left to right.
    pub panels: Vec<Panel>,
}

/// One panel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// The heading.
    pub title: String,
    kind: PanelKind,
    width: u64,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    description: String,
    /// What it shows.
    pub queries: Vec<Query>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PanelKind {
    Stat,
    Timeseries,
    Table,
}

/// One query of a panel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The query, in `PromQL`.
    pub expr: String,
    #[serde(default)]
    legend: String,
    /// It has no data while all is well.
    #[serde(default)]
    pub quiet: bool,
}

/// All dashboards.
pub fn all() -> Result<Vec<Dashboard>> {
    let read = |(chart, text): &(&'static str, &str)| {
        let place = || format!("dashboards/{chart}.yaml");
        let value = yaml::value(text).with_context(place)?;
        let mut dashboard: Dashboard = serde_json::from_value(value).with_context(place)?;
        dashboard.chart = chart;
        Ok(dashboard)
    };
    SOURCES.iter().map(read).collect()
}

/// Writes or checks `charts/*/dashboards/*.json`.
pub fn run(root: &Path, mode: Mode) -> Result<Vec<String>> {
    let mut files = BTreeMap::new();
    for dashboard in all()? {
        let chart = dashboard.chart;
        let mut text = serde_json::to_string_pretty(&dashboard.to_json())?;
        text.push('\n');
        files.insert(format!("charts/{chart}/dashboards/{chart}.json"), text);
    }
    output::write(root, &files, mode)
}

impl Dashboard {
    /// As Grafana imports it.
    pub fn to_json(&self) -> Value {
        let mut panels = Vec::new();
        let mut top = 0;
        for row in &self.rows {
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            }));
            top += 1;
            let (mut left, mut tallest) = (0, 0);
            for panel in &row.panels {
                if left + panel.width > COLUMNS {
                    (left, top, tallest) = (0, top + tallest, 0);
                }
                let height = panel.height();
                let at = json!({"x": left, "y": top, "w": panel.width, "h": height});
                panels.push(panel.to_json(panels.len() + 1, &at));
                left += panel.width;
                tallest = tallest.max(height);
            }
            top += tallest;
        }
        json!({
            "title": self.title, "uid": self.uid, "description": self.description,
            "tags": ["kubernetes", self.chart], "schemaVersion": 39, "version": 1, "editable": true,
            "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timezone": "browser",
            "templating": {"list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                choice("namespace", "Namespace", &self.namespaces),
                choice("job", "Job", "label_values(kubernetes_client_requests_total, job)"),
            ]},
            "panels": panels,
        })
    }
}

/// A variable whose values a query finds; all of them by default.
fn choice(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "query": query, "definition": query,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "multi": true, "includeAll": true, "allValue": ".*", "refresh": 2, "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    })
}

impl Panel {
    fn height(&self) -> u64 {
        if self.kind == PanelKind::Stat {
            STAT_HEIGHT
        } else {
            PANEL_HEIGHT
        }
    }

    fn to_json(&self, id: usize, at: &Value) -> Value {
        let instant = self.kind != PanelKind::Timeseries;
        let target = |(index, query): (usize, &Query)| {
            json!({
                "refId": char::from(b'A' + u8::try_from(index % 26).unwrap_or(0)).to_string(),
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "expr": query.expr, "legendFormat": query.legend, "instant": instant, "range": !instant,
                "format": if self.kind == PanelKind::Table { "table" } else { "time_series" },
            })
        };
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        let mut defaults = json!({"unit": self.unit.as_deref().unwrap_or("short"), "min": 0});
        let mut panel = json!({
            "id": id, "title": self.title, "description": self.description, "gridPos": at, "targets": targets,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
        });
        match self.kind {
            PanelKind::Stat => {
                panel["type"] = json!("stat");
                panel["options"] =
                    json!({"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"});
                defaults["thresholds"] = json!({"mode": "absolute", "steps": [
                    {"color": "green", "value": null}, {"color": "red", "value": 1},
                ]});
            }
            PanelKind::Timeseries => {
                panel["type"] = json!("timeseries");
                panel["options"] = json!({"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}});
            }
            PanelKind::Table => {
                panel["type"] = json!("table");
                panel["transformations"] = json!([{"id": "organize", "options": {"excludeByName": {
                    "Time": true, "Value": true, "__name__": true, "instance": true, "job": true,
                    "endpoint": true, "container": true, "pod": true, "service": true,
                }}}]);
            }
        }
        panel["fieldConfig"] = json!({"defaults": defaults, "overrides": []});
        panel
    }
}
