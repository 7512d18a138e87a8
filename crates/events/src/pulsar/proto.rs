//! The commands of the protocol. Fields that nobody here reads are left out.

use prost::{Message, Oneof};

/// The version that is spoken: brokers from 2.4 on know it.
pub(crate) const VERSION: i32 = 15;

/// `SUBSCRIBE` types.
pub(crate) const EXCLUSIVE: i32 = 0;
pub(crate) const SHARED: i32 = 1;

/// Any command. The number of a type is the tag of its field.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BaseCommand {
    #[prost(int32, required, tag = "1")]
    pub(crate) kind: i32,
    #[prost(
        oneof = "Command",
        tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24"
    )]
    pub(crate) command: Option<Command>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Command {
    #[prost(message, tag = "2")]
    Connect(Connect),
    #[prost(message, tag = "3")]
    Connected(Connected),
    #[prost(message, tag = "4")]
    Subscribe(Subscribe),
    #[prost(message, tag = "5")]
    Producer(CreateProducer),
    #[prost(message, tag = "6")]
    Send(Send),
    #[prost(message, tag = "7")]
    SendReceipt(SendReceipt),
    #[prost(message, tag = "8")]
    SendError(SendError),
    #[prost(message, tag = "9")]
    Message(Delivered),
    #[prost(message, tag = "10")]
    Ack(Ack),
    #[prost(message, tag = "11")]
    Flow(Flow),
    #[prost(message, tag = "13")]
    Success(Success),
    #[prost(message, tag = "14")]
    Error(Refusal),
    #[prost(message, tag = "15")]
    CloseProducer(Closed),
    #[prost(message, tag = "16")]
    CloseConsumer(Closed),
    #[prost(message, tag = "17")]
    ProducerSuccess(ProducerSuccess),
    #[prost(message, tag = "18")]
    Ping(Nothing),
    #[prost(message, tag = "19")]
    Pong(Nothing),
    #[prost(message, tag = "21")]
    PartitionedMetadata(TopicRequest),
    #[prost(message, tag = "22")]
    Partitions(Partitions),
    #[prost(message, tag = "23")]
    Lookup(TopicRequest),
    #[prost(message, tag = "24")]
    Found(Found),
}

impl Command {
    /// With its type.
    pub(crate) fn base(self) -> BaseCommand {
        let kind = match &self {
            Self::Connect(_) => 2,
            Self::Connected(_) => 3,
            Self::Subscribe(_) => 4,
            Self::Producer(_) => 5,
            Self::Send(_) => 6,
            Self::SendReceipt(_) => 7,
            Self::SendError(_) => 8,
            Self::Message(_) => 9,
            Self::Ack(_) => 10,
            Self::Flow(_) => 11,
            Self::Success(_) => 13,
            Self::Error(_) => 14,
            Self::CloseProducer(_) => 15,
            Self::CloseConsumer(_) => 16,
            Self::ProducerSuccess(_) => 17,
            Self::Ping(_) => 18,
            Self::Pong(_) => 19,
            Self::PartitionedMetadata(_) => 21,
            Self::Partitions(_) => 22,
            Self::Lookup(_) => 23,
            Self::Found(_) => 24,
        };
        BaseCommand {
            kind,
            command: Some(self),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Connect {
    #[prost(string, required, tag = "1")]
    pub(crate) client_version: String,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(crate) auth_data: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) protocol_version: Option<i32>,
    #[prost(string, optional, tag = "5")]
    pub(crate) auth_method_name: Option<String>,
    /// `HOST:PORT` of the broker that a proxy leads to.
    #[prost(string, optional, tag = "6")]
    pub(crate) proxy_to_broker_url: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Connected {
    #[prost(int32, optional, tag = "3")]
    pub(crate) max_message_size: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Subscribe {
    #[prost(string, required, tag = "1")]
    pub(crate) topic: String,
    #[prost(string, required, tag = "2")]
    pub(crate) subscription: String,
    #[prost(int32, required, tag = "3")]
    pub(crate) kind: i32,
    #[prost(uint64, required, tag = "4")]
    pub(crate) consumer_id: u64,
    #[prost(uint64, required, tag = "5")]
    pub(crate) request_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateProducer {
    #[prost(string, required, tag = "1")]
    pub(crate) topic: String,
    #[prost(uint64, required, tag = "2")]
    pub(crate) producer_id: u64,
    #[prost(uint64, required, tag = "3")]
    pub(crate) request_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ProducerSuccess {
    #[prost(uint64, required, tag = "1")]
    pub(crate) request_id: u64,
    #[prost(string, required, tag = "2")]
    pub(crate) producer_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Send {
    #[prost(uint64, required, tag = "1")]
    pub(crate) producer_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(crate) sequence_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SendReceipt {
    #[prost(uint64, required, tag = "2")]
    pub(crate) sequence_id: u64,
    #[prost(message, optional, tag = "3")]
    pub(crate) message_id: Option<MessageId>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SendError {
    #[prost(uint64, required, tag = "2")]
    pub(crate) sequence_id: u64,
    #[prost(int32, required, tag = "3")]
    pub(crate) error: i32,
    #[prost(string, required, tag = "4")]
    pub(crate) message: String,
}

/// Where a message is in its topic.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct MessageId {
    #[prost(uint64, required, tag = "1")]
    pub(crate) ledger: u64,
    #[prost(uint64, required, tag = "2")]
    pub(crate) entry: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Delivered {
    #[prost(uint64, required, tag = "1")]
    pub(crate) consumer_id: u64,
    #[prost(message, required, tag = "2")]
    pub(crate) message_id: MessageId,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ack {
    #[prost(uint64, required, tag = "1")]
    pub(crate) consumer_id: u64,
    /// 0 for these messages alone.
    #[prost(int32, required, tag = "2")]
    pub(crate) kind: i32,
    #[prost(message, repeated, tag = "3")]
    pub(crate) message_id: Vec<MessageId>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Flow {
    #[prost(uint64, required, tag = "1")]
    pub(crate) consumer_id: u64,
    #[prost(uint32, required, tag = "2")]
    pub(crate) permits: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Success {
    #[prost(uint64, required, tag = "1")]
    pub(crate) request_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Refusal {
    #[prost(uint64, required, tag = "1")]
    pub(crate) request_id: u64,
    #[prost(int32, required, tag = "2")]
    pub(crate) error: i32,
    #[prost(string, required, tag = "3")]
    pub(crate) message: String,
}

/// The broker ends a producer or a consumer: its topic moves, or is deleted.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Closed {
    #[prost(uint64, required, tag = "1")]
    pub(crate) id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TopicRequest {
    #[prost(string, required, tag = "1")]
    pub(crate) topic: String,
    #[prost(uint64, required, tag = "2")]
    pub(crate) request_id: u64,
    #[prost(bool, optional, tag = "3")]
    pub(crate) authoritative: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Partitions {
    #[prost(uint32, optional, tag = "1")]
    pub(crate) count: Option<u32>,
    #[prost(uint64, required, tag = "2")]
    pub(crate) request_id: u64,
    #[prost(int32, optional, tag = "4")]
    pub(crate) error: Option<i32>,
    #[prost(string, optional, tag = "5")]
    pub(crate) message: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Found {
    #[prost(string, optional, tag = "1")]
    pub(crate) url: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) url_tls: Option<String>,
    /// 0 to ask there again, 1 to use it, 2 for a refusal.
    #[prost(int32, optional, tag = "3")]
    pub(crate) response: Option<i32>,
    #[prost(uint64, required, tag = "4")]
    pub(crate) request_id: u64,
    #[prost(bool, optional, tag = "5")]
    pub(crate) authoritative: Option<bool>,
    #[prost(int32, optional, tag = "6")]
    pub(crate) error: Option<i32>,
    #[prost(string, optional, tag = "7")]
    pub(crate) message: Option<String>,
    /// The broker is behind a proxy, which is the server that was asked.
    #[prost(bool, optional, tag = "8")]
    pub(crate) through_proxy: Option<bool>,
}

/// What stands before the payload of an entry.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(string, required, tag = "1")]
    pub(crate) producer_name: String,
    #[prost(uint64, required, tag = "2")]
    pub(crate) sequence_id: u64,
    /// Milliseconds since 1970.
    #[prost(uint64, required, tag = "3")]
    pub(crate) publish_time: u64,
    #[prost(string, optional, tag = "6")]
    pub(crate) partition_key: Option<String>,
    #[prost(int32, optional, tag = "8")]
    pub(crate) compression: Option<i32>,
    #[prost(uint32, optional, tag = "9")]
    pub(crate) uncompressed_size: Option<u32>,
    /// The payload is a batch where this is given, also of one message.
    #[prost(int32, optional, tag = "11")]
    pub(crate) messages: Option<i32>,
    /// Only encrypted payloads have it.
    #[prost(bytes = "vec", optional, tag = "15")]
    pub(crate) encryption: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "27")]
    pub(crate) chunks: Option<i32>,
}

/// What stands before a message of a batch.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SingleMetadata {
    #[prost(string, optional, tag = "2")]
    pub(crate) partition_key: Option<String>,
    #[prost(int32, required, tag = "3")]
    pub(crate) payload_size: i32,
    #[prost(bool, optional, tag = "4")]
    pub(crate) compacted_out: Option<bool>,
}
