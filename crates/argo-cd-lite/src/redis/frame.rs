//! Requests as clients send them: arrays of bulk strings, or a line of words. Nothing is allocated for what a length
//! only promises.

use thiserror::Error;

/// Longest line: a length, or a request that is written as words.
const MAX_LINE: usize = 4096;

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLimits {
    /// Arguments, with the name of the command.
    pub(super) arguments: usize,
    /// Bytes of all arguments together.
    pub(super) bytes: usize,
}

/// Bytes that are no request. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum FrameError {
    /// The count of arguments is no number, or too large.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// The length of an argument is no number, or too large.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// An argument does not begin with `$`.
    #[error("Protocol error: expected '$'")]
    Type,
    /// An argument does not end where its length says.
    #[error("Protocol error: expected a line end after an argument")]
    End,
    /// A line that does not end.
    #[error("Protocol error: too big inline request")]
    Line,
}

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The arguments; none for an empty line.
    pub(super) arguments: Vec<Vec<u8>>,
    /// Bytes of the input that it took.
    pub(super) used: usize,
}

/// The first request of `input`; `None` while it is not complete.
pub(super) fn parse(input: &[u8], limits: FrameLimits) -> Result<Option<Frame>, FrameError> {
    match input.first() {
        None => Ok(None),
        Some(b'*') => parse_array(input, limits),
        Some(_) => parse_words(input, limits),
    }
}

fn parse_array(input: &[u8], limits: FrameLimits) -> Result<Option<Frame>, FrameError> {
    let Some((count, mut used)) = number(input, FrameError::Count)? else {
        return Ok(None);
    };
    // A client may send an empty or null array; both are no request.
    let count = usize::try_from(count).unwrap_or(0);
    if count > limits.arguments {
        return Err(FrameError::Count);
    }
    let mut arguments = Vec::new();
    let mut room = limits.bytes;
    for _ in 0..count {
        let rest = &input[used..];
        match rest.first() {
            None => return Ok(None),
            Some(b'$') => {}
            Some(_) => return Err(FrameError::Type),
        }
        let Some((length, header)) = number(rest, FrameError::Length)? else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| FrameError::Length)?;
        room = room.checked_sub(length).ok_or(FrameError::Length)?;
        let end = header + length;
        let Some(argument) = rest.get(header..end) else {
            return Ok(None);
        };
        match rest.get(end..end + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(_) => return Err(FrameError::End),
        }
        arguments.push(argument.to_vec());
        used += end + 2;
    }
    Ok(Some(Frame { arguments, used }))
}

fn parse_words(input: &[u8], limits: FrameLimits) -> Result<Option<Frame>, FrameError> {
    let Some((line, used)) = line(input)? else {
        return Ok(None);
    };
    let words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let arguments: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
    if arguments.len() > limits.arguments {
        return Err(FrameError::Count);
    }
    Ok(Some(Frame { arguments, used }))
}

/// The number after the type byte of a line, and the bytes of the line with its end.
fn number(input: &[u8], error: FrameError) -> Result<Option<(i64, usize)>, FrameError> {
    let Some((line, used)) = line(input).map_err(|_| error)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&line[1..]).map_err(|_| error)?;
    let number = text.parse().map_err(|_| error)?;
    Ok(Some((number, used)))
}

/// The first line without its end, and its bytes with the end.
fn line(input: &[u8]) -> Result<Option<(&[u8], usize)>, FrameError> {
    let within = &input[..input.len().min(MAX_LINE)];
    match within.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = &input[..end];
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
        }
        None if within.len() == MAX_LINE => Err(FrameError::Line),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        arguments: 4,
        bytes: 64,
    };

    fn words(input: &[u8]) -> Result<Option<(Vec<String>, usize)>, FrameError> {
        Ok(parse(input, LIMITS)?.map(|frame| {
            let texts = frame.arguments.iter();
            let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
            (texts.collect(), frame.used)
        }))
    }

    #[test]
    fn requests_are_arrays_or_words() {
        let get = b"*2\r\n$3\r\nGET\r\n$3\r\na b\r\nrest";
        let expected = Some((vec!["GET".into(), "a b".into()], get.len() - 4));
        assert_eq!(words(get), Ok(expected));
        assert_eq!(words(b"PING\r\n"), Ok(Some((vec!["PING".into()], 6))));
        assert_eq!(words(b"\r\n"), Ok(Some((vec![], 2))));
        assert_eq!(words(b"*0\r\n"), Ok(Some((vec![], 4))));
        for end in 1..get.len() - 4 {
            assert_eq!(words(&get[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_is_malformed_or_too_large_is_refused_before_it_has_arrived() {
        let cases: [(&[u8], FrameError); 8] = [
            (b"*x\r\n", FrameError::Count),
            (b"*5\r\n", FrameError::Count),
            (b"*99999999999999999999\r\n", FrameError::Count),
            (b"*1\r\n:3\r\n", FrameError::Type),
            (b"*1\r\n$-1\r\n", FrameError::Length),
            (b"*1\r\n$65\r\n", FrameError::Length),
            (
                b"*2\r\n$40\r\n0123456789012345678901234567890123456789\r\n$40\r\n",
                FrameError::Length,
            ),
            (b"*1\r\n$1\r\nab\r\n", FrameError::End),
        ];
        for (input, error) in cases {
            assert_eq!(parse(input, LIMITS), Err(error), "{}", input.escape_ascii());
        }
        assert_eq!(parse(&[b'a'; MAX_LINE], LIMITS), Err(FrameError::Line));
        assert_eq!(parse(b"a b c d e\r\n", LIMITS), Err(FrameError::Count));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some(frame)) = parse(&input, LIMITS) {
                prop_assert!(frame.used > 0 && frame.used <= input.len());
            }
        }
    }
}
