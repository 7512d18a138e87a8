//! One Application whose ConfigMaps come in five waves: first small, then large.

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::book::Measurement;
use super::super::scenario::as_u64;
use super::gitops::{application, config_map, config_maps, converge, prepare};
use super::{Case, Scenario, Session};

/// Waves of an Application.
const WAVES: usize = 5;
/// ConfigMaps per wave, and the name of the case.
const SIZES: [(usize, &str); 2] = [(10, "waves-10"), (600, "waves-600")];

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let repository = session.bed.git()?.repository("bench").await?;
    for (size, _) in SIZES {
        for wave in 0..WAVES {
            let annotations = json!({"argocd.argoproj.io/sync-wave": wave.to_string()});
            let documents: Vec<String> = (0..size)
                .map(|index| {
                    config_map(&format!("of-{size}-{wave}-{index:04}"), &annotations).to_string()
                })
                .collect();
            let file = format!("waves-{size}/wave-{wave}.yaml");
            repository.write(&file, &documents.join("\n---\n")).await?;
        }
    }
    repository
        .commit(&[], "two applications in five waves")
        .await?;
    let (subject, idle) = session.subject(Scenario::Waves, vec![]).await?;
    prepare(session).await?;
    let mut measurements = Vec::new();
    let mut expected = 0;
    for (size, id) in SIZES {
        let name = format!("waves-{size}");
        let case = Case {
            id,
            title: format!(
                "one Application, {WAVES} waves of {size} ConfigMaps: Synced and Healthy"
            ),
            objects: 1,
            own_requests: 1,
        };
        let load = converge(
            session,
            &subject,
            vec![application(&name, &repository.url, &name)],
        );
        let measurement = session.case(&subject, idle, case, load).await?;
        expected += as_u64(WAVES * size);
        if measurement.complete() {
            let found = config_maps(session).await?;
            ensure!(
                found == expected,
                "the Application is Synced, but {found} of {expected} ConfigMaps exist"
            );
        }
        measurements.push(measurement);
    }
    Ok(measurements)
}
