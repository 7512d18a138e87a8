//! The basic types of the protocol. Nothing is reserved because of a number that the broker sends.

use thiserror::Error;

/// The bytes are not what the protocol says.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the answer is not one of Kafka")]
pub(crate) struct NotKafka;

/// Reads what the broker sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'b [u8], NotKafka> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(NotKafka)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], NotKafka> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(NotKafka)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, NotKafka> {
        self.array_of().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, NotKafka> {
        self.array_of().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, NotKafka> {
        self.array_of().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, NotKafka> {
        self.array_of().map(i64::from_be_bytes)
    }

    /// A text; `None` for null.
    pub(crate) fn nullable_text(&mut self) -> Result<Option<&'b str>, NotKafka> {
        let Ok(length) = usize::try_from(self.i16()?) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Some).map_err(|_| NotKafka)
    }

    pub(crate) fn text(&mut self) -> Result<&'b str, NotKafka> {
        Ok(self.nullable_text()?.unwrap_or_default())
    }

    /// Bytes; none for null.
    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], NotKafka> {
        match usize::try_from(self.i32()?) {
            Ok(length) => self.take(length),
            Err(_) => Ok(&[]),
        }
    }

    /// A list, whose items take a byte or more each.
    pub(crate) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, NotKafka>,
    ) -> Result<Vec<T>, NotKafka> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        if count > self.0.len() {
            return Err(NotKafka);
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A number whose length depends on its size.
    pub(crate) fn varint(&mut self) -> Result<i64, NotKafka> {
        varint(|| self.array_of().map(|[byte]| byte))?.ok_or(NotKafka)
    }

    /// Bytes after a [`Self::varint`] length; `None` for null.
    pub(crate) fn short_bytes(&mut self) -> Result<Option<&'b [u8]>, NotKafka> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// A number whose length depends on its size, with its sign in the last bit; `None` when it does not end.
pub(crate) fn varint<E>(mut next: impl FnMut() -> Result<u8, E>) -> Result<Option<i64>, E> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = next()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(Some(
                (value >> 1).cast_signed() ^ -(value & 1).cast_signed(),
            ));
        }
    }
    Ok(None)
}

/// Writes a request.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn i8(mut self, value: i8) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn i16(mut self, value: i16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn i64(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A text of 32 KiB at most, which is checked where it comes from.
    pub(crate) fn text(self, text: &str) -> Self {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        let mut this = self.i16(length);
        let length = usize::try_from(length).unwrap_or_default();
        this.0.extend(&text.as_bytes()[..length]);
        this
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.i32(i32::try_from(bytes.len()).expect("requests are small"))
            .raw(bytes)
    }

    /// Bytes without their length.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// A number whose length depends on its size.
    pub(crate) fn varint(mut self, value: i64) -> Self {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push((rest & 0x7F) as u8);
        self
    }

    /// Bytes after a [`Self::varint`] length, which is -1 for null.
    pub(crate) fn short_bytes(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self
                .varint(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                .raw(bytes),
            None => self.varint(-1),
        }
    }

    pub(crate) fn list<T>(
        self,
        items: impl ExactSizeIterator<Item = T>,
        write: impl FnMut(Self, T) -> Self,
    ) -> Self {
        let count = i32::try_from(items.len()).expect("requests are small");
        items.fold(self.i32(count), write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lists_and_texts_are_read_as_they_are_written() {
        let written = Writer::default()
            .i8(-1)
            .i16(2)
            .i64(i64::MIN)
            .text("topic")
            .bytes(b"abc")
            .list([1, 2].iter(), |writer, number| writer.i32(*number))
            .0;
        let mut reader = Reader::new(&written);
        assert_eq!((reader.i8(), reader.i16()), (Ok(-1), Ok(2)));
        assert_eq!(reader.i64(), Ok(i64::MIN));
        assert_eq!(reader.text(), Ok("topic"));
        assert_eq!(reader.bytes(), Ok(&b"abc"[..]));
        assert_eq!(reader.list(Reader::i32), Ok(vec![1, 2]));
        assert_eq!((reader.i8(), reader.rest()), (Err(NotKafka), &[][..]));
    }

    #[test]
    fn a_list_that_cannot_be_there_is_refused() {
        let written = Writer::default().i32(i32::MAX).0;
        assert_eq!(Reader::new(&written).list(Reader::i8), Err(NotKafka));
    }

    #[test]
    fn varints_have_signs() {
        let read = |bytes: &[u8]| Reader::new(bytes).varint();
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[1]), Ok(-1));
        assert_eq!(read(&[2]), Ok(1));
        assert_eq!(read(&[0xAC, 0x02]), Ok(150));
        assert_eq!(read(&[0x80; 11]), Err(NotKafka));
        for number in [0, -1, 1, 63, 64, -65, 150, i64::MAX, i64::MIN] {
            assert_eq!(read(&Writer::default().varint(number).0), Ok(number));
        }
    }
}
