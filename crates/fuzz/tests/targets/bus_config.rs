//! Settings of an EventBus: addresses of servers and the settings of the stream.

use events::bus::{Auth, ServerUrl, StreamSettings};
use fuzz::Material;
use reconcile_core::yaml;

const MATERIAL: Material = Material {
    examples: &[
        "nats://ann:p%40ss@bus:4222",
        "tls://s3cret@bus",
        "bus:4222",
        "wss://[::1]:443",
        "maxMsgs: 1000\nmaxAge: 72h\nmaxBytes: 1GB\nreplicas: 3\nduplicates: 300s\nretention: 0\ndiscard: 1\n",
    ],
    tokens: &[
        "nats://",
        "tls://",
        "@",
        ":",
        "/",
        "%40",
        "%zz",
        "[::1]",
        "maxMsgs:",
        "MAXAGE:",
        "replicas:",
        "-1",
        "1e9",
        "9223372036854775808",
        "1h1h",
        "{",
        "}",
        "\n",
        " ",
    ],
};

#[test]
fn bus_config() {
    fuzz::run(MATERIAL, |text| {
        match ServerUrl::parse(text) {
            Ok(server) => {
                assert!(!server.url.contains('@'), "{:?}", server.url);
                if let Auth::Basic { password, .. } = &server.auth {
                    assert!(!format!("{server:?}").contains(&format!("{:?}", password.expose())));
                }
            }
            Err(error) => {
                if let Some((before, _)) = text.rsplit_once('@') {
                    // Nothing that may be a password is in the error; short pieces may be there by chance.
                    assert!(before.len() < 16 || !error.contains(before), "{error}");
                }
            }
        }
        for value in yaml::values(text).unwrap_or_default() {
            if let Ok(settings) = StreamSettings::parse(&value) {
                assert!(settings.replicas >= 1);
            }
        }
    });
}
