//! Properties: a message's properties (content type, headers, reply-to ...), kept as bytes and read when needed.
//!
//! ```text
//! octets   2      in the order of their flags, only those whose flag is set
//!        +-------+--------------+------------------+---------+---------------+-----+------------+
//!        | flags | content type | content encoding | headers | delivery mode | ... | cluster id |
//!        +-------+--------------+------------------+---------+---------------+-----+------------+
//! flag             15             14                 13        12                    2
//! ```
//! Most messages pass through a broker without any of this being read, so the bytes stay as they are, and each access
//! searches them anew.

use std::borrow::Cow;

use crate::table::{self, Table, Value};
use crate::wire::{Malformed, Reader, put_short_string, put_sized};

/// A property, by the index of its flag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Property {
    ContentType = 15,
    ContentEncoding = 14,
    Headers = 13,
    DeliveryMode = 12,
    Priority = 11,
    CorrelationId = 10,
    ReplyTo = 9,
    Expiration = 8,
    MessageId = 7,
    Timestamp = 6,
    Kind = 5,
    UserId = 4,
    AppId = 3,
    ClusterId = 2,
}

use Property::*;

/// In the order of their bytes.
const ALL: [Property; 14] = [
    ContentType,
    ContentEncoding,
    Headers,
    DeliveryMode,
    Priority,
    CorrelationId,
    ReplyTo,
    Expiration,
    MessageId,
    Timestamp,
    Kind,
    UserId,
    AppId,
    ClusterId,
];

impl Property {
    const fn flag(self) -> u16 {
        1 << self as u16
    }

    fn skip(self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        match self {
            Headers => reader.long_string().map(drop),
            DeliveryMode | Priority => reader.octet().map(drop),
            Timestamp => reader.longlong().map(drop),
            _ => {
                let length = reader.octet()?;
                reader.bytes(length.into()).map(drop)
            }
        }
    }
}

/// Returns the properties that have these flags, in the order of their bytes.
fn present(mut flags: u16) -> impl Iterator<Item = Property> {
    std::iter::from_fn(move || {
        let property = *ALL.get(flags.leading_zeros() as usize)?;
        flags &= !property.flag();
        Some(property)
    })
}

/// Appends a property, if it is present, and returns whether it is.
type Put<'a> = dyn FnMut(Property, &mut Vec<u8>) -> Result<bool, Malformed> + 'a;

/// The two lowest bits, which belong to no property.
const UNKNOWN_FLAGS: u16 = 0b11;

/// The properties of one message, borrowed in their wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties { raw: &[0, 0] };

    /// Checks bytes from a peer, flags first, and borrows them. An empty slice means no properties.
    pub fn parse(raw: &'a [u8]) -> Result<Self, Malformed> {
        if raw.is_empty() {
            return Ok(Properties::EMPTY);
        }
        let mut reader = Reader::new(raw);
        let flags = reader.short()?;
        if flags & UNKNOWN_FLAGS != 0 {
            return Err(Malformed("unknown property flags"));
        }
        for property in present(flags) {
            match property {
                Headers => table::check(reader.long_string()?)?,
                DeliveryMode | Priority | Timestamp => property.skip(&mut reader)?,
                _ => reader.short_string().map(drop)?,
            }
        }
        if !reader.is_empty() {
            return Err(Malformed("bytes after the last property"));
        }
        Ok(Self { raw })
    }

    /// Borrows bytes that [`parse`](Self::parse) has accepted before. Properties in other bytes may seem absent.
    pub const fn trusted(raw: &'a [u8]) -> Self {
        if raw.is_empty() { Properties::EMPTY } else { Self { raw } }
    }

    /// Returns the bytes, flags first.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns the MIME type of the body.
    pub fn content_type(&self) -> Option<&'a str> {
        self.text(ContentType)
    }

    /// Returns the encoding of the body, for example `gzip`.
    pub fn content_encoding(&self) -> Option<&'a str> {
        self.text(ContentEncoding)
    }

    /// Returns the headers, decoded.
    pub fn headers(&self) -> Option<Table> {
        Table::decode(self.raw_headers()?).ok()
    }

    /// Returns the value of one header; the others are not decoded.
    pub fn header(&self, key: &str) -> Option<Value> {
        let [value] = self.headers_named([key]);
        value
    }

    /// Returns the values of some headers, found in one pass; the others are not decoded.
    pub fn headers_named<const N: usize>(&self, keys: [&str; N]) -> [Option<Value>; N] {
        table::find(self.raw_headers().unwrap_or_default(), keys)
    }

    /// Returns whether there are headers, which may be empty.
    pub fn has_headers(&self) -> bool {
        self.flags() & Headers.flag() != 0
    }

    /// Returns the names of the headers.
    pub fn header_names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        table::names(self.raw_headers().unwrap_or_default())
    }

    /// Returns bytes that are the same for equivalent values of one header, for comparisons only.
    pub fn header_key(&self, key: &str) -> Option<Cow<'a, [u8]>> {
        table::find_key(self.raw_headers()?, key)
    }

    /// Returns the entries of the headers as bytes, without their length.
    pub fn raw_headers(&self) -> Option<&'a [u8]> {
        self.find(Headers)?.long_string().ok()
    }

    /// Returns the delivery mode: 2 is persistent, any other transient.
    pub fn delivery_mode(&self) -> Option<u8> {
        self.find(DeliveryMode)?.octet().ok()
    }

    /// Returns the priority; higher ones are delivered first, in queues that have priorities.
    pub fn priority(&self) -> Option<u8> {
        self.find(Priority)?.octet().ok()
    }

    /// Returns the id of the request that a reply is for.
    pub fn correlation_id(&self) -> Option<&'a str> {
        self.text(CorrelationId)
    }

    /// Returns the queue for replies.
    pub fn reply_to(&self) -> Option<&'a str> {
        self.text(ReplyTo)
    }

    /// Returns the time to live in milliseconds, as decimal digits.
    pub fn expiration(&self) -> Option<&'a str> {
        self.text(Expiration)
    }

    /// Returns the application's id of the message.
    pub fn message_id(&self) -> Option<&'a str> {
        self.text(MessageId)
    }

    /// Returns the publisher's timestamp, in seconds since 1970.
    pub fn timestamp(&self) -> Option<u64> {
        self.find(Timestamp)?.longlong().ok()
    }

    /// Returns the property `type`: the application's name for the kind of message.
    pub fn kind(&self) -> Option<&'a str> {
        self.text(Kind)
    }

    /// Returns the user who published, as the publisher states.
    pub fn user_id(&self) -> Option<&'a str> {
        self.text(UserId)
    }

    /// Returns the application that published.
    pub fn app_id(&self) -> Option<&'a str> {
        self.text(AppId)
    }

    /// Returns a property from older protocols.
    pub fn cluster_id(&self) -> Option<&'a str> {
        self.text(ClusterId)
    }

    /// Appends these properties to `out` with another reply-to.
    pub fn with_reply_to(&self, reply_to: &str, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.with(ReplyTo.flag(), &mut |_, out| put_short_string(out, reply_to).map(|()| true), out)
    }

    /// Appends these properties to `out` with other headers, and if `no_expiration` without the expiration. Empty
    /// headers are left out.
    pub fn with_headers(&self, headers: &Table, no_expiration: bool, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let changed = if no_expiration { Headers.flag() | Expiration.flag() } else { Headers.flag() };
        let put = &mut |property, out: &mut Vec<u8>| {
            if property != Headers || headers.is_empty() {
                return Ok(false);
            }
            put_sized(out, |out| headers.encode(out)).map(|()| true)
        };
        self.with(changed, put, out)
    }

    /// Appends these properties to `out`. Those whose flag is in `changed` are written by `put`, if they are present at
    /// all.
    fn with(&self, changed: u16, put: &mut Put<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let start = out.len();
        let mut reader = Reader::new(self.raw);
        let before = reader.short()?;
        let mut after = before & !changed;
        out.extend_from_slice(&[0; 2]);
        for property in ALL {
            let rest = reader.rest();
            if before & property.flag() != 0 {
                property.skip(&mut reader)?;
            }
            if changed & property.flag() == 0 {
                out.extend_from_slice(&rest[..rest.len() - reader.rest().len()]);
            } else if put(property, out)? {
                after |= property.flag();
            }
        }
        out[start..start + 2].copy_from_slice(&after.to_be_bytes());
        Ok(())
    }

    fn text(&self, property: Property) -> Option<&'a str> {
        self.find(property)?.short_string().ok()
    }

    /// Returns a reader at the property `wanted`, if it is present.
    #[inline]
    fn find(&self, wanted: Property) -> Option<Reader<'a>> {
        // Most properties of most messages are absent.
        if self.flags() & wanted.flag() == 0 { None } else { self.find_present(wanted) }
    }

    #[inline]
    fn flags(&self) -> u16 {
        self.raw.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags))
    }

    #[inline(never)]
    fn find_present(&self, wanted: Property) -> Option<Reader<'a>> {
        let mut reader = Reader::new(self.raw.get(2..)?);
        for property in present(self.flags()).take_while(|&property| property != wanted) {
            property.skip(&mut reader).ok()?;
        }
        Some(reader)
    }
}

impl Default for Properties<'_> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The properties of one message, owned and decoded: to build and to show them.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "as in `Properties`")]
pub struct PropertyValues {
    pub content_type: Option<Box<str>>,
    pub content_encoding: Option<Box<str>>,
    pub headers: Option<Table>,
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<Box<str>>,
    pub reply_to: Option<Box<str>>,
    pub expiration: Option<Box<str>>,
    pub message_id: Option<Box<str>>,
    pub timestamp: Option<u64>,
    pub kind: Option<Box<str>>,
    pub user_id: Option<Box<str>>,
    pub app_id: Option<Box<str>>,
    pub cluster_id: Option<Box<str>>,
}

impl PropertyValues {
    /// Appends the bytes that [`Properties::parse`] accepts. Only fails for a text or a header's key over 255 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        Properties::EMPTY.with(u16::MAX, &mut |property, out| self.put(property, out), out)
    }

    /// Appends a property, if it is present, and returns whether it is.
    fn put(&self, property: Property, out: &mut Vec<u8>) -> Result<bool, Malformed> {
        let text = match property {
            Headers => return put_some(&self.headers, |table| put_sized(out, |out| table.encode(out))),
            DeliveryMode => return put_some(&self.delivery_mode, |&mode| put_bytes(out, &[mode])),
            Priority => return put_some(&self.priority, |&priority| put_bytes(out, &[priority])),
            Timestamp => return put_some(&self.timestamp, |seconds| put_bytes(out, &seconds.to_be_bytes())),
            ContentType => &self.content_type,
            ContentEncoding => &self.content_encoding,
            CorrelationId => &self.correlation_id,
            ReplyTo => &self.reply_to,
            Expiration => &self.expiration,
            MessageId => &self.message_id,
            Kind => &self.kind,
            UserId => &self.user_id,
            AppId => &self.app_id,
            ClusterId => &self.cluster_id,
        };
        put_some(text, |text| put_short_string(out, text))
    }
}

fn put_some<T>(value: &Option<T>, put: impl FnOnce(&T) -> Result<(), Malformed>) -> Result<bool, Malformed> {
    value.as_ref().map(put).transpose().map(|done| done.is_some())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Malformed> {
    out.extend_from_slice(bytes);
    Ok(())
}

impl From<Properties<'_>> for PropertyValues {
    fn from(properties: Properties<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(Box::from);
        Self {
            content_type: owned(properties.content_type()),
            content_encoding: owned(properties.content_encoding()),
            headers: properties.headers(),
            delivery_mode: properties.delivery_mode(),
            priority: properties.priority(),
            correlation_id: owned(properties.correlation_id()),
            reply_to: owned(properties.reply_to()),
            expiration: owned(properties.expiration()),
            message_id: owned(properties.message_id()),
            timestamp: properties.timestamp(),
            kind: owned(properties.kind()),
            user_id: owned(properties.user_id()),
            app_id: owned(properties.app_id()),
            cluster_id: owned(properties.cluster_id()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_set() -> PropertyValues {
        PropertyValues {
            content_type: Some("text/plain".into()),
            content_encoding: Some("gzip".into()),
            headers: Some([("a", 1), ("b", 2)].into_iter().collect()),
            delivery_mode: Some(2),
            priority: Some(9),
            correlation_id: Some("c".into()),
            reply_to: Some("reply".into()),
            expiration: Some("1000".into()),
            message_id: Some("m".into()),
            timestamp: Some(1_700_000_000),
            kind: Some("t".into()),
            user_id: Some("guest".into()),
            app_id: Some("app".into()),
            cluster_id: Some("".into()),
        }
    }

    fn encoded(values: &PropertyValues) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn values_go_out_and_come_back() {
        for values in [all_set(), PropertyValues::default()] {
            let bytes = encoded(&values);
            assert_eq!(PropertyValues::from(Properties::parse(&bytes).unwrap()), values);
        }
    }

    #[test]
    fn none_is_two_octets_or_none() {
        assert_eq!(encoded(&PropertyValues::default()), Properties::EMPTY.raw());
        assert_eq!(Properties::parse(&[]), Ok(Properties::EMPTY));
        assert_eq!(Properties::trusted(&[]).reply_to(), None);
    }

    #[test]
    fn each_cut_or_lengthened_list_is_malformed() {
        let mut bytes = encoded(&all_set());
        for end in 1..bytes.len() {
            assert!(Properties::parse(&bytes[..end]).is_err(), "cut at {end}");
        }
        bytes.push(0);
        assert!(Properties::parse(&bytes).is_err());
    }

    #[test]
    fn bad_flags_text_and_headers_are_malformed() {
        assert!(Properties::parse(&[0, 1]).is_err());
        assert!(Properties::parse(&[0x80, 0, 1, 0xff]).is_err());
        assert!(Properties::parse(&[0x20, 0, 0, 0, 0, 3, 1, b'k', b'?']).is_err());
    }

    #[test]
    fn broken_trusted_bytes_answer_nothing() {
        let properties = Properties::trusted(&[0xff, 0xfc, 200]);
        assert_eq!(PropertyValues::from(properties), PropertyValues::default());
        assert!(properties.with_reply_to("x", &mut Vec::new()).is_err());
    }

    #[test]
    fn reply_to_is_replaced_or_put_in_its_place() {
        for before in [Some("old".into()), None] {
            let mut values = PropertyValues { reply_to: before, ..all_set() };
            let bytes = encoded(&values);
            let mut changed = Vec::new();
            Properties::trusted(&bytes).with_reply_to("amq.gen-new", &mut changed).unwrap();
            values.reply_to = Some("amq.gen-new".into());
            assert_eq!(changed, encoded(&values));
        }
        let mut changed = Vec::new();
        Properties::EMPTY.with_reply_to("q", &mut changed).unwrap();
        assert_eq!(Properties::parse(&changed).unwrap().reply_to(), Some("q"));
    }

    #[test]
    fn headers_are_replaced_put_in_their_place_or_taken_out() {
        let ours: Table = [("x-death", 1)].into_iter().collect();
        for before in [all_set(), PropertyValues { headers: None, ..all_set() }, PropertyValues::default()] {
            for (headers, no_expiration) in
                [(&ours, true), (&ours, false), (&Table::new(), true), (&Table::new(), false)]
            {
                let bytes = encoded(&before);
                let mut changed = vec![7];
                Properties::trusted(&bytes).with_headers(headers, no_expiration, &mut changed).unwrap();
                let expected = PropertyValues {
                    headers: (!headers.is_empty()).then(|| headers.clone()),
                    expiration: before.expiration.clone().filter(|_| !no_expiration),
                    ..before.clone()
                };
                assert_eq!(changed[1..], encoded(&expected));
            }
        }
    }

    #[test]
    fn one_header_is_found() {
        let bytes = encoded(&all_set());
        let properties = Properties::trusted(&bytes);
        assert_eq!((properties.header("b"), properties.header("c")), (Some(Value::I32(2)), None));
        assert_eq!(properties.header_key("a").as_deref(), Some(&b"l\0\0\0\0\0\0\0\x01"[..]));
        assert!(properties.header_names().eq([b"a", b"b"]));
        assert_eq!((Properties::EMPTY.header("b"), Properties::EMPTY.header_key("b")), (None, None));
    }
}
