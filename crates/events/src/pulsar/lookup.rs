//! Which broker has a topic.

use super::{
    cluster::Cluster,
    connection::Connection,
    error::PulsarError,
    proto::{Command, Found, TopicRequest},
    topic,
};
use crate::source::{kind::SourceError, server::Access};

/// So often a lookup may lead to another broker.
const MOST_HOPS: usize = 10;
/// Code of an answer that leads to another broker, and of one that names the broker of the topic.
const REDIRECT: i32 = 0;
const CONNECT: i32 = 1;

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// `HOST:PORT`.
    pub(crate) address: String,
    /// It is reached through the servers of the URL.
    pub(crate) through_proxy: bool,
}

impl Cluster {
    /// How many partitions a topic has; 0 when it is not divided.
    pub(crate) async fn partitions(
        &self,
        servers: &mut Connection,
        topic: &str,
    ) -> Result<u32, SourceError> {
        let asked = servers.ask(
            |request_id| {
                Command::PartitionedMetadata(TopicRequest {
                    topic: topic.to_owned(),
                    request_id,
                    authoritative: None,
                })
            },
            |command, number| match command {
                Command::Partitions(answer) if answer.request_id == number => Some(answer),
                _ => None,
            },
        );
        let answer = asked
            .await
            .map_err(|error| self.failed(&format!("{topic}: {error}")))?;
        match answer.count {
            Some(partitions) if answer.error.is_none() => Ok(partitions),
            _ => {
                let refused = PulsarError::refused(answer.error, answer.message);
                Err(self.failed(&format!("{topic}: {refused}")))
            }
        }
    }

    /// The topics behind a topic, one for each partition, and no more than `most`.
    pub(crate) async fn parts(
        &self,
        servers: &mut Connection,
        name: &str,
        most: usize,
    ) -> Result<Vec<String>, SourceError> {
        let partitions = self.partitions(servers, name).await?;
        if partitions as usize > most {
            let reason = format!(
                "{name}: has {partitions} partitions, and {most} at most are read by an event"
            );
            return Err(self.failed(&reason));
        }
        Ok(topic::parts(name, partitions).collect())
    }

    /// The broker of a topic.
    pub(crate) async fn find(
        &self,
        access: &Access<'_>,
        servers: &mut Connection,
        topic: &str,
    ) -> Result<Place, SourceError> {
        let mut answer = self.look_up(servers, topic, false).await?;
        for _ in 0..MOST_HOPS {
            let place = self.place(topic, &answer)?;
            if answer.response == Some(CONNECT) {
                return Ok(place);
            }
            let mut other = self.reach(access, &place).await?;
            let authoritative = answer.authoritative == Some(true);
            answer = self.look_up(&mut other, topic, authoritative).await?;
        }
        Err(self.failed(&format!("{topic}: the lookup leads from broker to broker")))
    }

    async fn look_up(
        &self,
        broker: &mut Connection,
        topic: &str,
        authoritative: bool,
    ) -> Result<Found, SourceError> {
        let asked = broker.ask(
            |request_id| {
                Command::Lookup(TopicRequest {
                    topic: topic.to_owned(),
                    request_id,
                    authoritative: Some(authoritative),
                })
            },
            |command, number| match command {
                Command::Found(answer) if answer.request_id == number => Some(answer),
                _ => None,
            },
        );
        let answer = asked
            .await
            .map_err(|error| self.failed(&format!("{topic}: {error}")))?;
        if matches!(answer.response, Some(REDIRECT | CONNECT)) {
            return Ok(answer);
        }
        let refused = PulsarError::refused(answer.error, answer.message);
        Err(self.failed(&format!("{topic}: {refused}")))
    }

    /// Where an answer leads to.
    fn place(&self, topic: &str, answer: &Found) -> Result<Place, SourceError> {
        let (url, scheme) = match self.tls {
            Some(_) => (&answer.url_tls, "pulsar+ssl://"),
            None => (&answer.url, "pulsar://"),
        };
        let address = url.as_deref().and_then(|url| url.strip_prefix(scheme));
        let address = address.map(|address| address.trim_end_matches('/'));
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            let reason = format!(
                "{topic}: its broker has no address for {}",
                scheme.trim_end_matches("://")
            );
            return Err(self.failed(&reason));
        };
        Ok(Place {
            address: address.to_owned(),
            through_proxy: answer.through_proxy == Some(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::egress::EgressPolicy;
    use serde_json::Value;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        pulsar::{
            cluster::PulsarServer,
            connection::{Body, Frame},
            proto::{Connected, Partitions},
        },
        source::kind::Input,
    };

    /// A broker that gives this answer to every lookup, with its own address in the place of `SELF`.
    async fn broker(answer: Found) -> Cluster {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let own = format!("pulsar://{address}");
        let url = answer.url.clone().map(|url| url.replace("SELF", &own));
        let answer = Found { url, ..answer };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(
                    Connection::accepted(Box::new(stream)),
                    answer.clone(),
                ));
            }
        });
        let input = Input {
            path: "p",
            value: &Value::Null,
        };
        let server = PulsarServer {
            url: format!("pulsar://{address}"),
            ..PulsarServer::default()
        };
        Cluster::check(&input, &server).expect("checked")
    }

    async fn serve(mut client: Connection, answer: Found) {
        while let Ok(frame) = client.next().await {
            let answer = match frame {
                Frame::Command(Command::Connect(asked)) => {
                    // A proxy that leads to a broker that does not exist says nothing.
                    if asked.proxy_to_broker_url.is_some() {
                        return;
                    }
                    Command::Connected(Connected::default())
                }
                Frame::Command(Command::Lookup(asked)) => Command::Found(Found {
                    request_id: asked.request_id,
                    ..answer.clone()
                }),
                Frame::Command(Command::PartitionedMetadata(asked)) => {
                    Command::Partitions(Partitions {
                        count: Some(1_000_000),
                        request_id: asked.request_id,
                        ..Partitions::default()
                    })
                }
                Frame::Entry(_, Body::Whole(_) | Body::Prefix(..)) | Frame::Command(_) => return,
                Frame::Other => continue,
            };
            client.queue(answer);
            if client.flush().await.is_err() {
                return;
            }
        }
    }

    /// What becomes of a topic whose lookup is answered so.
    async fn reached(answer: Found) -> Result<(), String> {
        let cluster = broker(answer).await;
        let access = Access {
            egress: EgressPolicy::of_flag("--allow-link-local", false),
            secret: &|_| None,
        };
        let mut servers = cluster.open(&access).await.expect("connected");
        let place = cluster.find(&access, &mut servers, "t").await;
        let place = place.map_err(|error| error.to_string())?;
        let reached = cluster.reach(&access, &place).await;
        reached.map(drop).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn brokers_that_a_lookup_names_are_called_only_where_the_rules_permit_it() {
        let found = |url: &str, response| Found {
            url: Some(url.to_owned()),
            response: Some(response),
            ..Found::default()
        };
        reached(found("SELF", CONNECT)).await.expect("its own");
        let local = "pulsar://169.254.169.254:80";
        for (answer, part) in [
            (found(local, CONNECT), "--allow-link-local"),
            (found(local, REDIRECT), "--allow-link-local"),
            (found("SELF", REDIRECT), "from broker to broker"),
            (found("http://a", CONNECT), "no address for pulsar"),
            (found("pulsar://a/b/c", CONNECT), "which is none"),
            (found("SELF", 2), "error 0"),
            (
                Found {
                    through_proxy: Some(true),
                    ..found(local, CONNECT)
                },
                "closed the connection",
            ),
        ] {
            let error = reached(answer).await.expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn topics_with_absurdly_many_partitions_are_refused() {
        let cluster = broker(Found::default()).await;
        let access = Access {
            egress: EgressPolicy::of_flag("--allow-link-local", false),
            secret: &|_| None,
        };
        let mut servers = cluster.open(&access).await.expect("connected");
        let parts = cluster.parts(&mut servers, "t", 256).await;
        let error = parts.expect_err("too many").to_string();
        assert!(error.contains("1000000 partitions"), "{error}");
    }
}
