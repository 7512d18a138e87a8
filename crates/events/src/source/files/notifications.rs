//! Notifications of the kernel about a folder.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use tokio::io::{Interest, unix::AsyncFd};

use super::{Op, listing::Change};

/// Bytes of notifications that are read at once.
const READ: usize = 16 << 10;

/// A folder whose changes the kernel tells.
pub(super) struct Notifications(AsyncFd<OwnedFd>);

/// What the kernel tells.
pub(super) enum Notice {
    Changed(Change),
    /// The kernel has dropped notifications.
    Overflow,
    /// The folder is gone, or is somewhere else.
    Gone,
}

impl Notifications {
    /// Watches a folder that is open.
    #[expect(
        deprecated,
        reason = "it is for types that may give up their descriptor; an owned one does not, and the other function is unsafe"
    )]
    pub(super) fn of(folder: &OwnedFd) -> io::Result<Self> {
        let queue = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let wanted = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // The folder that is open, whatever its path leads to now.
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        add_watch(&queue, path, wanted)?;
        AsyncFd::with_interest(queue, Interest::READABLE).map(Self)
    }

    /// The next notifications.
    pub(super) async fn next(&self) -> io::Result<Vec<Notice>> {
        let mut buffer = vec![MaybeUninit::uninit(); READ];
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(notices) = ready.try_io(|queue| read(queue.get_ref(), &mut buffer)) {
                return notices;
            }
        }
    }
}

fn read(queue: &OwnedFd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<Vec<Notice>> {
    let mut reader = Reader::new(queue, buffer);
    let mut notices = Vec::new();
    loop {
        let event = reader.next()?;
        let name = event.file_name().map(|name| name.to_string_lossy());
        notices.extend(notice(event.events(), name.as_deref()));
        if reader.is_buffer_empty() {
            return Ok(notices);
        }
    }
}

/// What a notification means; upstream has the same names for them.
fn notice(flags: ReadFlags, name: Option<&str>) -> Option<Notice> {
    const OPS: [(ReadFlags, Op); 6] = [
        (ReadFlags::CREATE, Op::Create),
        (ReadFlags::MOVED_TO, Op::Create),
        (ReadFlags::MODIFY, Op::Write),
        (ReadFlags::DELETE, Op::Remove),
        (ReadFlags::MOVED_FROM, Op::Rename),
        (ReadFlags::ATTRIB, Op::Chmod),
    ];
    const GONE: ReadFlags = ReadFlags::DELETE_SELF
        .union(ReadFlags::MOVE_SELF)
        .union(ReadFlags::IGNORED)
        .union(ReadFlags::UNMOUNT);
    if flags.intersects(GONE) {
        return Some(Notice::Gone);
    }
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Notice::Overflow);
    }
    let (_, op) = OPS.iter().find(|(flag, _)| flags.contains(*flag))?;
    let name = name?.to_owned();
    Some(Notice::Changed(Change { op: *op, name }))
}
