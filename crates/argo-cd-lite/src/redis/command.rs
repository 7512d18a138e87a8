//! The commands that Argo CD's components send.

use jiff::SignedDuration;

use super::{reply::Reply, store::Condition};

/// A command with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Negotiates the protocol; may bring a password.
    Hello {
        version: Option<u8>,
        login: Option<Login>,
    },
    Auth(Login),
    Ping(Option<Vec<u8>>),
    Echo(Vec<u8>),
    Select(i64),
    Client(ClientCommand),
    Get(Vec<u8>),
    Set(SetCommand),
    Del(Vec<Vec<u8>>),
    Exists(Vec<Vec<u8>>),
    Expire(Vec<u8>, SignedDuration),
    TimeToLive(Vec<u8>, Unit),
    Rename(Vec<u8>, Vec<u8>),
    Scan {
        pattern: Option<Vec<u8>>,
    },
    Publish(Vec<u8>, Vec<u8>),
    Subscribe(Vec<Vec<u8>>),
    Unsubscribe(Vec<Vec<u8>>),
    Quit,
}

/// Name and password.
#[derive(PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// What `CLIENT` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientCommand {
    /// Notes that have no effect: `SETNAME`, `SETINFO`.
    Note,
    /// Its number.
    Id,
}

/// `SET` with its options.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SetCommand {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) time: Option<SignedDuration>,
    pub(super) condition: Condition,
}

/// Unit of a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    fn duration(self, count: i64) -> SignedDuration {
        match self {
            Self::Seconds => SignedDuration::from_secs(count),
            Self::Milliseconds => SignedDuration::from_millis(count),
        }
    }
}

/// Longest name that an error repeats.
const SHOWN: usize = 64;

impl Command {
    /// Reads a command; the error is the answer to it. The first argument is the name.
    pub(super) fn parse(arguments: Vec<Vec<u8>>) -> Result<Self, Reply> {
        let mut arguments = arguments.into_iter();
        let name = arguments.next().unwrap_or_default();
        let word = String::from_utf8_lossy(&name).to_ascii_uppercase();
        let rest: Vec<Vec<u8>> = arguments.collect();
        let wrong_count = || {
            let name = word.to_ascii_lowercase();
            Reply::error(format!("wrong number of arguments for '{name}' command"))
        };
        let command = match word.as_str() {
            "HELLO" => return hello(rest),
            "AUTH" => login(rest).map(Self::Auth),
            "PING" => at_most_one(rest).ok().map(Self::Ping),
            "ECHO" => one(rest).map(Self::Echo),
            "SELECT" => {
                let database = one(rest).ok_or_else(wrong_count)?;
                return number(&database).map(Self::Select);
            }
            "CLIENT" => return client(&rest),
            "GET" => one(rest).map(Self::Get),
            "SET" => return set(rest).map_err(|error| error.unwrap_or_else(wrong_count)),
            "DEL" | "UNLINK" => some(rest).map(Self::Del),
            "EXISTS" => some(rest).map(Self::Exists),
            "EXPIRE" => {
                return two(rest)
                    .ok_or_else(wrong_count)
                    .and_then(expire(Unit::Seconds));
            }
            "PEXPIRE" => {
                let keyed = two(rest).ok_or_else(wrong_count);
                return keyed.and_then(expire(Unit::Milliseconds));
            }
            "TTL" => one(rest).map(|key| Self::TimeToLive(key, Unit::Seconds)),
            "PTTL" => one(rest).map(|key| Self::TimeToLive(key, Unit::Milliseconds)),
            "RENAME" => two(rest).map(|(from, to)| Self::Rename(from, to)),
            "SCAN" => return scan(rest).map_err(|error| error.unwrap_or_else(wrong_count)),
            "PUBLISH" => two(rest).map(|(channel, payload)| Self::Publish(channel, payload)),
            "SUBSCRIBE" => some(rest).map(Self::Subscribe),
            "UNSUBSCRIBE" => Some(Self::Unsubscribe(rest)),
            "QUIT" => Some(Self::Quit),
            _ => {
                let shown: String = String::from_utf8_lossy(&name).chars().take(SHOWN).collect();
                return Err(Reply::error(format!("unknown command '{shown}'")));
            }
        };
        command.ok_or_else(wrong_count)
    }
}

fn syntax() -> Reply {
    Reply::error("syntax error")
}

fn not_a_number() -> Reply {
    Reply::error("value is not an integer or out of range")
}

fn number(text: &[u8]) -> Result<i64, Reply> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(not_a_number)
}

fn one(arguments: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    <[Vec<u8>; 1]>::try_from(arguments).ok().map(|[one]| one)
}

fn two(arguments: Vec<Vec<u8>>) -> Option<(Vec<u8>, Vec<u8>)> {
    let both = <[Vec<u8>; 2]>::try_from(arguments).ok();
    both.map(|[first, second]| (first, second))
}

/// More arguments than there may be.
struct TooMany;

fn at_most_one(mut arguments: Vec<Vec<u8>>) -> Result<Option<Vec<u8>>, TooMany> {
    let first = arguments.pop();
    if arguments.is_empty() {
        Ok(first)
    } else {
        Err(TooMany)
    }
}

fn some(arguments: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    (!arguments.is_empty()).then_some(arguments)
}

fn login(mut arguments: Vec<Vec<u8>>) -> Option<Login> {
    let password = arguments.pop()?;
    let user = at_most_one(arguments)
        .ok()?
        .unwrap_or_else(|| b"default".to_vec());
    Some(Login { user, password })
}

fn hello(arguments: Vec<Vec<u8>>) -> Result<Command, Reply> {
    let mut arguments = arguments.into_iter();
    let version = match arguments.next() {
        None => None,
        Some(text) => match text.as_slice() {
            b"2" => Some(2),
            b"3" => Some(3),
            _ => {
                return Err(Reply::Error(
                    "NOPROTO unsupported protocol version".to_owned(),
                ));
            }
        },
    };
    let mut login = None;
    while let Some(option) = arguments.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"AUTH" => {
                let (user, password) = arguments.next().zip(arguments.next()).ok_or_else(syntax)?;
                login = Some(Login { user, password });
            }
            b"SETNAME" => drop(arguments.next().ok_or_else(syntax)?),
            _ => return Err(syntax()),
        }
    }
    Ok(Command::Hello { version, login })
}

fn client(arguments: &[Vec<u8>]) -> Result<Command, Reply> {
    let word = arguments.first().map(|word| word.to_ascii_uppercase());
    match word.as_deref() {
        Some(b"SETNAME" | b"SETINFO") => Ok(Command::Client(ClientCommand::Note)),
        Some(b"ID") => Ok(Command::Client(ClientCommand::Id)),
        _ => Err(Reply::error("unknown subcommand of 'client'")),
    }
}

/// An error of `None` is a wrong number of arguments.
fn set(arguments: Vec<Vec<u8>>) -> Result<Command, Option<Reply>> {
    let mut arguments = arguments.into_iter();
    let (key, value) = arguments.next().zip(arguments.next()).ok_or(None)?;
    let mut set = SetCommand {
        key,
        value,
        time: None,
        condition: Condition::Always,
    };
    while let Some(option) = arguments.next() {
        let unit = match option.to_ascii_uppercase().as_slice() {
            b"EX" => Unit::Seconds,
            b"PX" => Unit::Milliseconds,
            b"NX" if set.condition == Condition::Always => {
                set.condition = Condition::Absent;
                continue;
            }
            b"XX" if set.condition == Condition::Always => {
                set.condition = Condition::Present;
                continue;
            }
            _ => return Err(Some(syntax())),
        };
        let count = number(&arguments.next().ok_or_else(syntax)?)?;
        if count <= 0 || set.time.is_some() {
            return Err(Some(Reply::error("invalid expire time in 'set' command")));
        }
        set.time = Some(unit.duration(count));
    }
    Ok(Command::Set(set))
}

fn expire(unit: Unit) -> impl Fn((Vec<u8>, Vec<u8>)) -> Result<Command, Reply> {
    move |(key, count)| Ok(Command::Expire(key, unit.duration(number(&count)?)))
}

/// An error of `None` is a wrong number of arguments.
fn scan(arguments: Vec<Vec<u8>>) -> Result<Command, Option<Reply>> {
    let mut arguments = arguments.into_iter();
    number(&arguments.next().ok_or(None)?).map_err(|_| Reply::error("invalid cursor"))?;
    let mut pattern = None;
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(syntax)?;
        match option.to_ascii_uppercase().as_slice() {
            b"MATCH" => pattern = Some(value),
            // All keys come at once, whatever the count.
            b"COUNT" => drop(number(&value)?),
            b"TYPE" if value.eq_ignore_ascii_case(b"string") => {}
            _ => return Err(Some(syntax())),
        }
    }
    Ok(Command::Scan { pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, Reply> {
        Command::parse(
            line.split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect(),
        )
    }

    #[test]
    fn options_of_set() {
        let set = |line: &str| match parse(line) {
            Ok(Command::Set(set)) => (set.time.map(|time| time.as_millis()), set.condition),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(set("SET k v"), (None, Condition::Always));
        assert_eq!(set("set k v ex 10 nx"), (Some(10_000), Condition::Absent));
        assert_eq!(set("SET k v XX PX 5"), (Some(5), Condition::Present));
        for line in [
            "SET k",
            "SET k v EX",
            "SET k v EX 0",
            "SET k v EX a",
            "SET k v NX XX",
            "SET k v GET",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn hello_may_bring_a_password() {
        let hello = parse("HELLO 3 AUTH default pw SETNAME a").expect("a command");
        let login = Login {
            user: b"default".to_vec(),
            password: b"pw".to_vec(),
        };
        let expected = Command::Hello {
            version: Some(3),
            login: Some(login),
        };
        assert_eq!(hello, expected);
        assert!(!format!("{hello:?}").contains("pw"));
        for line in ["HELLO 4", "HELLO 3 AUTH a", "HELLO 3 X"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn unknown_commands_and_wrong_counts_are_errors() {
        for line in [
            "FLUSHALL",
            "CONFIG GET *",
            "GET",
            "GET a b",
            "DEL",
            "PING a b",
            "EXPIRE a",
            "EXPIRE a b",
            "SCAN",
            "SCAN x",
            "SCAN 0 MATCH",
            "PUBLISH a",
            "CLIENT",
            "CLIENT KILL",
            "SELECT",
            "SELECT a",
            "AUTH",
            "AUTH a b c",
        ] {
            assert!(matches!(parse(line), Err(Reply::Error(_))), "{line}");
        }
        assert_eq!(
            Command::parse(vec![vec![0xff; 9999]]).expect_err("unknown"),
            Reply::error(format!("unknown command '{}'", "\u{fffd}".repeat(SHOWN)))
        );
    }
}
