//! Wire: AMQP's elementary types, read from bytes and appended to bytes.
//!
//! All numbers are big-endian. A *short string* has an octet of length and is UTF-8; a *long string* has four octets of
//! length and is opaque. Readers borrow from their input and never allocate, and check everything, so any input of a
//! peer yields a value or [`Malformed`].

use std::fmt;

/// Invalid bytes; `Display` says what was expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub(crate) &'static str);

/// As short as can be, as the artifacts contain it, too.
impl fmt::Debug for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// The rest of some bytes to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed("a field ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("a field ends too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn octet(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn short(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn longlong(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline(never)]
    pub(crate) fn short_string(&mut self) -> Result<&'a str, Malformed> {
        let length = self.octet()?;
        let bytes = self.bytes(length.into())?;
        std::str::from_utf8(bytes).map_err(|_| Malformed("a short string is not UTF-8"))
    }

    /// Tables and arrays have the same outer format.
    #[inline(never)]
    pub(crate) fn long_string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.long()?;
        self.bytes(length as usize)
    }
}

/// Appends a short string; fails if it is over 255 bytes.
pub(crate) fn put_short_string(out: &mut Vec<u8>, text: &str) -> Result<(), Malformed> {
    let length = u8::try_from(text.len()).map_err(|_| Malformed("a short string is longer than 255 bytes"))?;
    out.push(length);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Appends a short string, cut to 255 bytes between two characters: for texts and names whose length nothing has
/// checked.
pub(crate) fn put_name(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len().min(255);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    out.push(length as u8);
    out.extend_from_slice(&text.as_bytes()[..length]);
}

/// Appends a long string of bytes that fit into memory, and so into its four octets of length.
pub(crate) fn put_long_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends four octets of length, then what `put` appends.
pub(crate) fn put_sized(
    out: &mut Vec<u8>,
    put: impl FnOnce(&mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out)?;
    let length = u32::try_from(out.len() - start - 4).map_err(|_| Malformed("a field is longer than 4 GiB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_put() {
        let mut bytes = Vec::new();
        put_short_string(&mut bytes, "grüße").unwrap();
        put_sized(&mut bytes, |out| put_short_string(out, "inside")).unwrap();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.short_string(), Ok("grüße"));
        assert_eq!(reader.long_string(), Ok(&b"\x06inside"[..]));
        assert!(reader.is_empty());
    }

    #[test]
    fn refuses_what_is_cut_too_long_or_not_text() {
        assert!(Reader::new(&[5, b'a']).short_string().is_err());
        assert!(Reader::new(&[1, 0xff]).short_string().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).long_string().is_err());
        assert!(Reader::new(&[0; 7]).longlong().is_err());
        assert!(put_short_string(&mut Vec::new(), &"x".repeat(256)).is_err());
    }
}
