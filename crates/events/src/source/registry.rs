//! All kinds of event sources that a task brings in.

#[cfg(feature = "amqp")]
use super::amqp;
#[cfg(feature = "sftp")]
use super::sftp;
use super::{
    azure_events_hub, azure_queue_storage, azure_service_bus, files, generic, kafka,
    kind::SourceKind, minio, mqtt, nats, nsq, pub_sub, pulsar, redis, resource, schedule, sqs,
};

/// The kinds, in the order in which their events are checked.
pub const ALL: &[&SourceKind] = &[
    &schedule::KIND,
    &nats::KIND,
    #[cfg(feature = "amqp")]
    &amqp::KIND,
    &kafka::KIND,
    &mqtt::MQTT,
    &mqtt::EMITTER,
    &redis::CHANNELS,
    &redis::STREAMS,
    &resource::KIND,
    &sqs::KIND,
    &minio::KIND,
    &pub_sub::KIND,
    &azure_service_bus::KIND,
    &azure_queue_storage::KIND,
    &azure_events_hub::KIND,
    &nsq::KIND,
    &pulsar::KIND,
    &generic::KIND,
    &files::LOCAL,
    #[cfg(feature = "sftp")]
    &sftp::KIND,
];

/// Keys of kinds whose clients this program was built without.
pub const LEFT_OUT: &[&str] = &[
    #[cfg(not(feature = "amqp"))]
    "amqp",
    #[cfg(not(feature = "sftp"))]
    "sftp",
];
