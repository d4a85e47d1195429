//! Requests: methods and messages of a client on an open channel, most of them valid.

use super::arguments::{self, exchange, key, queue};
use super::choices::Choices;
use super::peer::{Call, ack, call, close_channel, content_header, frame, get, publish_method, select_confirms};
use super::witness::Witness;

const TAGS: [&str; 4] = ["x", "y", "z", ""];
const KINDS: [&str; 8] =
    ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-random", "x-delayed-message", "else"];

/// Chooses a method and its arguments.
pub fn method(choices: &mut Choices, channel: u16, witness: &Witness) -> Call {
    let named = |class, method| call(class, method).short(0);
    match choices.below(32) {
        0..=3 => declare_queue(choices),
        4..=6 => consume(choices),
        7..=8 => get(queue(choices), choices.octet().is_multiple_of(2)),
        9..=11 => ack(delivery_tag(choices, channel, witness), choices.octet().is_multiple_of(2)),
        12..=14 => call(60, 120).longlong(delivery_tag(choices, channel, witness)).octet(choices.octet() % 4),
        15 => call(60, 90).longlong(delivery_tag(choices, channel, witness)).octet(choices.octet() % 2),
        16 => call(60, choices.pick(&[110, 100])).octet(choices.octet() % 2),
        17 => {
            call(60, 10).long(u32::from(choices.octet() / 250)).short(choices.octet().into()).octet(choices.octet() % 2)
        }
        18..=19 => declare_exchange(choices),
        20 => {
            let bound = named(50, 20).text(queue(choices)).text(exchange(choices)).text(key(choices));
            bound.octet(choices.octet() % 2).bytes(&arguments::of_binding(choices))
        }
        21 => {
            let unbound = named(50, 50).text(queue(choices)).text(exchange(choices)).text(key(choices));
            unbound.bytes(&arguments::of_binding(choices))
        }
        22 => {
            let bound = named(40, choices.pick(&[30, 40])).text(exchange(choices)).text(exchange(choices));
            bound.text(key(choices)).octet(choices.octet() % 2).bytes(&arguments::of_binding(choices))
        }
        23 => named(40, 20).text(exchange(choices)).octet(choices.octet() % 4),
        24 => named(50, 40).text(queue(choices)).octet(choices.octet() % 8),
        25 => named(50, 30).text(queue(choices)).octet(choices.octet() % 2),
        26 => call(60, 30).text(choices.pick(&TAGS)).octet(choices.octet() % 2),
        27 => select_confirms(),
        28..=29 => call(90, choices.pick(&[10, 20, 30])),
        30 => choices.pick(&[call(20, 20).octet(1), call(20, 20).octet(0), call(20, 10).text("")].each_ref()).clone(),
        _ => close_channel(),
    }
}

fn declare_queue(choices: &mut Choices) -> Call {
    // Bits: passive, durable, exclusive, auto-delete, no-wait.
    let bits = choices.pick(&[0, 2, 2, 4, 8, 10, 1, 18]);
    call(50, 10).short(0).text(queue(choices)).octet(bits).bytes(&arguments::of_queue(choices))
}

fn declare_exchange(choices: &mut Choices) -> Call {
    // Bits: passive, durable, auto-delete, internal, no-wait.
    let declared = call(40, 10).short(0).text(exchange(choices)).text(choices.pick(&KINDS));
    declared.octet(choices.pick(&[0, 2, 4, 8, 1, 16])).bytes(&arguments::of_exchange(choices))
}

fn consume(choices: &mut Choices) -> Call {
    // Bits: no-local, no-ack, exclusive, no-wait.
    let begun = call(60, 20).short(0).text(queue(choices)).text(choices.pick(&TAGS));
    begun.octet(choices.pick(&[0, 0, 2, 4, 8])).bytes(&arguments::of_consumer(choices))
}

/// Chooses a delivery tag, mostly a recent one.
fn delivery_tag(choices: &mut Choices, channel: u16, witness: &Witness) -> u64 {
    let last = witness.last_delivery(channel);
    match choices.octet() {
        255 => u64::MAX,
        back => last.saturating_sub(u64::from(back % 4)),
    }
}

/// Chooses a whole message.
pub fn message(choices: &mut Choices, channel: u16) -> Vec<u8> {
    let bits = choices.pick(&[0, 0, 0, 1, 1, 2]);
    let mut bytes = publish_method(exchange_of_message(choices), key(choices), bits).on(channel);
    let properties = arguments::properties(choices);
    let size = choices.pick(&[0, 1, 10, 10, 500, 1900, 2100]);
    bytes.extend(frame(2, channel, &content_header(size as u64, &properties)));
    let part = choices.pick(&[8000, 100, 1000]);
    bytes.extend(vec![b'x'; size].chunks(part).flat_map(|part| frame(3, channel, part)));
    bytes
}

fn exchange_of_message(choices: &mut Choices) -> &'static str {
    if choices.octet().is_multiple_of(2) { "" } else { exchange(choices) }
}
