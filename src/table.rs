//! Table: named values of many types, as AMQP carries them in arguments and headers.
//!
//! ```text
//! table   = { octet key length, key, tag, value } ...
//! array   = { tag, value } ...
//! tags      t bool   b i8   B u8   s i16   u u16   I i32   i u32   l i64   f f32   d f64   D decimal
//!           S text   x bytes   A array   T timestamp   F table   V void
//! ```
//! The tags are RabbitMQ's, which differ from the specification's; of the latter `U` (i16) and `L` (i64) are also read.
//! A table keeps its order, and its first entry counts if a key occurs twice. Nesting and the number of values are
//! bounded, so that a small frame cannot become a large structure.

use std::borrow::Cow;
use std::fmt;

pub use crate::wire::Malformed;
use crate::wire::{Reader, put_short_string, put_sized};

/// Maximum nesting of tables and arrays; a peer must not choose how deep the stack grows.
const DEPTH_MAX: usize = 32;
/// Maximum number of values in a table, nested ones included; a frame of the usual size reaches it with one-byte values
/// only.
const VALUES_MAX: usize = 32_768;

/// One value of a table or an array.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    Void,
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    /// `value` divided by ten to the power of `scale`.
    Decimal {
        scale: u8,
        value: i32,
    },
    /// Seconds since 1970.
    Timestamp(u64),
    /// A long string: intended for text, but any bytes are allowed.
    Text(Box<[u8]>),
    Bytes(Box<[u8]>),
    Array(Vec<Value>),
    Table(Table),
}

impl Value {
    fn memory_bytes(&self) -> usize {
        let beside = match self {
            Self::Text(bytes) | Self::Bytes(bytes) => 8 + bytes.len(),
            Self::Array(values) => values.iter().map(Self::memory_bytes).sum(),
            Self::Table(table) => table.memory_bytes(),
            _ => 0,
        };
        size_of::<Self>() + beside
    }

    /// Returns the value of any integer type.
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(n) => Some(n.into()),
            Self::U8(n) => Some(n.into()),
            Self::I16(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::I32(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::I64(n) => Some(n),
            _ => None,
        }
    }

    /// Returns the text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Returns the boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// Returns the name of its type in the texts of errors.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::Timestamp(_) => "timestamp",
            Self::Text(_) => "longstr",
            Self::Bytes(_) => "binary",
            Self::Array(_) => "array",
            Self::Table(_) => "table",
        }
    }

    /// Returns whether both mean the same: clients of different languages write the same number in different widths.
    pub fn equivalent(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equivalent(b)),
            (Self::Table(a), Self::Table(b)) => a.equivalent(b),
            _ => match (self.as_integer(), other.as_integer()) {
                (Some(a), Some(b)) => a == b,
                _ => match (self.as_float(), other.as_float()) {
                    (Some(a), Some(b)) => a == b,
                    _ => self == other,
                },
            },
        }
    }

    /// Appends bytes that are the same for equivalent values, and usually differ for others.
    pub(crate) fn put_key(&self, out: &mut Vec<u8>) {
        let canonical = match (self, self.as_integer(), self.as_float()) {
            (Self::Array(_), ..) => return out.push(b'A'),
            (Self::Table(_), ..) => return out.push(b'F'),
            (_, Some(integer), _) => &Self::I64(integer),
            // Negative zero is written as zero, as both are equal.
            (_, _, Some(float)) => &Self::F64(float + 0.0),
            _ => self,
        };
        canonical.encode(out).expect("a value without keys is never too long");
    }

    fn as_float(&self) -> Option<f64> {
        match *self {
            Self::F32(x) => Some(x.into()),
            Self::F64(x) => Some(x),
            _ => None,
        }
    }

    fn decode(reader: &mut Reader<'_>, depth: usize) -> Result<Self, Malformed> {
        Ok(match reader.octet()? {
            b'V' => Self::Void,
            b't' => Self::Bool(reader.octet()? != 0),
            b'b' => Self::I8(reader.octet()? as i8),
            b'B' => Self::U8(reader.octet()?),
            b's' | b'U' => Self::I16(reader.short()? as i16),
            b'u' => Self::U16(reader.short()?),
            b'I' => Self::I32(reader.long()? as i32),
            b'i' => Self::U32(reader.long()?),
            b'l' | b'L' => Self::I64(reader.longlong()? as i64),
            b'f' => Self::F32(f32::from_bits(reader.long()?)),
            b'd' => Self::F64(f64::from_bits(reader.longlong()?)),
            b'D' => Self::Decimal { scale: reader.octet()?, value: reader.long()? as i32 },
            b'T' => Self::Timestamp(reader.longlong()?),
            b'S' => Self::Text(reader.long_string()?.into()),
            b'x' => Self::Bytes(reader.long_string()?.into()),
            b'A' => Self::Array(decode_array(reader.long_string()?, depth)?),
            b'F' => Self::Table(Table::decode_checked(reader.long_string()?, depth)?),
            _ => return Err(UNKNOWN_TAG),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut put = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(bytes);
        };
        match self {
            Self::Void => put(b'V', &[]),
            Self::Bool(truth) => put(b't', &[(*truth).into()]),
            Self::I8(n) => put(b'b', &n.to_be_bytes()),
            Self::U8(n) => put(b'B', &n.to_be_bytes()),
            Self::I16(n) => put(b's', &n.to_be_bytes()),
            Self::U16(n) => put(b'u', &n.to_be_bytes()),
            Self::I32(n) => put(b'I', &n.to_be_bytes()),
            Self::U32(n) => put(b'i', &n.to_be_bytes()),
            Self::I64(n) => put(b'l', &n.to_be_bytes()),
            Self::F32(x) => put(b'f', &x.to_be_bytes()),
            Self::F64(x) => put(b'd', &x.to_be_bytes()),
            Self::Timestamp(seconds) => put(b'T', &seconds.to_be_bytes()),
            Self::Decimal { scale, value } => {
                put(b'D', &[*scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Text(bytes) => return encode_bytes(out, b'S', bytes),
            Self::Bytes(bytes) => return encode_bytes(out, b'x', bytes),
            Self::Array(values) => {
                put(b'A', &[]);
                return put_sized(out, |out| values.iter().try_for_each(|value| value.encode(out)));
            }
            Self::Table(table) => {
                put(b'F', &[]);
                return put_sized(out, |out| table.encode(out));
            }
        }
        Ok(())
    }
}

/// Used in the texts of errors, and to compare values that clients of different languages write differently.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(truth) => truth.fmt(f),
            Self::Timestamp(seconds) => seconds.fmt(f),
            Self::Text(bytes) | Self::Bytes(bytes) => String::from_utf8_lossy(bytes).fmt(f),
            Self::Array(values) => {
                let words: Vec<String> = values.iter().map(Self::to_string).collect();
                write!(f, "[{}]", words.join(","))
            }
            _ => match self.as_integer() {
                Some(n) => n.fmt(f),
                None => f.write_str(self.type_name()),
            },
        }
    }
}

impl From<&str> for Value {
    // Inlining would repeat this code in each of its callers.
    #[inline(never)]
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i32> for Value {
    fn from(n: i32) -> Self {
        Self::I32(n)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::I64(n)
    }
}

impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

const UNKNOWN_TAG: Malformed = Malformed("a table holds a value of unknown type");

fn encode_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) -> Result<(), Malformed> {
    out.push(tag);
    put_sized(out, |out| {
        out.extend_from_slice(bytes);
        Ok(())
    })
}

fn decode_array(bytes: &[u8], depth: usize) -> Result<Vec<Value>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(Value::decode(&mut reader, depth + 1)?);
    }
    Ok(values)
}

/// Named values in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(Vec<(Box<str>, Value)>);

impl Table {
    /// Makes a table without entries.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| &**name == key).map(|(_, value)| value)
    }

    /// Sets the value of `key`, at its old position if it had one.
    pub fn insert(&mut self, key: impl AsRef<str>, value: impl Into<Value>) {
        self.put(key.as_ref(), value.into());
    }

    // Inlining would repeat this code in each of its callers.
    #[inline(never)]
    fn put(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(name, _)| **name == *key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key.into(), value)),
        }
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| **name != *key);
    }

    /// Returns the entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns an estimate of its memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        let entry_bytes =
            |(name, value): &(Box<str>, Value)| size_of::<Box<str>>() + 8 + name.len() + value.memory_bytes();
        self.0.iter().map(entry_bytes).sum()
    }

    /// Returns whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether both have equivalent values under the same keys, in the same order.
    pub fn equivalent(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a.0 == b.0 && a.1.equivalent(b.1))
    }

    /// Reads the entries, without the four octets of length before them on the wire.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        check(bytes)?;
        Self::decode_checked(bytes, 0)
    }

    fn decode_checked(bytes: &[u8], depth: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut entries = Vec::new();
        while !reader.is_empty() {
            entries.push((reader.short_string()?.into(), Value::decode(&mut reader, depth + 1)?));
        }
        Ok(Self(entries))
    }

    /// Appends the entries, without the four octets of length before them on the wire. Only fails for a key longer than
    /// 255 bytes, which no decoded table has.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.0.iter().try_for_each(|(key, value)| {
            put_short_string(out, key)?;
            value.encode(out)
        })
    }
}

impl<K: AsRef<str>, V: Into<Value>> FromIterator<(K, V)> for Table {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut table = Self::new();
        entries.into_iter().for_each(|(key, value)| table.insert(key, value));
        table
    }
}

/// Checks the entries of a table, without the four octets of length, and allocates nothing.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Malformed> {
    check_entries(bytes, true, 0, &mut VALUES_MAX.clone())
}

fn check_entries(bytes: &[u8], keys: bool, depth: usize, budget: &mut usize) -> Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed("a table is nested too deeply"));
    }
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        *budget = budget.checked_sub(1).ok_or(Malformed("a table holds too many values"))?;
        if keys {
            reader.short_string()?;
        }
        check_value(&mut reader, depth, budget)?;
    }
    Ok(())
}

fn check_value(reader: &mut Reader<'_>, depth: usize, budget: &mut usize) -> Result<(), Malformed> {
    match value_bytes(reader)? {
        (b'A', values) => check_entries(values, false, depth + 1, budget),
        (b'F', entries) => check_entries(entries, true, depth + 1, budget),
        _ => Ok(()),
    }
}

/// Skips one value, and returns its tag and its bytes, without their length if they have one.
fn value_bytes<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    let tag = reader.octet()?;
    let count = match tag {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' | b'U' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' | b'A' | b'F' => reader.long()? as usize,
        _ => return Err(UNKNOWN_TAG),
    };
    Ok((tag, reader.bytes(count)?))
}

/// Iterator over the encoded entries of a table: each name, and its value after its tag. Allocates nothing.
struct Entries<'a>(Reader<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let Self(reader) = self;
        let length = reader.octet().ok()?;
        let name = reader.bytes(length.into()).ok()?;
        let value = reader.rest();
        value_bytes(reader).ok()?;
        Some((name, &value[..value.len() - reader.rest().len()]))
    }
}

/// Returns the values of some keys in the encoded entries of a table. Decodes no others.
pub(crate) fn find<const N: usize>(entries: &[u8], keys: [&str; N]) -> [Option<Value>; N] {
    let mut found = [None; N];
    for (name, value) in Entries(Reader::new(entries)) {
        if let Some(place) = keys.iter().position(|key| key.as_bytes() == name) {
            found[place].get_or_insert(value);
        }
    }
    found.map(|value| decode(value?))
}

/// Returns the names in the encoded entries of a table.
pub(crate) fn names(entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    Entries(Reader::new(entries)).map(|(name, _)| name)
}

/// Returns the bytes of [`Value::put_key`] for the value of `key`; those of a text are borrowed.
pub(crate) fn find_key<'a>(entries: &'a [u8], key: &str) -> Option<Cow<'a, [u8]>> {
    let (_, value) = Entries(Reader::new(entries)).find(|(name, _)| *name == key.as_bytes())?;
    if value.starts_with(b"S") {
        return Some(Cow::Borrowed(value));
    }
    let mut bytes = Vec::new();
    decode(value)?.put_key(&mut bytes);
    Some(Cow::Owned(bytes))
}

fn decode(value: &[u8]) -> Option<Value> {
    check_value(&mut Reader::new(value), 0, &mut VALUES_MAX.clone()).ok()?;
    Value::decode(&mut Reader::new(value), 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Table {
        let values = [
            Value::Void,
            Value::Bool(true),
            Value::I8(-8),
            Value::U8(200),
            Value::I16(-1600),
            Value::U16(60_000),
            Value::I32(-5),
            Value::U32(u32::MAX),
            Value::I64(i64::MIN),
            Value::F32(1.5),
            Value::F64(-2.25),
            Value::Decimal { scale: 2, value: -314 },
            Value::Timestamp(1_700_000_000),
            Value::from("text"),
            Value::Bytes([0, 255].into()),
            Value::Array(vec![Value::I8(1), Value::from("two"), Value::Array(vec![])]),
            Value::Table([("inner", true)].into_iter().collect()),
        ];
        values.into_iter().enumerate().map(|(i, value)| (format!("key {i}"), value)).collect()
    }

    fn encoded(table: &Table) -> Vec<u8> {
        let mut bytes = Vec::new();
        table.encode(&mut bytes).unwrap();
        bytes
    }

    /// `levels` tables, one inside the other.
    fn nested(levels: usize) -> Table {
        (0..levels).fold(Table::new(), |inner, _| [("t", inner)].into_iter().collect())
    }

    #[test]
    fn every_type_goes_out_and_comes_back() {
        let table = one_of_each();
        assert_eq!(Table::decode(&encoded(&table)), Ok(table));
    }

    #[test]
    fn one_value_is_found_among_the_others() {
        let table = one_of_each();
        let bytes = encoded(&table);
        for (key, value) in table.iter() {
            let mut expected = Vec::new();
            value.put_key(&mut expected);
            assert_eq!(find(&bytes, [key, "key"]), [Some(value.clone()), None]);
            assert_eq!(find_key(&bytes, key).as_deref(), Some(&expected[..]));
        }
        assert_eq!(find_key(&bytes, "key"), None);
        assert_eq!(find(b"\x01aV\x01at\x01", ["a"]), [Some(Value::Void)], "the first entry wins");
        assert_eq!(find(b"\x01b?\x01aV", ["a"]), [None]);
    }

    #[test]
    fn a_cut_table_is_malformed_unless_cut_between_entries() {
        let table = one_of_each();
        let bytes = encoded(&table);
        let whole = (0..bytes.len()).filter(|&end| Table::decode(&bytes[..end]).is_ok()).count();
        assert_eq!(whole, table.len());
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        assert!(Table::decode(&encoded(&nested(DEPTH_MAX))).is_ok());
        assert!(Table::decode(&encoded(&nested(DEPTH_MAX + 2))).is_err());
        let voids = |count| [("a", Value::Array(vec![Value::Void; count]))].into_iter().collect::<Table>();
        assert!(Table::decode(&encoded(&voids(VALUES_MAX - 1))).is_ok());
        assert!(Table::decode(&encoded(&voids(VALUES_MAX))).is_err());
    }

    #[test]
    fn unknown_tags_and_keys_that_are_not_text_are_malformed() {
        assert!(Table::decode(b"\x01a?").is_err());
        assert!(Table::decode(b"\x01\xffV").is_err());
    }

    #[test]
    fn numbers_are_equivalent_by_value() {
        assert!(Value::I32(5).equivalent(&Value::I64(5)));
        assert!(Value::U8(5).equivalent(&Value::I16(5)));
        assert!(Value::F32(0.5).equivalent(&Value::F64(0.5)));
        assert!(!Value::I32(5).equivalent(&Value::F64(5.0)));
        assert!(!Value::I32(5).equivalent(&Value::from("5")));
    }

    #[test]
    fn equivalent_values_have_one_key() {
        let key = |value: Value| {
            let mut key = Vec::new();
            value.put_key(&mut key);
            key
        };
        assert_eq!(key(Value::U8(5)), key(Value::I64(5)));
        assert_eq!(key(Value::F32(-0.0)), key(Value::F64(0.0)));
        assert_eq!(key(Value::Array(vec![Value::I8(1)])), key(Value::Array(vec![Value::I64(1)])));
        assert_ne!(key(Value::I32(5)), key(Value::from("5")));
        assert_ne!(key(Value::from("a")), key(Value::from("b")));
    }

    #[test]
    fn tables_are_equivalent_by_their_values() {
        let a: Table = [("x", Value::I32(1)), ("y", Value::Array(vec![Value::I8(2)]))].into_iter().collect();
        let b: Table = [("x", Value::U8(1)), ("y", Value::Array(vec![Value::I64(2)]))].into_iter().collect();
        assert!(a.equivalent(&b));
        assert!(!a.equivalent(&Table::new()));
    }

    #[test]
    fn insert_replaces_in_place() {
        let mut table: Table = [("a", 1), ("b", 2)].into_iter().collect();
        table.insert("a", "new");
        assert_eq!(table.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(table.get("a").and_then(Value::as_str), Some("new"));
    }

    #[test]
    fn a_key_that_is_too_long_is_refused() {
        let table: Table = [("k".repeat(256), true)].into_iter().collect();
        assert!(table.encode(&mut Vec::new()).is_err());
    }
}
