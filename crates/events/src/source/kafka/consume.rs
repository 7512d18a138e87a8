//! Reads records, publishes them, and keeps how far that went.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use futures::{FutureExt, future::BoxFuture, future::try_join_all};
use tokio::{
    sync::Mutex,
    time::{Instant, interval_at, sleep},
};

use super::{
    config::{Group, Reading, Subscription},
    fetch::{Claims, Fetched},
    group::{BEAT, Member, coordinator, is_rebalance},
    keep::{Ended, Keeper, Position, ended},
    publish::{Pace, Publisher},
};
use crate::{
    api::KeySelector,
    kafka::{
        connection::{Connection, KafkaError, checked},
        records::Batch,
        requests::{Leaders, Metadata, OFFSET_OUT_OF_RANGE, UNKNOWN_MEMBER},
    },
    source::{
        kind::{Source, SourceContext, SourceError},
        server::Access,
    },
};

/// How often the number of partitions is looked up: new ones belong to somebody.
const LOOK: Duration = Duration::from_secs(300);
/// Pause before the group is joined again.
const PAUSE: Duration = Duration::from_millis(200);

impl Source for Subscription {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.cluster.secrets()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        let secret = |field: &str| context.secret(field).cloned();
        async move {
            let access = Access {
                egress: context.egress,
                secret: &secret,
            };
            let session = Session {
                subscription: self,
                context,
                access: &access,
                pace: Pace::default(),
            };
            let failed = match &self.reading {
                Reading::Group(group) => session.follow_group(group).await,
                Reading::Partition(partition) => session.follow_partition(*partition).await,
            };
            failed.map(|never| match never {})
        }
        .boxed()
    }
}

struct Session<'s> {
    subscription: &'s Subscription,
    context: &'s SourceContext,
    access: &'s Access<'s>,
    pace: Pace,
}

impl Session<'_> {
    /// Reads what the group assigns, until something fails.
    async fn follow_group(&self, group: &Group) -> Result<Infallible, SourceError> {
        let mut known = String::new();
        loop {
            let (servers, leaders, metadata) = self.begin().await?;
            let mut servers = servers;
            let found = coordinator(&mut servers, &group.name).await;
            let found = found.map_err(|error| servers.failed(&error))?;
            let mut connection = self.subscription.cluster.reach(self.access, &found).await?;
            let topic = &self.subscription.topic;
            let joined = Member::join(&mut connection, group, topic, &known).await;
            let (member, own) = match joined {
                Ok(joined) => joined,
                Err(error) if is_rebalance(&error) => {
                    if error.code() == Some(UNKNOWN_MEMBER) {
                        known.clear();
                    }
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(connection.failed(&error)),
            };
            known.clone_from(&member.id);
            let read = self.read_assigned(
                group,
                (connection, member),
                own,
                (leaders, metadata, servers),
            );
            if let Ended::Failed(error) = read.await {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    async fn read_assigned(
        &self,
        group: &Group,
        (mut connection, member): (Connection, Member),
        own: Vec<i32>,
        (leaders, metadata, servers): (Leaders, Metadata, Connection),
    ) -> Ended {
        let offsets = match member.committed(&mut connection, &own).await {
            Ok(offsets) => offsets,
            Err(error) => return ended(&connection, &error),
        };
        let offsets = own
            .into_iter()
            .map(|partition| (partition, offsets.get(&partition).copied().unwrap_or(-1)))
            .collect();
        let keeper = Mutex::new(Keeper::Group {
            coordinator: connection,
            member,
        });
        let reading = async {
            let claims = self
                .claims(offsets, group.oldest, &leaders, &metadata)
                .await?;
            self.context.report(None);
            self.read_all(claims, &keeper, (servers, leaders.clone()))
                .await
        };
        // The coordinator hears of this member from now on, also while a broker is slow.
        let end = tokio::select! {
            end = reading => end,
            end = self.beat(&keeper) => end,
        };
        let Err(end) = end;
        if let (
            Ended::Failed(_),
            Keeper::Group {
                mut coordinator,
                member,
            },
        ) = (&end, keeper.into_inner())
        {
            // Without it the group waits until the member is silent for long enough.
            drop(member.leave(&mut coordinator).await);
        }
        end
    }

    /// Reads one partition, until something fails.
    async fn follow_partition(&self, partition: i32) -> Result<Infallible, SourceError> {
        let mut checkpoint = Box::new(self.context.checkpoint().await?);
        let topic = &self.subscription.topic;
        let known = checkpoint.load::<Position>().await?;
        let known = known.filter(|known| known.topic == *topic && known.partition == partition);
        let mut position = known.unwrap_or_else(|| Position {
            topic: topic.clone(),
            partition,
            next: -1,
        });
        loop {
            let (servers, leaders, metadata) = self.begin().await?;
            if !leaders.contains_key(&partition) {
                let reason = format!("topic {topic:?} has no partition {partition}");
                return Err(servers.failed(&reason));
            }
            let offsets = BTreeMap::from([(partition, position.next)]);
            let claims = self.claims(offsets, false, &leaders, &metadata).await;
            let claims = match claims {
                Ok(claims) => claims,
                Err(Ended::Rebalance) => continue,
                Err(Ended::Failed(error)) => return Err(error),
            };
            // From now on nothing is missed, also when nothing is read before the next start.
            position.next = claims[0].offsets[&partition];
            checkpoint.save(&position).await?;
            self.context.report(None);
            let keeper = Mutex::new(Keeper::Bus {
                checkpoint,
                position,
            });
            let Err(end) = self.read_all(claims, &keeper, (servers, leaders)).await;
            match (end, keeper.into_inner()) {
                (Ended::Failed(error), _) => return Err(error),
                (
                    Ended::Rebalance,
                    Keeper::Bus {
                        checkpoint: kept,
                        position: reached,
                    },
                ) => (checkpoint, position) = (kept, reached),
                (Ended::Rebalance, Keeper::Group { .. }) => unreachable!("offsets are on the bus"),
            }
        }
    }

    /// A connection to the cluster, with what it says of the topic.
    async fn begin(&self) -> Result<(Connection, Leaders, Metadata), SourceError> {
        let mut servers = self.subscription.cluster.open(self.access).await?;
        let topics = [self.subscription.topic.as_str()].into_iter();
        let asked = Metadata::ask(&mut servers, topics).await;
        let metadata = asked.map_err(|error| servers.failed(&error))?;
        let leaders = metadata.leaders(&self.subscription.topic);
        let leaders = leaders.map_err(|error| servers.failed(&error))?.clone();
        Ok((servers, leaders, metadata))
    }

    /// Connections to the leaders of partitions, whose offset is -1 where there is none yet.
    async fn claims(
        &self,
        offsets: BTreeMap<i32, i64>,
        oldest: bool,
        leaders: &Leaders,
        metadata: &Metadata,
    ) -> Result<Vec<Claims>, Ended> {
        let mut by_leader: BTreeMap<i32, BTreeMap<i32, i64>> = BTreeMap::new();
        for (partition, offset) in offsets {
            // One that was added since: the group is joined again.
            let leader = *leaders.get(&partition).ok_or(Ended::Rebalance)?;
            by_leader
                .entry(leader)
                .or_default()
                .insert(partition, offset);
        }
        let mut all = Vec::new();
        for (leader, offsets) in by_leader {
            let cluster = &self.subscription.cluster;
            let address = metadata
                .broker(leader)
                .map_err(|error| SourceError::Server {
                    server: cluster.name().to_owned(),
                    reason: error.to_string(),
                })?;
            let mut claims = Claims {
                leader: cluster.reach(self.access, address).await?,
                topic: self.subscription.topic.clone(),
                offsets: BTreeMap::new(),
            };
            for (partition, offset) in offsets {
                let offset = if offset >= 0 {
                    offset
                } else {
                    let start = claims.start(partition, oldest).await;
                    start.map_err(|error| ended(&claims.leader, &error))?
                };
                claims.offsets.insert(partition, offset);
            }
            all.push(claims);
        }
        Ok(all)
    }

    async fn read_all(
        &self,
        claims: Vec<Claims>,
        keeper: &Mutex<Keeper>,
        (servers, leaders): (Connection, Leaders),
    ) -> Result<Infallible, Ended> {
        let readers = claims.into_iter().map(|claims| self.read(claims, keeper));
        let readers = async {
            try_join_all(readers).await?;
            // A member without partitions.
            std::future::pending::<Result<Infallible, Ended>>().await
        };
        tokio::select! {
            end = readers => end,
            end = self.look(servers, &leaders) => end,
        }
    }

    /// Reads the partitions of one leader.
    async fn read(&self, mut claims: Claims, keeper: &Mutex<Keeper>) -> Result<Infallible, Ended> {
        loop {
            let all = claims.fetch().await;
            let all = all.map_err(|error| ended(&claims.leader, &error))?;
            for fetched in all {
                let partition = fetched.partition;
                let Some(&from) = claims.offsets.get(&partition) else {
                    continue;
                };
                if fetched.code == OFFSET_OUT_OF_RANGE {
                    // The broker has deleted what was not read in time.
                    let start = claims.start(partition, true).await;
                    let start = start.map_err(|error| ended(&claims.leader, &error))?;
                    tracing::warn!(
                        eventsource = %self.context.emitter.key, event = self.context.event(), partition, from, start,
                        "offset is out of range: reading from the oldest record"
                    );
                    claims.offsets.insert(partition, start);
                    continue;
                }
                let next = self.publish(&fetched, from).await;
                let next = next.map_err(|error| ended(&claims.leader, &error))?;
                if next > from {
                    keeper.lock().await.keep(partition, next).await?;
                    claims.offsets.insert(partition, next);
                }
            }
        }
    }

    /// Publishes what a fetch brought; returns the offset of the next record.
    async fn publish(&self, fetched: &Fetched, from: i64) -> Result<i64, KafkaError> {
        checked("fetch", fetched.code)?;
        let publisher = Publisher {
            subscription: self.subscription,
            context: self.context,
            pace: &self.pace,
        };
        let mut next = from;
        if let Some((batch, size)) = &fetched.too_large {
            self.context.too_large(*size);
            next = next.max(batch.next());
        }
        let mut batches = fetched.batches.clone();
        let unreadable = |offset| KafkaError::Records {
            partition: fetched.partition,
            offset,
            reason: "a batch of a format before Kafka 0.11, or none",
        };
        while let Some(batch) = Batch::take(&mut batches).map_err(|_| unreadable(next))? {
            publisher.batch(&batch, fetched.partition, from).await;
            next = next.max(batch.next());
        }
        Ok(next)
    }

    /// Signs of life.
    async fn beat(&self, keeper: &Mutex<Keeper>) -> Result<Infallible, Ended> {
        let mut beats = interval_at(Instant::now() + BEAT, BEAT);
        loop {
            beats.tick().await;
            if let Keeper::Group {
                coordinator,
                member,
            } = &mut *keeper.lock().await
            {
                let beat = member.beat(coordinator).await;
                beat.map_err(|error| ended(coordinator, &error))?;
            }
        }
    }

    /// Ends when the topic has other partitions, or partitions other leaders.
    async fn look(&self, mut servers: Connection, known: &Leaders) -> Result<Infallible, Ended> {
        loop {
            sleep(LOOK).await;
            let topics = [self.subscription.topic.as_str()].into_iter();
            let metadata = Metadata::ask(&mut servers, topics).await;
            let metadata = metadata.map_err(|error| ended(&servers, &error))?;
            let leaders = metadata.leaders(&self.subscription.topic);
            if leaders.map_err(|error| ended(&servers, &error))? != known {
                return Err(Ended::Rebalance);
            }
        }
    }
}
