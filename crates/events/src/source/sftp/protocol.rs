//! Version 3 of the SFTP protocol, as far as listing a directory needs it.
//!
//! <https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02>

use std::{io, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// The version that is spoken.
const VERSION: u32 = 3;
/// An answer comes within this time.
const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a packet; what OpenSSH sends at most.
const LARGEST: usize = 256 << 10;
/// Bytes of a handle, by the protocol.
const LONGEST_HANDLE: usize = 256;
/// Bytes of the name of a file: more than file systems have.
const LONGEST_NAME: usize = 1024;
/// Entries of a directory, wanted or not. They are read in pieces, and only the wanted ones are held.
const MOST_ENTRIES: usize = 200_000;

/// Types of packets.
const INIT: u8 = 1;
const VERSION_REPLY: u8 = 2;
const CLOSE: u8 = 4;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const NAME: u8 = 104;

/// Codes of a status.
const OK: u32 = 0;
const END: u32 = 1;

/// Parts of the attributes of a file.
const HAS_SIZE: u32 = 1;
const HAS_OWNER: u32 = 2;
const HAS_MODE: u32 = 4;
const HAS_TIMES: u32 = 8;
const HAS_MORE: u32 = 1 << 31;

/// The bits of a mode that say what a file is, and those of a directory.
const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;

/// The session does not work.
#[derive(Debug, Error)]
pub enum SftpError {
    /// It is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// This is no SFTP.
    #[error("the answer is not that of an SFTP server")]
    Protocol,
    /// The server speaks an older version only.
    #[error("the server speaks version {0} of SFTP; version 3 is needed")]
    Version(u32),
    /// Nothing comes in.
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Silent,
    /// The server refuses a request.
    #[error("{}{}", meaning(*.code), said(.text))]
    Refused {
        /// Code of the status.
        code: u32,
        /// What the server says.
        text: String,
    },
    /// There are more files than are compared.
    #[error("the directory has more than {0} {1}")]
    Many(usize, &'static str),
}

fn meaning(code: u32) -> String {
    match code {
        2 => "no such directory".to_owned(),
        3 => "permission denied".to_owned(),
        code => format!("refused with status {code}"),
    }
}

fn said(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!(" ({text})")
}

/// An entry of a directory.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'p> {
    name: &'p [u8],
    size: u64,
    /// Seconds of Unix time.
    modified: u32,
    directory: bool,
}

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
enum Reply<'p> {
    Version(u32),
    Status { id: u32, code: u32, text: &'p [u8] },
    Handle { id: u32, handle: &'p [u8] },
    Names { id: u32, entries: Vec<Entry<'p>> },
}

/// The fields of a packet that are still to be read.
struct Fields<'p>(&'p [u8]);

impl<'p> Fields<'p> {
    fn take(&mut self, count: usize) -> Result<&'p [u8], SftpError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SftpError::Protocol)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SftpError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| SftpError::Protocol)
    }

    fn byte(&mut self) -> Result<u8, SftpError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn number(&mut self) -> Result<u32, SftpError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<&'p [u8], SftpError> {
        let count = self.number()?;
        self.take(usize::try_from(count).map_err(|_| SftpError::Protocol)?)
    }

    /// A name with its attributes.
    fn entry(&mut self) -> Result<Entry<'p>, SftpError> {
        let name = self.bytes()?;
        // As `ls -l` shows it.
        self.bytes()?;
        let has = self.number()?;
        let mut entry = Entry {
            name,
            size: 0,
            modified: 0,
            directory: false,
        };
        if has & HAS_SIZE != 0 {
            entry.size = u64::from_be_bytes(self.array()?);
        }
        if has & HAS_OWNER != 0 {
            self.take(8)?;
        }
        if has & HAS_MODE != 0 {
            entry.directory = self.number()? & KIND == DIRECTORY;
        }
        if has & HAS_TIMES != 0 {
            self.take(4)?;
            entry.modified = self.number()?;
        }
        if has & HAS_MORE != 0 {
            for _ in 0..self.number()? {
                self.bytes()?;
                self.bytes()?;
            }
        }
        Ok(entry)
    }
}

/// Reads a packet without its length.
fn reply(packet: &[u8]) -> Result<Reply<'_>, SftpError> {
    let mut fields = Fields(packet);
    let (kind, id) = (fields.byte()?, fields.number()?);
    match kind {
        VERSION_REPLY => Ok(Reply::Version(id)),
        STATUS => Ok(Reply::Status {
            id,
            code: fields.number()?,
            // Old servers leave it out.
            text: fields.bytes().unwrap_or_default(),
        }),
        HANDLE => {
            let handle = fields.bytes()?;
            if handle.len() > LONGEST_HANDLE {
                return Err(SftpError::Protocol);
            }
            Ok(Reply::Handle { id, handle })
        }
        NAME => {
            // No room is made for a number that the packet only claims.
            let count = fields.number()?;
            let mut entries = Vec::new();
            for _ in 0..count {
                entries.push(fields.entry()?);
            }
            Ok(Reply::Names { id, entries })
        }
        _ => Err(SftpError::Protocol),
    }
}

/// The number of names in a packet of a server, without its length; 0 when it is another packet.
pub fn read_reply(packet: &[u8]) -> Result<usize, SftpError> {
    match reply(packet)? {
        Reply::Names { entries, .. } => Ok(entries.len()),
        _ => Ok(0),
    }
}

/// A file of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Bytes.
    pub(super) size: u64,
    /// Seconds of Unix time.
    pub(super) modified: u32,
}

/// A session.
pub(super) struct Sftp<S> {
    stream: S,
    /// Id of the last request.
    id: u32,
    packet: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sftp<S> {
    /// Begins a session.
    pub(super) async fn start(stream: S) -> Result<Self, SftpError> {
        let mut session = Self {
            stream,
            id: 0,
            packet: Vec::new(),
        };
        session.send(INIT, VERSION, &[]).await?;
        match session.receive().await? {
            Reply::Version(version) if version >= VERSION => Ok(session),
            Reply::Version(version) => Err(SftpError::Version(version)),
            _ => Err(SftpError::Protocol),
        }
    }

    /// Files of a directory for which `wanted` holds, given to `each`, which says whether it takes more.
    pub(super) async fn list(
        &mut self,
        directory: &str,
        mut each: impl FnMut(String, Found) -> Result<(), SftpError>,
    ) -> Result<(), SftpError> {
        let handle = match self.ask(OPENDIR, directory.as_bytes()).await? {
            Reply::Handle { handle, .. } => handle.to_vec(),
            Reply::Status { code, text, .. } => return Err(refused(code, text)),
            _ => return Err(SftpError::Protocol),
        };
        let mut seen = 0;
        loop {
            let entries = match self.ask(READDIR, &handle).await? {
                // An empty answer that is no end could be given for ever.
                Reply::Names { entries, .. } if !entries.is_empty() => entries,
                Reply::Status { code: END, .. } => break,
                Reply::Status { code, text, .. } => return Err(refused(code, text)),
                _ => return Err(SftpError::Protocol),
            };
            seen += entries.len();
            if seen > MOST_ENTRIES {
                return Err(SftpError::Many(MOST_ENTRIES, "entries"));
            }
            for entry in entries.iter().filter(|entry| !entry.directory) {
                if entry.name.len() > LONGEST_NAME || entry.name.contains(&b'/') {
                    return Err(SftpError::Protocol);
                }
                let found = Found {
                    size: entry.size,
                    modified: entry.modified,
                };
                each(String::from_utf8_lossy(entry.name).into_owned(), found)?;
            }
        }
        match self.ask(CLOSE, &handle).await? {
            Reply::Status { code: OK, .. } => Ok(()),
            Reply::Status { code, text, .. } => Err(refused(code, text)),
            _ => Err(SftpError::Protocol),
        }
    }

    /// Sends a request about a path or handle; the answer to it.
    async fn ask(&mut self, kind: u8, about: &[u8]) -> Result<Reply<'_>, SftpError> {
        self.id = self.id.wrapping_add(1);
        let asked = self.id;
        self.send(kind, asked, about).await?;
        let reply = self.receive().await?;
        match &reply {
            Reply::Status { id, .. } | Reply::Handle { id, .. } | Reply::Names { id, .. }
                if *id == asked =>
            {
                Ok(reply)
            }
            _ => Err(SftpError::Protocol),
        }
    }

    async fn send(&mut self, kind: u8, number: u32, about: &[u8]) -> Result<(), SftpError> {
        let mut packet = vec![0; 4];
        packet.push(kind);
        packet.extend_from_slice(&number.to_be_bytes());
        if kind != INIT {
            packet.extend_from_slice(&length(about.len())?);
            packet.extend_from_slice(about);
        }
        let size = length(packet.len() - 4)?;
        packet[..4].copy_from_slice(&size);
        let write = async {
            self.stream.write_all(&packet).await?;
            self.stream.flush().await
        };
        let written = timeout(DEADLINE, write).await;
        Ok(written.map_err(|_| SftpError::Silent)??)
    }

    async fn receive(&mut self) -> Result<Reply<'_>, SftpError> {
        let read = async {
            let size = self.stream.read_u32().await?;
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size == 0 || size > LARGEST {
                return Err(SftpError::Protocol);
            }
            self.packet.resize(size, 0);
            self.stream.read_exact(&mut self.packet).await?;
            Ok(())
        };
        timeout(DEADLINE, read)
            .await
            .map_err(|_| SftpError::Silent)??;
        reply(&self.packet)
    }
}

fn length(bytes: usize) -> Result<[u8; 4], SftpError> {
    let length = u32::try_from(bytes).map_err(|_| SftpError::Protocol)?;
    Ok(length.to_be_bytes())
}

fn refused(code: u32, text: &[u8]) -> SftpError {
    let text = text.get(..256).unwrap_or(text);
    SftpError::Refused {
        code,
        text: String::from_utf8_lossy(text).trim().to_owned(),
    }
}
