//! Arguments: field tables and properties of the kinds that a broker reads, in wire format.

use super::choices::Choices;

const EXCHANGES: [&str; 7] = ["e", "f", "amq.topic", "amq.fanout", "amq.headers", "", "missing"];
const QUEUES: [&str; 8] = ["q", "r", "s", "t", "", "missing", "amq.rabbitmq.reply-to", "ä"];
const KEYS: [&str; 8] = ["q", "r", "s", "t", "a.b", "#", "*.b", "3"];
const NUMBERS: [i32; 10] = [0, 1, 2, 3, 10, 100, 1000, -1, i32::MAX, i32::MIN];

pub fn exchange(choices: &mut Choices) -> &'static str {
    choices.pick(&EXCHANGES)
}

pub fn queue(choices: &mut Choices) -> &'static str {
    choices.pick(&QUEUES)
}

pub fn key(choices: &mut Choices) -> &'static str {
    choices.pick(&KEYS)
}

/// Chooses a queue's arguments.
pub fn of_queue(choices: &mut Choices) -> Vec<u8> {
    const NUMERIC: [&str; 9] = [
        "x-message-ttl",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-delivery-limit",
        "x-consumer-timeout",
        "x-partitions",
        "x-other",
    ];
    entries(choices, |choices| match choices.below(8) {
        0 => text("x-overflow", choices.pick(&["drop-head", "reject-publish", "reject-publish-dlx", "else"])),
        1 => text("x-dead-letter-exchange", exchange(choices)),
        2 => text("x-dead-letter-routing-key", key(choices)),
        3 => truth("x-single-active-consumer"),
        4 => truth("x-message-deduplication"),
        5 => text("x-queue-type", choices.pick(&["quorum", "classic", "stream", "else"])),
        _ => number(choices.pick(&NUMERIC), choices.pick(&NUMBERS)),
    })
}

pub fn of_exchange(choices: &mut Choices) -> Vec<u8> {
    entries(choices, |choices| match choices.below(3) {
        0 => text("x-delayed-type", choices.pick(&["direct", "fanout", "topic", "headers", "else"])),
        1 => text("hash-header", "h"),
        _ => text("alternate-exchange", exchange(choices)),
    })
}

pub fn of_binding(choices: &mut Choices) -> Vec<u8> {
    entries(choices, |choices| match choices.below(3) {
        0 => text("x-match", choices.pick(&["all", "any", "all-with-x", "any-with-x", "else"])),
        _ => header(choices),
    })
}

pub fn of_consumer(choices: &mut Choices) -> Vec<u8> {
    entries(choices, |choices| match choices.below(3) {
        0 => text("x-priority", "high"),
        _ => number(choices.pick(&["x-priority", "x-consumer-timeout"]), choices.pick(&NUMBERS)),
    })
}

/// Chooses a message's properties, flags first.
pub fn properties(choices: &mut Choices) -> Vec<u8> {
    let chosen = choices.octet();
    if chosen == 255 {
        return choices.bytes().to_vec();
    }
    // From the lowest bit of the choice, in the order on the wire.
    let flags: [u16; 7] = [13, 12, 11, 10, 9, 8, 4];
    let mut out = vec![0; 2];
    for (_, flag) in flags.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1) {
        let wanted = u16::from_be_bytes([out[0], out[1]]) | 1 << flag;
        out[..2].copy_from_slice(&wanted.to_be_bytes());
        match flag {
            13 => out.extend(sized(&entries(choices, header))),
            12 | 11 => out.push(choices.octet() % 12),
            10 => out.extend(short("1")),
            9 => out.extend(short(queue(choices))),
            8 => out.extend(short(choices.pick(&["0", "1", "10", "1000", "soon", "-1", "99999999999999999999"]))),
            _ => out.extend(short(choices.pick(&["guest", "admin"]))),
        }
    }
    out
}

/// Chooses one entry of a message's headers.
fn header(choices: &mut Choices) -> Vec<u8> {
    match choices.below(8) {
        0 => number("x-delay", choices.pick(&NUMBERS)),
        1 => text("x-deduplication-id", choices.pick(&["a", "b"])),
        2 => array(choices.pick(&["CC", "BCC"]), &[key(choices), key(choices)]),
        3 => text(choices.pick(&["CC", "BCC", "x-partition-key"]), key(choices)),
        4 => number("h", choices.pick(&NUMBERS)),
        5 => {
            let death = [text("queue", queue(choices)), text("reason", "expired"), number("count", 1)].concat();
            let deaths = [&b"F"[..], &sized(&death)].concat();
            [&short("x-death")[..], b"A", &sized(&deaths)].concat()
        }
        6 => [&short(choices.pick(&["x-death", "h", "CC"]))[..], b"V"].concat(),
        _ => [&short("h")[..], choices.bytes()].concat(),
    }
}

/// Chooses none to three entries, or random bytes.
fn entries(choices: &mut Choices, mut entry: impl FnMut(&mut Choices) -> Vec<u8>) -> Vec<u8> {
    match choices.octet() {
        255 => choices.bytes().to_vec(),
        count => (0..count % 4).flat_map(|_| entry(choices)).collect(),
    }
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn text(name: &str, value: &str) -> Vec<u8> {
    [&short(name)[..], b"S", &sized(value.as_bytes())].concat()
}

fn number(name: &str, value: i32) -> Vec<u8> {
    [&short(name)[..], b"I", &value.to_be_bytes()].concat()
}

fn truth(name: &str) -> Vec<u8> {
    [&short(name)[..], b"t\x01"].concat()
}

fn array(name: &str, texts: &[&str]) -> Vec<u8> {
    let items: Vec<u8> = texts.iter().flat_map(|text| [&b"S"[..], &sized(text.as_bytes())].concat()).collect();
    [&short(name)[..], b"A", &sized(&items)].concat()
}
