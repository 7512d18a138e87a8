//! Malformed EventSources and Sensors.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn events_names_the_field_and_serves_other_sources_without_our_schema() -> Result<()> {
    let options = Options {
        git: false,
        prometheus: false,
        sample: false,
        ..Options::default()
    };
    let scene = on_foreign_crds(options, Which::Events).await?;
    let port = scene.bed.free_port()?;
    let nats = scene.bed.nats()?.url.clone();
    let object = |kind: &str, name: &str, spec: &str| {
        format!("apiVersion: {ARGO}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let sensor = |dependency: &str, trigger: &str| {
        format!(
            "{{dependencies: [{{name: a, eventSourceName: good, eventName: a{dependency}}}], triggers: [{{template: {{name: t, {trigger}}}}}]}}"
        )
    };
    for (kind, name, spec) in [
        (
            "EventBus",
            "default",
            format!("{{jetstreamExotic: {{url: '{nats}'}}}}"),
        ),
        (
            "EventSource",
            "good",
            format!("{{webhook: {{a: {{port: '{port}', endpoint: /a, method: POST}}}}}}"),
        ),
        ("Sensor", "good", sensor("", "log: {}")),
    ] {
        scene.apply("default", &object(kind, name, &spec)).await?;
    }
    let number = ", filters: {data: [{path: body.x, type: number, value: 7}]}";
    let bad: [(&str, &str, &str, &[&str]); 9] = [
        ("EventBus", "kafka", "{kafka: {url: 'x:9092'}}", &["kafka"]),
        ("EventBus", "types", "{jetstreamExotic: {url: 7}}", &["url"]),
        (
            "EventSource",
            "types",
            "{webhook: {a: {port: [], endpoint: /a}}}",
            &["webhook.a.port"],
        ),
        (
            "EventSource",
            "cron",
            "{calendar: {a: {schedule: '99 * * * *'}}}",
            &["99"],
        ),
        (
            "EventSource",
            "kafka",
            "{kafka: {a: {url: 'x:9092', topic: t}}}",
            &["kafka"],
        ),
        ("Sensor", "types", &sensor(number, "log: {}"), &["value"]),
        (
            "Sensor",
            "names",
            &sensor("", "conditions: 'a && nowhere', log: {}"),
            &["nowhere"],
        ),
        (
            "Sensor",
            "slack",
            &sensor("", "slack: {channel: x}"),
            &["slack"],
        ),
        (
            "Sensor",
            "empty",
            "{dependencies: [], triggers: []}",
            &["dependenc"],
        ),
    ];
    for (kind, name, spec, _) in bad {
        scene.apply("default", &object(kind, name, spec)).await?;
    }
    for (kind, name, _, words) in bad {
        until_says(&scene, kind, "default", name, words).await?;
    }
    for (kind, name) in [
        ("EventBus", "default"),
        ("EventSource", "good"),
        ("Sensor", "good"),
    ] {
        scene.until_deployed(kind, "default", name).await?;
    }
    Ok(())
}
