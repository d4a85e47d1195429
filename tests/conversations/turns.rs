//! Turns: the order in which several consumers get messages.

use std::collections::BTreeMap;

use super::*;
use crate::peer::*;
use wasm_bindgen_test::wasm_bindgen_test;

fn global_prefetch(count: u16) -> Vec<u8> {
    call(60, 10).long(0).short(count).octet(1).on(1)
}

fn consume_by_priority(queue: &str, tag: &str, bits: u8, priority: u32) -> Vec<u8> {
    let argument = number_entry("x-priority", priority).octets();
    call(60, 20).short(0).text(queue).text(tag).octet(bits).bytes(&argument).on(1)
}

/// Returns the consumer tags and delivery tags of these replies.
fn deliveries(answers: &[Answer]) -> Vec<(String, u64)> {
    let delivered = answers.iter().filter(|answer| answer.id() == DELIVER);
    delivered.map(|answer| (answer.text_at(4).to_owned(), answer.longlong_at(5 + answer.text_at(4).len()))).collect()
}

/// Acks one delivery after the other; returns how many each consumer got.
fn taken(client: &mut Client, mut got: Vec<(String, u64)>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    while !got.is_empty() {
        assert_eq!(got.len(), 1, "the channel has room for one");
        let (consumer, tag) = got.remove(0);
        *counts.entry(consumer).or_default() += 1;
        got = deliveries(&client.ask(&ack(tag, false).on(1)));
    }
    counts
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|&(consumer, count)| (consumer.to_owned(), count)).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn consumers_that_share_a_prefetch_take_turns_across_queues() {
    let mut client = Client::ready();
    client.ask(&global_prefetch(1));
    for queue in ["a", "b", "c"] {
        client.ask(&declare_queue(queue, 0).on(1));
        (0..100).for_each(|_| client.write(&publish(1, queue, b"x")));
        client.turn();
    }
    let mut got = Vec::new();
    for queue in ["a", "b", "c"] {
        got.extend(deliveries(&client.ask(&consume(queue, queue, 0).on(1))));
    }
    assert_eq!(taken(&mut client, got), counts(&[("a", 100), ("b", 100), ("c", 100)]));

    for queue in ["a", "b", "c"] {
        (0..100).for_each(|_| client.write(&publish(1, queue, b"x")));
    }
    let mut got = deliveries(&client.ask(&[]));
    let mut first = BTreeMap::new();
    for _ in 0..99 {
        let (consumer, tag) = got.remove(0);
        *first.entry(consumer).or_default() += 1;
        got = deliveries(&client.ask(&ack(tag, false).on(1)));
    }
    assert_eq!(first, counts(&[("a", 33), ("b", 33), ("c", 33)]));
}

#[wasm_bindgen_test(unsupported = test)]
fn consumers_that_share_a_prefetch_take_turns_at_one_queue() {
    // With and without a prefetch of its own.
    for own in [false, true] {
        let mut client = Client::ready();
        if own {
            client.ask(&call(60, 10).long(0).short(1).octet(0).on(1));
        }
        client.ask(&global_prefetch(1));
        client.ask(&declare_queue("q", 0).on(1));
        (0..10).for_each(|_| client.write(&publish(1, "q", b"x")));
        let mut got = deliveries(&client.ask(&consume("q", "one", 0).on(1)));
        got.extend(deliveries(&client.ask(&consume("q", "other", 0).on(1))));
        assert_eq!(taken(&mut client, got), counts(&[("one", 5), ("other", 5)]));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_higher_priority_comes_first_also_under_a_shared_prefetch() {
    let mut client = Client::ready();
    client.ask(&global_prefetch(1));
    client.ask(&declare_queue("q", 0).on(1));
    client.ask(&declare_queue("r", 0).on(1));
    client.ask(&[consume_by_priority("q", "low", 0, 0), consume_by_priority("q", "high", 0, 5)].concat());
    client.ask(&consume("r", "beside", 0).on(1));
    (0..20).for_each(|_| client.write(&[publish(1, "q", b"x"), publish(1, "r", b"x")].concat()));
    let got = deliveries(&client.ask(&[]));
    assert_eq!(taken(&mut client, got), counts(&[("beside", 20), ("high", 20)]));
}

#[wasm_bindgen_test(unsupported = test)]
fn prefetch_that_one_queue_does_not_use_is_for_the_next() {
    let mut client = Client::ready();
    client.ask(&global_prefetch(1));
    for queue in ["a", "b"] {
        client.ask(&declare_queue(queue, 0).on(1));
        client.ask(&consume(queue, queue, 0).on(1));
    }
    let got = deliveries(&client.ask(&[publish(1, "a", b"x"), publish(1, "b", b"x"), publish(1, "b", b"x")].concat()));
    assert_eq!(got, [("a".to_owned(), 1)]);
    // Another connection empties `a` before its consumer's turn comes again.
    client.ask(&publish(1, "a", b"x"));
    let first = client.join("guest", "/", &[]);
    client.ask(&get("a", true).on(1));
    client.id = first;
    assert_eq!(taken(&mut client, got), counts(&[("a", 1), ("b", 2)]));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_consumer_without_acks_waits_for_the_prefetch_of_its_channel() {
    let mut client = Client::ready();
    client.ask(&global_prefetch(1));
    client.ask(&[declare_queue("a", 0).on(1), declare_queue("b", 0).on(1)].concat());
    client.ask(&[consume("a", "acks", 0).on(1), consume("b", "does-not", 2).on(1)].concat());
    let taken = |answers: &[Answer]| deliveries(answers).into_iter().map(|(consumer, _)| consumer).collect::<Vec<_>>();
    assert_eq!(taken(&client.ask(&publish(1, "a", b"x"))), ["acks"]);
    assert_eq!(taken(&client.ask(&[publish(1, "b", b"x"), publish(1, "b", b"x")].concat())), [""; 0]);
    assert_eq!(taken(&client.ask(&ack(1, false).on(1))), ["does-not"; 2]);
    assert_eq!(taken(&client.ask(&publish(1, "b", b"x"))), ["does-not"], "which is not counted");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_single_active_consumer_of_a_quorum_queue_makes_room_for_a_higher_priority() {
    let mut client = Client::ready();
    let single = Call::new().text("x-single-active-consumer").octet(b't').octet(1);
    for (queue, kind) in [("quorum", "quorum"), ("classic", "classic")] {
        let arguments = [single.clone(), text_entry("x-queue-type", kind)];
        client.ask(&declare_queue_with(queue, 2, &arguments).on(1));
    }
    let who = |answers: &[Answer]| deliveries(answers).into_iter().map(|(consumer, _)| consumer).collect::<Vec<_>>();
    client.ask(&[consume_by_priority("quorum", "low", 0, 1), publish(1, "quorum", b"1")].concat());
    client.ask(&[consume_by_priority("quorum", "high", 0, 5), consume_by_priority("quorum", "mid", 0, 3)].concat());
    assert_eq!(who(&client.ask(&publish(1, "quorum", b"2"))), [""; 0], "until it has nothing unacked");
    assert_eq!(who(&client.ask(&ack(1, false).on(1))), ["high"]);
    assert_eq!(who(&client.ask(&[ack(2, false).on(1), publish(1, "quorum", b"3")].concat())), ["high"]);
    client.ask(&ack(3, false).on(1));
    let cancel = |tag: &str| call(60, 30).text(tag).octet(0).on(1);
    assert_eq!(who(&client.ask(&[cancel("high"), publish(1, "quorum", b"4")].concat())), ["mid"]);
    client.ask(&ack(4, false).on(1));
    assert_eq!(who(&client.ask(&[cancel("mid"), publish(1, "quorum", b"5")].concat())), ["low"]);

    client
        .ask(&[consume_by_priority("classic", "first", 2, 1), consume_by_priority("classic", "second", 2, 5)].concat());
    assert_eq!(who(&client.ask(&publish(1, "classic", b"1"))), ["first"], "of a classic queue the first one stays");
}

/// Sends frames in one read, and returns the replies.
fn at_once(client: &mut Client, frames: &[Vec<u8>]) -> Vec<(u16, u16)> {
    let answers = client.ask(&frames.concat());
    answers.iter().filter(|answer| answer.kind == 1).map(Answer::id).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn ready_consumers_come_before_what_follows_in_the_same_read() {
    let mut client = Client::ready();
    client.ask(&[declare_queue("q", 0).on(1), consume("q", "tag", 2).on(1), open_channel().on(2)].concat());
    let message = || publish(1, "q", b"x");
    assert_eq!(at_once(&mut client, &[message(), get("q", true).on(1)]), [DELIVER, (60, 72)]);
    let five = [(); 5].map(|()| message()).concat();
    let answers = client.ask(&[five, declare_queue("q", 1).on(2)].concat());
    let last = answers.last().unwrap();
    assert_eq!((deliveries(&answers).len(), last.id()), (5, (50, 11)));
    assert_eq!(last.payload[6..], [0, 0, 0, 0, 0, 0, 0, 1], "none is ready");
    let purge = call(50, 30).short(0).text("q").octet(0).on(2);
    assert_eq!(at_once(&mut client, &[message(), purge]), [DELIVER, (50, 31)]);
    assert_eq!(at_once(&mut client, &[message(), consume("q", "other", 2).on(2)]), [DELIVER, (60, 21)]);
    assert_eq!(at_once(&mut client, &[message(), message(), close_channel().on(2)]), [DELIVER, DELIVER, (20, 41)]);
    let cancel = call(60, 30).text("tag").octet(0).on(1);
    assert_eq!(at_once(&mut client, &[message(), cancel, get("q", true).on(1)]), [DELIVER, (60, 31), (60, 72)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_get_on_another_connection_in_the_same_turn_comes_after_ready_consumers() {
    let mut client = Client::ready();
    client.ask(&[declare_queue("q", 0).on(1), consume("q", "tag", 2).on(1)].concat());
    let consumer = client.join("guest", "/", &[]);
    let requester = client.id;
    client.id = consumer;
    client.write(&publish(1, "q", b"x"));
    client.id = requester;
    client.write(&get("q", true).on(1));
    assert_eq!(ids(&client.ask(&[])), [(60, 72)]);
    client.id = consumer;
    assert_eq!(ids(&client.read())[0], DELIVER);
}

#[wasm_bindgen_test(unsupported = test)]
fn requests_that_wait_for_deliveries_are_served_though_the_peer_is_gone() {
    let mut client = Client::ready();
    client.ask(&[declare_queue("q", 0).on(1), consume("q", "tag", 2).on(1), declare_queue("r", 0).on(1)].concat());
    client.join("guest", "/", &[]);
    client.write(&[publish(1, "q", b"x"), declare_queue("r", 1).on(1), publish(1, "r", b"x")].concat());
    client.server.disconnected(client.id);
    client.join("guest", "/", &[]);
    assert_eq!(ids(&client.ask(&get("r", true).on(1)))[0], (60, 71));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_requeued_message_is_not_dropped_while_its_consumer_has_room() {
    let mut client = Client::ready();
    client.ask(&global_prefetch(1));
    client.ask(&declare_queue("idle", 0).on(1));
    client.ask(&declare_queue_with("short", 0, &[number_entry("x-max-length", 1)]).on(1));
    client.ask(&consume("idle", "idle", 0).on(1));
    client.ask(&consume("short", "short", 0).on(1));
    client.ask(&publish(1, "short", b"first"));
    // Both consumers have become ready since: the one of the queue that is empty again is the first in line.
    client.ask(&publish(1, "idle", b"gone"));
    client.ask(&call(50, 30).short(0).text("idle").octet(0).on(1));
    client.ask(&publish(1, "short", b"second"));
    let got = deliveries(&client.ask(&call(60, 120).longlong(1).octet(2).on(1)));
    assert_eq!(got, [("short".to_owned(), 2)]);
    assert_eq!(deliveries(&client.ask(&ack(2, false).on(1))), [("short".to_owned(), 3)], "the second is there still");
}
