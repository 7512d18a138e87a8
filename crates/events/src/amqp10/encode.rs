//! Values of AMQP 1.0 as they are sent.

/// Values in a row: fields of a list, or keys and values of a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    count: u32,
    bytes: Vec<u8>,
}

impl Fields {
    pub(crate) fn null(self) -> Self {
        self.raw(&[0x40])
    }

    pub(crate) fn bool(self, value: bool) -> Self {
        self.raw(&[if value { 0x41 } else { 0x42 }])
    }

    /// A number of one byte.
    pub(crate) fn ubyte(self, number: u8) -> Self {
        self.raw(&[0x50, number])
    }

    pub(crate) fn ushort(self, number: u16) -> Self {
        self.sized(0x60, &number.to_be_bytes())
    }

    pub(crate) fn uint(self, number: u32) -> Self {
        self.sized(0x70, &number.to_be_bytes())
    }

    pub(crate) fn string(self, text: &str) -> Self {
        self.variable(0xb1, text.as_bytes())
    }

    pub(crate) fn symbol(self, text: &str) -> Self {
        self.variable(0xb3, text.as_bytes())
    }

    pub(crate) fn binary(self, bytes: &[u8]) -> Self {
        self.variable(0xb0, bytes)
    }

    /// A map of what these are, as one value.
    pub(crate) fn map(self, members: Self) -> Self {
        let members = members.into_compound(0xd1);
        self.raw(&members)
    }

    /// A value with a code that says what it is.
    pub(crate) fn described(self, code: u8, value: &Self) -> Self {
        self.raw(&[&[0, 0x53, code], value.bytes.as_slice()].concat())
    }

    /// A list of what these are, with a code.
    pub(crate) fn composite(self, code: u8, fields: Self) -> Self {
        self.raw(&composite(code, fields))
    }

    /// A value with a name that says what it is.
    pub(crate) fn named(self, name: &str, value: &Self) -> Self {
        let name = Self::default().symbol(name);
        self.raw(&[&[0], name.bytes.as_slice(), value.bytes.as_slice()].concat())
    }

    /// The bytes of all of them.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn raw(mut self, value: &[u8]) -> Self {
        self.count += 1;
        self.bytes.extend_from_slice(value);
        self
    }

    fn sized(self, constructor: u8, value: &[u8]) -> Self {
        self.raw(&[&[constructor], value].concat())
    }

    fn variable(self, constructor: u8, value: &[u8]) -> Self {
        self.raw(&[&[constructor], &length(value.len())[..], value].concat())
    }

    fn into_compound(self, constructor: u8) -> Vec<u8> {
        let size = length(self.bytes.len() + 4);
        let count = self.count.to_be_bytes();
        [&[constructor], &size[..], &count, &self.bytes].concat()
    }
}

/// What is sent has far less than 4 GiB.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// A list with a code.
pub(crate) fn composite(code: u8, fields: Fields) -> Vec<u8> {
    [&[0, 0x53, code], &fields.into_compound(0xd0)[..]].concat()
}
