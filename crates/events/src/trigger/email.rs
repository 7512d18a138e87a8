//! The email trigger: one message to all recipients.
//!
//! A password is sent over TLS only, except to a server on the same machine.

use std::time::Duration;

use lettre::{
    Message,
    message::{Mailbox, header::ContentType},
    transport::smtp::authentication::Credentials,
};
use reconcile_core::object::FieldError;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    kind::patched,
    smtp::{MailServer, SmtpError},
};
use crate::api::{KeySelector, trigger::Parameter};

/// For a whole message.
const DEADLINE: Duration = Duration::from_secs(60);
/// For the end of the conversation.
const FAREWELL: Duration = Duration::from_secs(5);
/// The port on which servers take messages of users.
const SUBMISSION: u16 = 587;
/// Recipients of one message, as servers limit them.
const MOST_RECIPIENTS: usize = 100;

/// Sends an e-mail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EmailTrigger {
    /// Patches of this trigger. Upstream ignores them.
    pub parameters: Vec<Parameter>,
    /// The user; `from` when absent and there is a password.
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_password: Option<KeySelector>,
    /// Name or address of the server.
    pub host: String,
    /// 587 when absent or 0; 465 begins with TLS.
    pub port: i64,
    /// Addresses.
    pub to: Vec<String>,
    /// The address of the sender.
    pub from: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// A message without its password.
pub struct EmailRequest {
    host: String,
    port: u16,
    username: String,
    password: Option<KeySelector>,
    message: Message,
    shown: Value,
}

fn mailbox(path: &str, address: &str) -> Result<Mailbox, FieldError> {
    address
        .parse()
        .map_err(|error| FieldError::new(path, format!("{address:?}: {error}")))
}

fn port(path: &str, port: i64) -> Result<u16, FieldError> {
    match u16::try_from(port) {
        Ok(0) => Ok(SUBMISSION),
        Ok(port) => Ok(port),
        Err(_) => Err(FieldError::new(
            format!("{path}.port"),
            format!("{port} is not a port"),
        )),
    }
}

impl Trigger for EmailTrigger {
    const KEY: &'static str = "email";

    type Request = EmailRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        port(path, self.port)?;
        if !self.parameters.is_empty() {
            // They may give what is missing, which is checked for each event.
            return Ok(());
        }
        if self.host.is_empty() {
            return Err(FieldError::new(format!("{path}.host"), "must not be empty"));
        }
        Ok(())
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<EmailRequest, TriggerError> {
        let action = patched(self, firing)?;
        let wrong = |field: &str, message: &str| FieldError::new(format!("email.{field}"), message);
        if action.host.is_empty() {
            return Err(wrong("host", "must not be empty").into());
        }
        if action.to.is_empty() || action.to.len() > MOST_RECIPIENTS {
            let message = format!("needs 1 to {MOST_RECIPIENTS} addresses");
            return Err(wrong("to", &message).into());
        }
        let mut message = Message::builder()
            .from(mailbox("email.from", &action.from)?)
            .subject(action.subject.clone())
            // The same for every try: lets a receiver drop repetitions.
            .message_id(Some(format!("<{}@events.argoproj.io>", firing.id)))
            .date(firing.now.into())
            .header(ContentType::TEXT_PLAIN);
        for (index, address) in action.to.iter().enumerate() {
            message = message.to(mailbox(&format!("email.to[{index}]"), address)?);
        }
        let message = message
            .body(action.body.clone())
            .map_err(|error| wrong("body", &error.to_string()))?;
        let username = if action.username.is_empty() {
            &action.from
        } else {
            &action.username
        };
        Ok(EmailRequest {
            port: port(Self::KEY, action.port)?,
            username: username.clone(),
            shown: json!({
                "host": action.host, "from": action.from, "to": action.to,
                "subject": action.subject, "body": action.body,
            }),
            host: action.host,
            password: action.smtp_password,
            message,
        })
    }

    fn preview(request: &EmailRequest) -> Value {
        json!({ "email": request.shown })
    }

    async fn execute(request: EmailRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let EmailRequest { host, port, .. } = &request;
        let failed = |reason: &dyn std::fmt::Display| {
            TriggerError::Failed(format!("{host}:{port}: {reason}"))
        };
        let login = match &request.password {
            None => None,
            Some(key) => {
                let secrets = &run.executor.secrets;
                let password = secrets
                    .needed_secret(&run.firing.sensor.namespace, key)
                    .await?;
                let password = password.expose_secret();
                secrets.read_login(&request.username, password);
                Some(Credentials::new(
                    request.username.clone(),
                    password.to_owned(),
                ))
            }
        };
        let egress = run.executor.http.egress();
        let sending = async {
            let server = MailServer::find(egress, host, *port).await?;
            let mut connection = server.connect(login.as_ref()).await?;
            let message = request.message.formatted();
            let sent = connection.send(request.message.envelope(), &message).await;
            Ok::<_, SmtpError>((sent?, connection))
        };
        match tokio::time::timeout(DEADLINE, sending).await {
            Ok(sent) => {
                let (answer, mut connection) = sent.map_err(|error| failed(&error))?;
                // The message is taken, whatever the server says to the end of the conversation.
                drop(tokio::time::timeout(FAREWELL, connection.quit()).await);
                Ok(Done(format!("{host}:{port} answered {}", answer.code())))
            }
            Err(_) => Err(failed(&"no answer in time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    use super::*;
    use crate::trigger::stage::Stage;

    /// A mail server that takes everything, but answers `refusal` to the recipients when there is one.
    async fn server(refusal: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = lines.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reader, mut writer) = stream.into_split();
                let mut reader = BufReader::new(reader).lines();
                let mut in_message = false;
                drop(writer.write_all(b"220 mail\r\n").await);
                while let Ok(Some(line)) = reader.next_line().await {
                    heard.lock().push(line.clone());
                    let answer = match line.as_str() {
                        "." => "250 taken",
                        _ if in_message => continue,
                        "DATA" => "354 send it",
                        "QUIT" => "221 bye",
                        line if line.starts_with("EHLO") => "250-mail\r\n250 AUTH PLAIN LOGIN",
                        line if line.starts_with("AUTH") => "235 welcome",
                        line if line.starts_with("RCPT") => refusal.unwrap_or("250 known"),
                        _ => "250 yes",
                    };
                    in_message = line == "DATA";
                    drop(writer.write_all(format!("{answer}\r\n").as_bytes()).await);
                }
            }
        });
        (port, lines)
    }

    fn trigger(port: u16, extra: Value) -> EmailTrigger {
        let mut value = json!({
            "host": "127.0.0.1", "port": port, "from": "ci@example.com",
            "to": ["a@example.com", "b@example.com"], "subject": "Build", "body": "done",
        });
        if let (Value::Object(value), Value::Object(extra)) = (&mut value, extra) {
            value.extend(extra);
        }
        serde_json::from_value(value).expect("a trigger")
    }

    async fn send(stage: &Stage, trigger: &EmailTrigger) -> Result<Done, String> {
        let request = trigger
            .resolve(&stage.firing)
            .map_err(|error| error.to_string())?;
        let sent = EmailTrigger::execute(request, stage.run()).await;
        sent.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn one_message_goes_to_all_recipients() {
        let (port, lines) = server(None).await;
        let stage = Stage::with_secret(&json!({"password": "aHVzaA=="}));
        let mail = trigger(
            port,
            json!({
                "parameters": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "subject"}],
                "smtpPassword": {"name": "s", "key": "password"},
            }),
        );
        let done = send(&stage, &mail).await.expect("sent");
        assert_eq!(done.0, format!("127.0.0.1:{port} answered 250"));
        let lines = lines.lock().clone();
        for line in [
            "MAIL FROM:<ci@example.com>",
            "RCPT TO:<a@example.com>",
            "RCPT TO:<b@example.com>",
            "Subject: x",
            "Message-ID: <f@events.argoproj.io>",
            "done",
        ] {
            assert!(lines.iter().any(|heard| heard == line), "{line}: {lines:?}");
        }
        assert!(
            lines.iter().any(|heard| heard.starts_with("AUTH PLAIN ")),
            "{lines:?}"
        );
    }

    #[tokio::test]
    async fn refusals_name_the_server_and_no_password() {
        let (port, _) = server(Some("550 unknown user")).await;
        let stage = Stage::with_secret(&json!({"password": "aHVzaA=="}));
        let error = send(&stage, &trigger(port, json!({})))
            .await
            .expect_err("refused");
        let server = format!("127.0.0.1:{port}: ");
        assert!(
            error.starts_with(&server) && error.contains("550"),
            "{error}"
        );
        let absent = json!({"smtpPassword": {"name": "s", "key": "other"}});
        let error = send(&stage, &trigger(port, absent))
            .await
            .expect_err("no password");
        assert_eq!(error, "cannot read Secret ns/s: key other not found");
        let error = send(&stage, &trigger(port, json!({"to": ["nobody"]}))).await;
        let error = error.expect_err("no address");
        assert!(error.starts_with("email.to[0]: \"nobody\": "), "{error}");
        let metadata = json!({"host": "169.254.169.254"});
        let error = send(&stage, &trigger(port, metadata))
            .await
            .expect_err("refused");
        assert!(error.contains("link-local"), "{error}");
    }

    #[test]
    fn a_server_is_required_and_ports_are_ports() {
        let problem = |extra: Value| {
            let refused = Trigger::check(&mut trigger(25, extra), "t").expect_err("refused");
            refused.path
        };
        assert_eq!(problem(json!({"host": ""})), "t.host");
        assert_eq!(problem(json!({"port": 70_000})), "t.port");
    }

    #[tokio::test]
    async fn a_server_that_sends_without_end_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // A greeting of one line that does not end.
                let line = vec![b'2'; 65_536];
                while stream.write_all(&line).await.is_ok() {}
            }
        });
        let stage = Stage::with_secret(&json!({}));
        let error = send(&stage, &trigger(port, json!({}))).await;
        let error = error.expect_err("given up");
        assert!(error.contains("sends more than 1048576 bytes"), "{error}");
    }
}
