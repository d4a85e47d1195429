//! Slot: a number computed from a message's key, which determines its partition.

use crate::properties::Properties;

/// Number of slots, whatever the number of partitions.
pub(crate) const SLOTS: usize = 1024;

const KEY: &str = "x-partition-key";

/// Returns the slot of a message.
pub(crate) fn of(routing_key: &str, properties: Properties<'_>) -> u16 {
    match properties.header(KEY) {
        Some(key) => hash(&key.to_string()),
        None => hash(routing_key),
    }
}

/// FNV-1a, folded: messages in a journal must get the same slots again, in any version and on any machine.
fn hash(key: &str) -> u16 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    ((hash ^ hash >> 16) as usize % SLOTS) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_slot_for_ever() {
        assert_eq!(["", "a", "order-17"].map(hash), SLOTS_OF_OLD);
    }

    /// Slots that the first version gave these keys; journals rely on them.
    const SLOTS_OF_OLD: [u16; 3] = [217, 288, 158];
}
