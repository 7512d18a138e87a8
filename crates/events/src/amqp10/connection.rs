//! A connection with one session and its links.

use std::{collections::HashMap, io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

pub(crate) use super::link::{AmqpError, Content, Event, Node};
use super::{
    encode::Fields,
    frame::{self, Frame, LARGEST, Transfer},
    link::{DEADLINE, Link},
    message,
    value::Malformed,
};
use crate::source::server::Duplex;

/// The server sends something at least so often, and is gone when it sends nothing for twice as long.
const IDLE: Duration = Duration::from_secs(60);
/// Something is sent at least so often.
const PING: Duration = Duration::from_secs(30);
/// Transfers that may come in before the server hears that there may be more.
const WINDOW: u32 = 2048;
/// Bytes of one read.
const READ: usize = 16 << 10;
/// Messages of which a part has come in, counted as the largest there can be.
const PARTS: usize = 4;
/// Answers that may come in on the links of a node.
const ANSWERS: u32 = 8;

const LOGIN_HEADER: &[u8; 8] = b"AMQP\x03\x01\x00\x00";
const HEADER: &[u8; 8] = b"AMQP\x00\x01\x00\x00";

/// A connection.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    read: BytesMut,
    write: BytesMut,
    links: Vec<Link>,
    /// Links by their numbers at the server.
    handles: HashMap<u32, usize>,
    /// Largest message that is held.
    largest: usize,
    ping: Duration,
    heard: Instant,
    spoke: Instant,
    /// Number of the next transfer of the server, and those that it may send.
    incoming: u32,
    window: u32,
    /// Number of the next transfer to it.
    outgoing: u32,
}

impl Connection {
    /// Begins a connection and its session.
    pub(crate) async fn open(
        stream: Box<dyn Duplex>,
        host: &str,
        largest: usize,
    ) -> Result<Self, AmqpError> {
        let now = Instant::now();
        let mut this = Self {
            stream,
            read: BytesMut::new(),
            write: BytesMut::new(),
            links: Vec::new(),
            handles: HashMap::new(),
            largest,
            ping: PING,
            heard: now,
            spoke: now,
            incoming: 0,
            window: WINDOW,
            outgoing: 0,
        };
        timeout(DEADLINE, this.begin(host))
            .await
            .map_err(|_| AmqpError::Late)??;
        Ok(this)
    }

    async fn begin(&mut self, host: &str) -> Result<(), AmqpError> {
        self.header(LOGIN_HEADER).await?;
        loop {
            match self.frame().await? {
                Frame::Mechanisms => {
                    // The token that follows is what lets the client in.
                    let init = Fields::default().symbol("ANONYMOUS").null().string(host);
                    self.queue(&frame::login(0x41, init));
                }
                Frame::Outcome(0) => break,
                Frame::Outcome(_) => return Err(AmqpError::Login),
                _ => return Err(Malformed.into()),
            }
        }
        self.header(HEADER).await?;
        let idle = u32::try_from(IDLE.as_millis()).unwrap_or(u32::MAX);
        let name = format!("argo-events-{}", uuid::Uuid::new_v4().simple());
        let open = Fields::default().string(&name).string(host);
        let open = open.uint(LARGEST).ushort(0).uint(idle);
        self.queue(&frame::frame(0x10, open, &[]));
        let begin = Fields::default().null().uint(0).uint(WINDOW).uint(WINDOW);
        self.queue(&frame::frame(0x11, begin, &[]));
        loop {
            match self.frame().await? {
                Frame::Open { silence, .. } => {
                    let silence = silence.filter(|millis| *millis > 0).map(u64::from);
                    let half = silence.map(|millis| Duration::from_millis(millis / 2));
                    // However soon a server wants to hear something.
                    let half = half.unwrap_or(PING).max(Duration::from_secs(1));
                    self.ping = half.min(PING);
                }
                Frame::Begin { next } => {
                    self.incoming = next;
                    return Ok(());
                }
                Frame::End(fault) => return Err(AmqpError::refused(fault)),
                _ => {}
            }
        }
    }

    async fn header(&mut self, header: &[u8; 8]) -> Result<(), AmqpError> {
        self.queue(header);
        while self.read.len() < header.len() {
            self.fill().await?;
        }
        let answer = self.read.split_to(header.len());
        if answer.as_ref() != header {
            return Err(Malformed.into());
        }
        Ok(())
    }

    /// Links to ask `address` with.
    pub(crate) async fn node(&mut self, address: &str) -> Result<Node, AmqpError> {
        let node = Node {
            sender: self.attach(address, false, None),
            receiver: self.attach(address, true, None),
        };
        self.give(node.receiver, ANSWERS);
        let ready = async {
            while self.links[node.sender].credit == 0 || self.links[node.receiver].handle.is_none()
            {
                self.next().await?;
            }
            Ok(node)
        };
        timeout(DEADLINE, ready)
            .await
            .map_err(|_| AmqpError::Late)?
    }

    /// Asks a node; the answer is a message of its receiver.
    pub(crate) fn ask(&mut self, node: Node, application: Fields, body: &str) {
        let id = self.outgoing;
        let reply_to = self.links[node.receiver].name.clone();
        let message = message::request(id, &reply_to, application, body);
        let transfer = Fields::default().uint(handle(node.sender)).uint(id);
        let transfer = transfer.binary(&id.to_be_bytes()).uint(0).bool(true);
        self.queue(&frame::frame(0x14, transfer, &message));
        self.outgoing = self.outgoing.wrapping_add(1);
        let link = &mut self.links[node.sender];
        link.delivered = link.delivered.wrapping_add(1);
        link.credit = link.credit.saturating_sub(1);
    }

    /// Asks a node and waits for its answer. Messages of other links are dropped meanwhile.
    pub(crate) async fn answer(
        &mut self,
        node: Node,
        application: Fields,
        body: &str,
    ) -> Result<Bytes, AmqpError> {
        self.ask(node, application, body);
        let answer = async {
            loop {
                if let Event::Message(link, Content::Whole(answer)) = self.next().await?
                    && link == node.receiver
                {
                    self.give(link, ANSWERS);
                    return Ok(answer);
                }
            }
        };
        timeout(DEADLINE, answer)
            .await
            .map_err(|_| AmqpError::Late)?
    }

    /// A link on which messages of `address` come in that pass a filter, once it has credit.
    pub(crate) fn receiver(&mut self, address: &str, filter: &str) -> usize {
        self.attach(address, true, Some(filter))
    }

    fn attach(&mut self, address: &str, receives: bool, filter: Option<&str>) -> usize {
        const SELECTOR: &str = "apache.org:selector-filter:string";
        let index = self.links.len();
        let name = format!("argo-{index}-{}", uuid::Uuid::new_v4().simple());
        let mut source = Fields::default().string(if receives { address } else { &name });
        if let Some(filter) = filter {
            let filter = Fields::default().string(filter);
            let filter = Fields::default().symbol(SELECTOR).named(SELECTOR, &filter);
            source = source.uint(0).null().uint(0).bool(false).null().null();
            source = source.map(filter);
        }
        let target = Fields::default().string(if receives { &name } else { address });
        let fields = Fields::default()
            .string(&name)
            .uint(handle(index))
            .bool(receives)
            // Settled: what was read is kept elsewhere.
            .ubyte(1)
            .ubyte(0)
            .composite(0x28, source)
            .composite(0x29, target);
        let fields = if receives {
            fields
        } else {
            fields.null().bool(false).uint(0)
        };
        self.queue(&frame::frame(0x12, fields, &[]));
        self.links.push(Link::new(name, receives));
        index
    }

    /// Lets so many messages come in on a link, now or once it is there.
    pub(crate) fn give(&mut self, link: usize, credit: u32) {
        self.links[link].credit = credit;
        if self.links[link].handle.is_some() {
            self.flow(Some(link));
        }
    }

    fn flow(&mut self, link: Option<usize>) {
        self.window = WINDOW;
        let mut fields = Fields::default()
            .uint(self.incoming)
            .uint(WINDOW)
            .uint(self.outgoing)
            .uint(WINDOW);
        if let Some(index) = link {
            let link = &self.links[index];
            fields = fields.uint(handle(index)).uint(link.delivered);
            fields = fields.uint(link.credit);
        }
        self.queue(&frame::frame(0x13, fields, &[]));
    }

    fn queue(&mut self, bytes: &[u8]) {
        self.write.extend_from_slice(bytes);
    }

    /// The next event. It may be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Event, AmqpError> {
        let frame = self.frame().await?;
        self.note(frame)
    }

    async fn frame(&mut self) -> Result<Frame, AmqpError> {
        loop {
            if let Some(frame) = frame::take(&mut self.read)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Sends what is queued and reads more.
    async fn fill(&mut self) -> Result<(), AmqpError> {
        loop {
            while self.write.has_remaining() {
                let written = timeout(DEADLINE, self.stream.write_buf(&mut self.write)).await;
                if written.map_err(|_| AmqpError::Late)?? == 0 {
                    return Err(io::Error::from(io::ErrorKind::WriteZero).into());
                }
                self.spoke = Instant::now();
            }
            timeout(DEADLINE, self.stream.flush())
                .await
                .map_err(|_| AmqpError::Late)??;
            self.read.reserve(READ);
            let silent = tokio::time::sleep_until(self.heard + 2 * IDLE);
            let ping = tokio::time::sleep_until(self.spoke + self.ping);
            let read = tokio::select! {
                read = self.stream.read_buf(&mut self.read) => read?,
                () = silent => return Err(AmqpError::Silent),
                () = ping => {
                    self.queue(&frame::empty());
                    continue;
                }
            };
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.heard = Instant::now();
            return Ok(());
        }
    }

    fn note(&mut self, frame: Frame) -> Result<Event, AmqpError> {
        match frame {
            Frame::Transfer(transfer) => return self.transfer(transfer),
            Frame::Attach {
                name,
                handle,
                delivered,
            } => {
                let index = self.links.iter().position(|link| link.name == name);
                let index = index.ok_or(Malformed)?;
                self.handles.insert(handle, index);
                let link = &mut self.links[index];
                link.handle = Some(handle);
                if link.receives {
                    link.delivered = delivered;
                    if link.credit > 0 {
                        self.flow(Some(index));
                    }
                }
            }
            Frame::Flow {
                handle: Some(handle),
                credit,
            } => {
                let link = self.handles.get(&handle).copied();
                let link = link.and_then(|index| self.links.get_mut(index));
                if let Some(link) = link.filter(|link| !link.receives) {
                    link.credit = credit;
                }
            }
            Frame::Detach { fault, .. } | Frame::End(fault) => {
                return Err(AmqpError::refused(fault));
            }
            _ => {}
        }
        Ok(Event::Other)
    }

    fn transfer(&mut self, transfer: Transfer) -> Result<Event, AmqpError> {
        self.incoming = self.incoming.wrapping_add(1);
        self.window = self.window.saturating_sub(1);
        if self.window < WINDOW / 2 {
            self.flow(None);
        }
        let index = *self.handles.get(&transfer.handle).ok_or(Malformed)?;
        let parts: usize = self.links.iter().map(|link| link.part.len()).sum();
        if transfer.more && parts + transfer.payload.len() > PARTS * self.largest {
            let reason = "too many messages come in parts at the same time";
            return Err(AmqpError::Refused(reason.to_owned()));
        }
        let taken = self.links[index].take(transfer, self.largest)?;
        let Some((content, delivery)) = taken else {
            return Ok(Event::Other);
        };
        if let Some(delivery) = delivery {
            let fields = Fields::default().bool(true).uint(delivery).uint(delivery);
            let fields = fields.bool(true).composite(0x24, Fields::default());
            self.queue(&frame::frame(0x15, fields, &[]));
        }
        Ok(Event::Message(index, content))
    }
}

/// The number of a link on this side.
fn handle(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
