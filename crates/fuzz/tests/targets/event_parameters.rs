//! Parameters of triggers: paths and templates of a Sensor, applied to the payload of an event.

use std::collections::BTreeMap;

use bytes::Bytes;
use events::{
    api::trigger::{Parameter, ParameterSource},
    event::CloudEvent,
    sensor::parameter::{Inputs, apply, payload, text},
};
use fuzz::Material;
use jiff::Timestamp;
use serde_json::json;

const MATERIAL: Material = Material {
    examples: &[
        "body.items.#(name==\"a\").price\nspec.containers.0.image\n{\"body\":{\"items\":[{\"name\":\"a\",\"price\":1}]}}",
        "body\nmetadata.labels.a\\.b\n{\"body\":[1,{\"a\":null}]}",
        "{{ .Input.body | upper }}\ndata.-1\n{\"body\":\"x\"}",
    ],
    tokens: &[
        "body",
        ".",
        "#",
        "|@this",
        "@pretty",
        "\\",
        "-1",
        "*",
        "\n",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "{{",
        "}}",
        ".Input",
        "999999999",
        ":1",
        "\\ud800",
    ],
};

fn event(data: &str) -> CloudEvent {
    let data = Bytes::from(data.to_owned());
    CloudEvent::new("1".into(), "s", "webhook", "e", Timestamp::UNIX_EPOCH, data)
}

#[test]
fn event_parameters() {
    fuzz::run(MATERIAL, |input| {
        let mut parts = input.splitn(3, '\n');
        let mut part = || parts.next().unwrap_or_default();
        let (key, dest, data) = (part(), part(), part());
        let events = BTreeMap::from([("dep".to_owned(), event(data))]);
        let inputs = Inputs {
            events: &events,
            now: Timestamp::UNIX_EPOCH,
        };
        for (template, raw, operation) in [
            (false, false, None),
            (false, true, Some("append".to_owned())),
            (true, false, Some("prepend".to_owned())),
        ] {
            let source = ParameterSource {
                dependency_name: "dep".into(),
                data_key: (!template).then(|| key.to_owned()),
                data_template: template.then(|| key.to_owned()),
                value: Some("default".into()),
                use_raw_data: raw,
                ..ParameterSource::default()
            };
            let parameters = [Parameter {
                src: Some(source),
                dest: dest.to_owned(),
                operation,
            }];
            let document = json!({"spec": {"containers": [{"image": "a"}]}, "data": [1]});
            let _ = apply(document, &parameters, inputs);
            let _ = payload(&parameters, inputs);
            let [parameter] = &parameters;
            let _ = text(0, parameter, inputs);
        }
    });
}
