//! One connection: requests one after another, messages between them.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
};

use super::{
    channels::{Message, Subscriber},
    command::{Command, Login},
    frame::{FrameLimits, parse},
    reply::{Protocol, Reply},
    server::Shared,
};

/// Bounds before the client has given the password.
const FOREIGN: FrameLimits = FrameLimits {
    arguments: 16,
    bytes: 4096,
};
/// Bounds after that.
const TRUSTED: FrameLimits = FrameLimits {
    arguments: 1024,
    bytes: 4 << 20,
};
/// Bytes of a request that every connection may hold; more is taken from what all connections share.
const OWN_BUFFER: usize = 16 * 1024;
/// Most bytes of answers that are collected before they are written.
const BATCH: usize = 64 * 1024;
/// Longest key or name of a channel.
pub(super) const MAX_KEY: usize = 4096;
/// Time in which the client must take an answer.
const STALL: Duration = Duration::from_secs(30);
/// Wrong passwords until the connection is closed.
const TRIES: u32 = 3;

/// Why a connection ends; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed it, or asked for that.
    Closed,
    /// What it sent is no request.
    Malformed,
    /// It does not read what it is sent.
    Slow,
    /// It sent wrong passwords.
    Refused,
    /// The requests in progress take all the memory that is set aside for them.
    NoRoom,
}

/// One connection.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    id: i64,
    protocol: Protocol,
    is_trusted: bool,
    wrong: u32,
    subscriber: Subscriber,
    /// Called when the client has given the password.
    trusted: &'a (dyn Fn() + Sync),
    /// Bytes of the buffer beyond its own ones.
    room: Option<OwnedSemaphorePermit>,
    out: Vec<u8>,
    end: Option<End>,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Shared, id: i64, trusted: &'a (dyn Fn() + Sync)) -> Self {
        Self {
            shared,
            id,
            protocol: Protocol::Resp2,
            is_trusted: false,
            wrong: 0,
            subscriber: shared.channels.subscriber(),
            trusted,
            room: None,
            out: Vec::new(),
            end: None,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> End {
        let mut input = Vec::new();
        loop {
            tokio::select! {
                read = stream.read_buf(&mut input) => match read {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(_) => {}
                },
                messages = self.subscriber.receive() => match messages {
                    Ok(messages) => self.deliver(messages),
                    Err(_) => return End::Slow,
                },
            }
            if let Err(end) = self.answer_all(&mut input, &mut stream).await {
                return end;
            }
            if let Err(end) = self.flush(&mut stream).await {
                return end;
            }
            if let Some(end) = self.end {
                return end;
            }
            if let Err(end) = self.hold(&mut input) {
                return end;
            }
        }
    }

    fn limits(&self) -> FrameLimits {
        if self.is_trusted { TRUSTED } else { FOREIGN }
    }

    /// Answers every whole request of the input.
    async fn answer_all(
        &mut self,
        input: &mut Vec<u8>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), End> {
        let mut used = 0;
        while self.end.is_none() {
            match parse(&input[used..], self.limits()) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    used += frame.used;
                    if !frame.arguments.is_empty() {
                        self.answer(frame.arguments).await;
                    }
                }
                Err(error) => {
                    self.reply(&Reply::error(error.to_string()));
                    self.end = Some(End::Malformed);
                }
            }
            if self.out.len() >= BATCH {
                self.flush(stream).await?;
            }
        }
        input.drain(..used);
        Ok(())
    }

    /// Accounts for the part of a request that has come so far.
    fn hold(&mut self, input: &mut Vec<u8>) -> Result<(), End> {
        if input.len() <= OWN_BUFFER {
            self.room = None;
            if input.capacity() > OWN_BUFFER {
                input.shrink_to(OWN_BUFFER);
            }
            return Ok(());
        }
        // The buffer may double with the next read.
        let wanted = input.capacity() * 2;
        let held = self
            .room
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        if let Some(more) = wanted.checked_sub(held).filter(|more| *more > 0) {
            let more = u32::try_from(more).map_err(|_| End::NoRoom)?;
            let memory = self.shared.memory.clone();
            let permit = memory
                .try_acquire_many_owned(more)
                .map_err(|_| End::NoRoom)?;
            match &mut self.room {
                Some(room) => room.merge(permit),
                None => self.room = Some(permit),
            }
        }
        Ok(())
    }

    async fn flush(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        // An answer of many bytes takes a slow client its time; what counts is that it takes some of them.
        for part in self.out.chunks(BATCH) {
            let write = tokio::time::timeout(STALL, stream.write_all(part));
            let written = tokio::select! {
                written = write => written,
                () = self.subscriber.overflowed() => return Err(End::Slow),
            };
            match written {
                Err(_) => return Err(End::Slow),
                Ok(Err(_)) => return Err(End::Closed),
                Ok(Ok(())) => {}
            }
        }
        self.out.clear();
        self.out.shrink_to(BATCH);
        Ok(())
    }

    fn reply(&mut self, reply: &Reply) {
        reply.write(self.protocol, &mut self.out);
    }

    fn deliver(&mut self, messages: Vec<Message>) {
        for message in messages {
            let parts = [message.channel, message.payload].map(Reply::Bulk);
            let parts = [Reply::text("message")].into_iter().chain(parts);
            self.reply(&Reply::Push(parts.collect()));
        }
    }

    async fn answer(&mut self, arguments: Vec<Vec<u8>>) {
        let command = match Command::parse(arguments) {
            Ok(command) => command,
            Err(error) => return self.reply(&error),
        };
        let reply = match command {
            Command::Hello { version, login } => self.hello(version, login),
            Command::Auth(login) => self.auth(&login).err().unwrap_or(Reply::Simple("OK")),
            Command::Quit => {
                self.end = Some(End::Closed);
                Reply::Simple("OK")
            }
            _ if !self.is_trusted => Reply::Error("NOAUTH Authentication required.".to_owned()),
            Command::Subscribe(channels) => return self.subscribe(&channels),
            Command::Unsubscribe(channels) => return self.unsubscribe(channels),
            Command::Ping(payload) => self.ping(payload),
            _ if self.is_subscribed() => Reply::error(
                "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT are allowed in this context",
            ),
            command => self.shared.execute(command, self.id).await,
        };
        self.reply(&reply);
    }

    /// True when the connection carries messages only, as it does in the older protocol.
    fn is_subscribed(&self) -> bool {
        self.protocol == Protocol::Resp2 && !self.subscriber.subscribed().is_empty()
    }

    fn ping(&self, payload: Option<Vec<u8>>) -> Reply {
        match payload {
            payload if self.is_subscribed() => Reply::List(vec![
                Reply::text("pong"),
                Reply::text(payload.unwrap_or_default()),
            ]),
            Some(payload) => Reply::text(payload),
            None => Reply::Simple("PONG"),
        }
    }

    fn hello(&mut self, version: Option<u8>, login: Option<Login>) -> Reply {
        if let Some(login) = login
            && let Err(error) = self.auth(&login)
        {
            return error;
        }
        if !self.is_trusted {
            return Reply::Error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time".to_owned(),
            );
        }
        match version {
            Some(3) => self.protocol = Protocol::Resp3,
            Some(_) => self.protocol = Protocol::Resp2,
            None => {}
        }
        let number = if self.protocol == Protocol::Resp3 {
            3
        } else {
            2
        };
        let pair = |name: &str, value| (Reply::text(name), value);
        Reply::Map(vec![
            pair("server", Reply::text("argo-cd-lite")),
            pair("version", Reply::text(env!("CARGO_PKG_VERSION"))),
            pair("proto", Reply::Int(number)),
            pair("id", Reply::Int(self.id)),
            pair("mode", Reply::text("standalone")),
            pair("role", Reply::text("master")),
            pair("modules", Reply::List(Vec::new())),
        ])
    }

    fn auth(&mut self, login: &Login) -> Result<(), Reply> {
        let given = String::from_utf8_lossy(&login.password);
        let password = self.shared.password.read().clone();
        let right = password.is_some_and(|password| !password.is_empty() && password.is(&given));
        if right && matches!(login.user.as_slice(), b"default" | b"") {
            self.is_trusted = true;
            (self.trusted)();
            return Ok(());
        }
        self.wrong += 1;
        if self.wrong >= TRIES {
            self.end = Some(End::Refused);
        }
        let text = "WRONGPASS invalid username-password pair or user is disabled.";
        Err(Reply::Error(text.to_owned()))
    }

    fn subscribe(&mut self, channels: &[Vec<u8>]) {
        for channel in channels {
            let subscribed = channel.len() <= MAX_KEY && self.subscriber.subscribe(channel).is_ok();
            let reply = if subscribed {
                self.confirmation("subscribe", Reply::text(channel))
            } else {
                Reply::error("too many subscriptions, or the name of the channel is too long")
            };
            self.reply(&reply);
        }
    }

    fn unsubscribe(&mut self, mut channels: Vec<Vec<u8>>) {
        if channels.is_empty() {
            let all = self.subscriber.subscribed().iter();
            channels = all.map(|channel| channel.to_vec()).collect();
        }
        if channels.is_empty() {
            let reply = self.confirmation("unsubscribe", Reply::Null);
            self.reply(&reply);
        }
        for channel in channels {
            self.subscriber.unsubscribe(&channel);
            let reply = self.confirmation("unsubscribe", Reply::text(&channel));
            self.reply(&reply);
        }
    }

    fn confirmation(&self, what: &str, channel: Reply) -> Reply {
        let count = i64::try_from(self.subscriber.subscribed().len()).unwrap_or(i64::MAX);
        Reply::Push(vec![Reply::text(what), channel, Reply::Int(count)])
    }
}
