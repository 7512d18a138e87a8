//! Values of AMQP 1.0 as they come in. Compound values are read item by item and skipped by their size, so nothing here
//! calls itself, however deep a server nests them.

use thiserror::Error;

/// Bytes that are no AMQP 1.0.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the answer is not that of a server of AMQP 1.0")]
pub struct Malformed;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'b> {
    Null,
    Bool(bool),
    /// Any integer without a sign.
    Unsigned(u64),
    /// Any integer with a sign, and times in milliseconds.
    Signed(i64),
    /// A string or a symbol.
    Text(&'b str),
    Binary(&'b [u8]),
    Uuid(&'b [u8]),
    /// Values, or keys and values in turn.
    List(Items<'b>),
    /// A code, 0 for one that is a symbol, and the value that it describes.
    Described(u64, Reader<'b>),
    /// One that nothing here needs.
    Other,
}

impl<'b> Value<'b> {
    pub(crate) fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    pub(crate) fn signed(self) -> Option<i64> {
        match self {
            Self::Signed(number) => Some(number),
            Self::Unsigned(number) => i64::try_from(number).ok(),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> Option<&'b str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_true(self) -> bool {
        self == Self::Bool(true)
    }
}

/// The constructor of a described value.
const DESCRIBED: u8 = 0;

/// Reads values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed)
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64, Malformed> {
        let taken = self.take(bytes)?;
        Ok(taken
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    fn signed(&mut self, bytes: usize) -> Result<i64, Malformed> {
        let unused = 64 - 8 * u32::try_from(bytes).unwrap_or(8);
        Ok((self.unsigned(bytes)? << unused).cast_signed() >> unused)
    }

    /// A number of bytes or items.
    fn size(&mut self, bytes: usize) -> Result<usize, Malformed> {
        usize::try_from(self.unsigned(bytes)?).map_err(|_| Malformed)
    }

    fn sized(&mut self, bytes: usize) -> Result<&'b [u8], Malformed> {
        let size = self.size(bytes)?;
        self.take(size)
    }

    fn text(&mut self, bytes: usize) -> Result<Value<'b>, Malformed> {
        let text = self.sized(bytes)?;
        std::str::from_utf8(text)
            .map(Value::Text)
            .map_err(|_| Malformed)
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value.
    pub(crate) fn value(&mut self) -> Result<Value<'b>, Malformed> {
        let constructor = self.byte()?;
        if constructor != DESCRIBED {
            return self.value_of(constructor);
        }
        let descriptor = self.byte()?;
        let code = match self.value_of(descriptor)? {
            Value::Unsigned(code) => code,
            Value::Text(_) => 0,
            _ => return Err(Malformed),
        };
        let mut rest = *self;
        self.skip()?;
        let used = rest.0.len() - self.0.len();
        rest.0 = &rest.0[..used];
        Ok(Value::Described(code, rest))
    }

    /// Passes the next value, whatever is in it.
    fn skip(&mut self) -> Result<(), Malformed> {
        let mut values = 1_usize;
        while values > 0 {
            values -= 1;
            match self.byte()? {
                DESCRIBED => values += 2,
                constructor => self.skip_of(constructor)?,
            }
        }
        Ok(())
    }

    fn skip_of(&mut self, constructor: u8) -> Result<(), Malformed> {
        match constructor >> 4 {
            0x4 => Ok(()),
            width @ 0x5..=0x9 => self.take(1 << (width - 5)).map(|_| ()),
            0xa | 0xc | 0xe => self.sized(1).map(|_| ()),
            0xb | 0xd | 0xf => self.sized(4).map(|_| ()),
            _ => Err(Malformed),
        }
    }

    fn value_of(&mut self, constructor: u8) -> Result<Value<'b>, Malformed> {
        Ok(match constructor {
            0x40 => Value::Null,
            0x41 => Value::Bool(true),
            0x42 => Value::Bool(false),
            0x43 | 0x44 => Value::Unsigned(0),
            0x45 => Value::List(Items::default()),
            0x50 | 0x52 | 0x53 => Value::Unsigned(self.unsigned(1)?),
            0x51 | 0x54 | 0x55 => Value::Signed(self.signed(1)?),
            0x56 => Value::Bool(self.byte()? != 0),
            0x60 => Value::Unsigned(self.unsigned(2)?),
            0x61 => Value::Signed(self.signed(2)?),
            0x70 => Value::Unsigned(self.unsigned(4)?),
            0x71 => Value::Signed(self.signed(4)?),
            0x80 => Value::Unsigned(self.unsigned(8)?),
            0x81 | 0x83 => Value::Signed(self.signed(8)?),
            0x98 => Value::Uuid(self.take(16)?),
            0xa0 => Value::Binary(self.sized(1)?),
            0xb0 => Value::Binary(self.sized(4)?),
            0xa1 | 0xa3 => self.text(1)?,
            0xb1 | 0xb3 => self.text(4)?,
            0xc0 | 0xc1 => Value::List(Items::of(self.sized(1)?, 1, false)?),
            0xd0 | 0xd1 => Value::List(Items::of(self.sized(4)?, 4, false)?),
            0xe0 => Value::List(Items::of(self.sized(1)?, 1, true)?),
            0xf0 => Value::List(Items::of(self.sized(4)?, 4, true)?),
            constructor => {
                self.skip_of(constructor)?;
                Value::Other
            }
        })
    }
}

/// Items of a list, a map or an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Items<'b> {
    left: usize,
    reader: Reader<'b>,
    /// That of all items of an array.
    constructor: Option<u8>,
}

impl Default for Items<'_> {
    fn default() -> Self {
        Self {
            left: 0,
            reader: Reader(&[]),
            constructor: None,
        }
    }
}

impl<'b> Items<'b> {
    fn of(bytes: &'b [u8], width: usize, array: bool) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let left = reader.size(width)?;
        let constructor = (array && left > 0).then(|| reader.byte()).transpose()?;
        // Items that take no bytes would be as many as a server says.
        let nothing = constructor.is_some_and(|constructor| constructor >> 4 == 4);
        if left > bytes.len() || nothing || constructor == Some(DESCRIBED) {
            return Err(Malformed);
        }
        Ok(Self {
            left,
            reader,
            constructor,
        })
    }

    /// The next item, null where there are no more, as fields at the end may be left out.
    pub(crate) fn field(&mut self) -> Result<Value<'b>, Malformed> {
        Ok(self.next().transpose()?.unwrap_or(Value::Null))
    }

    /// The value of a key of a map, null where it is absent.
    pub(crate) fn member(mut self, key: &str) -> Result<Value<'b>, Malformed> {
        while let Some(found) = self.next() {
            let value = self.field()?;
            if found? == Value::Text(key) {
                return Ok(value);
            }
        }
        Ok(Value::Null)
    }
}

#[expect(
    clippy::copy_iterator,
    reason = "a value that holds items is read again from its beginning"
)]
impl<'b> Iterator for Items<'b> {
    type Item = Result<Value<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(match self.constructor {
            Some(constructor) => self.reader.value_of(constructor),
            None => self.reader.value(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
        Reader(bytes).value()
    }

    #[test]
    fn values_are_read_in_all_their_widths() {
        for (bytes, expected) in [
            (&[0x40][..], Value::Null),
            (&[0x56, 1], Value::Bool(true)),
            (&[0x43], Value::Unsigned(0)),
            (&[0x53, 200], Value::Unsigned(200)),
            (&[0x70, 0, 0, 1, 0], Value::Unsigned(256)),
            (&[0x55, 0xff], Value::Signed(-1)),
            (&[0x71, 0xff, 0xff, 0xff, 0xfe], Value::Signed(-2)),
            (&[0x83, 0, 0, 0, 0, 0, 0, 1, 0], Value::Signed(256)),
            (&[0xa1, 2, b'h', b'i'], Value::Text("hi")),
            (&[0xb3, 0, 0, 0, 1, b's'], Value::Text("s")),
            (&[0xa0, 1, 9], Value::Binary(&[9])),
            (&[0x72, 0, 0, 0, 0], Value::Other),
        ] {
            assert_eq!(value(bytes), Ok(expected));
        }
        let Ok(Value::List(list)) = value(&[0xc0, 4, 2, 0x41, 0x52, 7]) else {
            unreachable!("a list");
        };
        let items: Vec<_> = list.collect();
        assert_eq!(items, [Ok(Value::Bool(true)), Ok(Value::Unsigned(7))]);
        let Ok(Value::List(array)) = value(&[0xe0, 6, 2, 0xa1, 1, b'0', 1, b'1']) else {
            unreachable!("an array");
        };
        let items: Vec<_> = array.collect();
        assert_eq!(items, [Ok(Value::Text("0")), Ok(Value::Text("1"))]);
        let Ok(Value::List(map)) = value(&[0xc1, 6, 2, 0xa3, 1, b'k', 0x55, 5]) else {
            unreachable!("a map");
        };
        assert_eq!(map.member("k"), Ok(Value::Signed(5)));
        assert_eq!(map.member("other"), Ok(Value::Null));
    }

    #[test]
    fn what_is_nested_however_deep_is_passed_and_what_is_cut_is_refused() {
        // A described value whose value is described, and so on.
        let mut deep = [0, 0x53, 1].repeat(300_000);
        deep.push(0x40);
        let Ok(Value::Described(1, inner)) = value(&deep) else {
            unreachable!("a described value");
        };
        assert_eq!(inner.0.len(), deep.len() - 3);
        for bytes in [
            &[][..],
            &[0xa1, 2, b'h'],
            &[0xa1, 1, 0xff],
            &[0xc0, 9, 1],
            &[0xd0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            // Nothing, four thousand million times.
            &[0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40],
            &[0, 0x40, 0x40],
            &[0x10],
            &[0, 0x53, 1],
        ] {
            assert_eq!(value(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
