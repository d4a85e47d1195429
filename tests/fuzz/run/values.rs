//! Values: decoded values are encoded, and decoded again to the same.

use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::table::Table;

pub fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, bytes)) => check_table(bytes),
        Some((_, bytes)) => check_properties(bytes),
        None => {}
    }
}

fn check_table(bytes: &[u8]) {
    let Ok(table) = Table::decode(bytes) else { return };
    let encoded = encode(&table);
    let again = Table::decode(&encoded).expect("what was encoded can be decoded");
    // Compared by their bytes, as some numbers do not equal themselves.
    assert_eq!(encode(&again), encoded);
    assert_eq!(table.len(), again.len());
    assert!(table.iter().all(|(name, _)| table.get(name).is_some()));
    assert_eq!(table.equivalent(&again), again.equivalent(&table));
}

fn encode(table: &Table) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.encode(&mut bytes).expect("a decoded table has short names");
    bytes
}

fn check_properties(bytes: &[u8]) {
    let Ok(properties) = Properties::parse(bytes) else { return };
    let values = PropertyValues::from(properties);
    let mut encoded = Vec::new();
    values.encode(&mut encoded).expect("decoded texts are short");
    let again = Properties::parse(&encoded).expect("what was encoded can be parsed");
    let mut twice = Vec::new();
    PropertyValues::from(again).encode(&mut twice).expect("decoded texts are short");
    assert_eq!(twice, encoded);

    let mut addressed = Vec::new();
    properties.with_reply_to("somebody", &mut addressed).expect("the address is short");
    let addressed = Properties::parse(&addressed).expect("an address changes nothing else");
    assert_eq!(addressed.reply_to(), Some("somebody"));
    assert_eq!(addressed.raw_headers(), properties.raw_headers());
    assert_eq!(addressed.cluster_id(), properties.cluster_id());
}
