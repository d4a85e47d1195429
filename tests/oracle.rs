//! Oracle: tables and properties against the crate amq-protocol; each side reads what the other writes.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;

use amq_protocol::protocol::basic::{AMQPProperties, gen_properties, parse_properties};
use amq_protocol::types::generation::gen_field_table;
use amq_protocol::types::parsing::parse_field_table;
use amq_protocol::types::{AMQPValue, DecimalValue, FieldTable, ShortString};
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::table::{Table, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn theirs(value: &Value) -> AMQPValue {
    match value {
        Value::Void => AMQPValue::Void,
        Value::Bool(x) => AMQPValue::Boolean(*x),
        Value::I8(x) => AMQPValue::ShortShortInt(*x),
        Value::U8(x) => AMQPValue::ShortShortUInt(*x),
        Value::I16(x) => AMQPValue::ShortInt(*x),
        Value::U16(x) => AMQPValue::ShortUInt(*x),
        Value::I32(x) => AMQPValue::LongInt(*x),
        Value::U32(x) => AMQPValue::LongUInt(*x),
        Value::I64(x) => AMQPValue::LongLongInt(*x),
        Value::F32(x) => AMQPValue::Float(*x),
        Value::F64(x) => AMQPValue::Double(*x),
        Value::Decimal { scale, value } => {
            AMQPValue::DecimalValue(DecimalValue { scale: *scale, value: *value as u32 })
        }
        Value::Timestamp(x) => AMQPValue::Timestamp(*x),
        Value::Text(x) => AMQPValue::LongString(x.to_vec().into()),
        Value::Bytes(x) => AMQPValue::ByteArray(x.to_vec().into()),
        Value::Array(x) => AMQPValue::FieldArray(x.iter().map(theirs).collect::<Vec<_>>().into()),
        Value::Table(x) => AMQPValue::FieldTable(their_table(x)),
    }
}

fn their_table(table: &Table) -> FieldTable {
    table.iter().map(|(key, value)| (key.into(), theirs(value))).collect::<BTreeMap<_, _>>().into()
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Void),
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        (any::<u8>(), any::<i32>()).prop_map(|(scale, value)| Value::Decimal { scale, value }),
        any::<u64>().prop_map(Value::Timestamp),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Text(bytes.into())),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec(("[a-zü]{0,9}", inner), 0..6).prop_map(|entries| Value::Table(entries.into_iter().collect())),
        ]
    })
}

fn tables() -> impl Strategy<Value = Table> {
    vec(("[a-zü-]{0,20}", values()), 0..8).prop_map(|entries| entries.into_iter().collect())
}

fn texts() -> impl Strategy<Value = Option<Box<str>>> {
    option::of("[a-zü/.]{0,90}".prop_map(|text| text.into_boxed_str()))
}

fn property_values() -> impl Strategy<Value = PropertyValues> {
    let numbers = (option::of(any::<u8>()), option::of(any::<u8>()), option::of(any::<u64>()));
    let names = (texts(), texts(), texts(), texts(), texts());
    let rest = (texts(), texts(), texts(), texts(), texts());
    (numbers, option::of(tables()), names, rest).prop_map(|(numbers, headers, names, rest)| PropertyValues {
        content_type: names.0,
        content_encoding: names.1,
        headers,
        delivery_mode: numbers.0,
        priority: numbers.1,
        correlation_id: names.2,
        reply_to: names.3,
        expiration: names.4,
        message_id: rest.0,
        timestamp: numbers.2,
        kind: rest.1,
        user_id: rest.2,
        app_id: rest.3,
        cluster_id: rest.4,
    })
}

fn their_properties(values: &PropertyValues) -> AMQPProperties {
    /// Sets one of their properties, if ours is set.
    fn with<T, U>(to: AMQPProperties, from: &Option<T>, convert: impl Fn(&T) -> U, set: Setter<U>) -> AMQPProperties {
        match from {
            Some(value) => set(to, convert(value)),
            None => to,
        }
    }
    #[expect(clippy::borrowed_box, reason = "that is what an option of ours holds")]
    fn short(text: &Box<str>) -> ShortString {
        (&**text).into()
    }
    type Setter<U> = fn(AMQPProperties, U) -> AMQPProperties;
    let to = with(AMQPProperties::default(), &values.content_type, short, AMQPProperties::with_content_type);
    let to = with(to, &values.content_encoding, short, AMQPProperties::with_content_encoding);
    let to = with(to, &values.headers, their_table, AMQPProperties::with_headers);
    let to = with(to, &values.delivery_mode, |&mode| mode, AMQPProperties::with_delivery_mode);
    let to = with(to, &values.priority, |&priority| priority, AMQPProperties::with_priority);
    let to = with(to, &values.correlation_id, short, AMQPProperties::with_correlation_id);
    let to = with(to, &values.reply_to, short, AMQPProperties::with_reply_to);
    let to = with(to, &values.expiration, short, AMQPProperties::with_expiration);
    let to = with(to, &values.message_id, short, AMQPProperties::with_message_id);
    let to = with(to, &values.timestamp, |&seconds| seconds, AMQPProperties::with_timestamp);
    let to = with(to, &values.kind, short, AMQPProperties::with_type);
    let to = with(to, &values.user_id, short, AMQPProperties::with_user_id);
    let to = with(to, &values.app_id, short, AMQPProperties::with_app_id);
    with(to, &values.cluster_id, short, AMQPProperties::with_cluster_id)
}

fn our_bytes(values: &PropertyValues) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.encode(&mut bytes).unwrap();
    bytes
}

/// Encodes a table with the four octets of its length, as it is nested in others.
fn framed(table: &Table) -> Vec<u8> {
    let mut entries = Vec::new();
    table.encode(&mut entries).unwrap();
    [&(entries.len() as u32).to_be_bytes(), &entries[..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_are_the_same_to_both(table in tables()) {
        let theirs = their_table(&table);
        let (_, read) = parse_field_table(&framed(&table)[..]).map_err(|_| "refused by amq-protocol").unwrap();
        prop_assert_eq!(&read, &theirs);

        let written = gen_field_table(&theirs)(Vec::new().into()).unwrap().into_inner().0;
        prop_assert_eq!(their_table(&Table::decode(&written[4..]).unwrap()), theirs);
    }

    #[test]
    fn properties_are_the_same_to_both(values in property_values()) {
        let theirs = their_properties(&values);
        let ours = our_bytes(&values);
        let (_, read) = parse_properties(&ours[..]).map_err(|_| "refused by amq-protocol").unwrap();
        prop_assert_eq!(&read, &theirs);

        let written = gen_properties(&theirs)(Vec::new().into()).unwrap().into_inner().0;
        let read = PropertyValues::from(Properties::parse(&written).unwrap());
        prop_assert_eq!(their_properties(&read), theirs);
    }

    #[test]
    fn a_new_reply_to_changes_nothing_else(values in property_values(), address in "[a-z.]{0,80}") {
        let mut bytes = Vec::new();
        Properties::parse(&our_bytes(&values)).unwrap().with_reply_to(&address, &mut bytes).unwrap();
        let changed = PropertyValues { reply_to: Some(address.into()), ..values };
        prop_assert_eq!(bytes, our_bytes(&changed));
    }

    #[test]
    fn random_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(table) = Table::decode(&bytes) {
            // Other type tags may be written than were read, never other values.
            let mut again = Vec::new();
            table.encode(&mut again).unwrap();
            prop_assert_eq!(bytes.len(), again.len());
        }
        if let Ok(properties) = Properties::parse(&bytes) {
            prop_assert_eq!(our_bytes(&properties.into()).len(), bytes.len().max(2));
        }
    }
}
