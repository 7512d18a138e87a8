//! Connections by key: the seed of a user, and credentials files of servers with an operator.

mod support;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use events::{
    bus::{Auth, Bus, BusConfig},
    controller::eventbus::validate,
};
use nkeys::KeyPair;
use serde_json::{Value, json};

use support::{Nats, away, ready};

async fn refused(config: BusConfig) {
    away(config, "authorization").await;
}

fn seed(key: &KeyPair) -> String {
    key.seed().expect("a seed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_the_key_that_it_knows_and_no_other() {
    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let settings = |_: &Nats| {
        let public = known.public_key();
        format!("authorization {{ users: [{{ nkey: {public} }}] }}")
    };
    let Some(nats) = Nats::start_with(&[], settings).await else {
        return;
    };
    let with = |text: &str| BusConfig {
        auth: validate::auth(text),
        ..nats.config()
    };
    ready(with(&seed(&known))).await;
    ready(with(&format!("nkey: {}\n", seed(&known)))).await;
    refused(with(&seed(&stranger))).await;
    for wrong in ["SUNOSEED".to_owned(), seed(&KeyPair::new_account())] {
        let config = BusConfig {
            auth: Auth::Nkey(wrong.as_str().into()),
            ..nats.config()
        };
        let error = Bus::start("test", config, || {})
            .await
            .expect_err("refused");
        let said = error.to_string();
        assert!(
            said.contains("nkey is not") && !said.contains(&wrong),
            "{said}"
        );
    }
}

/// A token of NATS, signed by `signer`.
fn token(signer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = part(&json!({
        "jti": "test", "iat": 1_700_000_000, "iss": signer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": nats,
    }));
    let text = format!("{header}.{claims}");
    let signature = signer.sign(text.as_bytes()).expect("signed");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn account(limit: i64) -> Value {
    json!({"type": "account", "version": 2, "limits": {
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
        "leaf": -1, "mem_storage": limit, "disk_storage": limit, "streams": limit, "consumer": limit,
    }})
}

fn credentials(account: &KeyPair, user: &KeyPair) -> String {
    let claims = json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1});
    format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        token(account, user, &claims),
        seed(user)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_an_operator_takes_a_credentials_file_of_its_account() {
    let (operator, ours, system) = (
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_account(),
    );
    let settings = |_: &Nats| {
        let itself = token(
            &operator,
            &operator,
            &json!({"type": "operator", "version": 2, "system_account": system.public_key()}),
        );
        format!(
            "operator: {itself}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n  {}: {}\n  {}: {}\n}}\n",
            system.public_key(),
            ours.public_key(),
            token(&operator, &ours, &account(-1)),
            system.public_key(),
            token(&operator, &system, &account(0)),
        )
    };
    let Some(nats) = Nats::start_with(&[], settings).await else {
        return;
    };
    let with = |text: &str| BusConfig {
        auth: validate::auth(text),
        ..nats.config()
    };
    let user = KeyPair::new_user();
    let file = credentials(&ours, &user);
    ready(with(&file)).await;
    refused(with(&credentials(&KeyPair::new_account(), &user))).await;
    let broken = with("-----BEGIN NATS USER JWT-----\nhush\n");
    let error = Bus::start("test", broken, || {})
        .await
        .expect_err("refused");
    let said = error.to_string();
    assert!(
        said.contains("USER NKEY SEED section") && !said.contains("hush"),
        "{said}"
    );
}
