//! Pressure: peers that do not read, publishers when memory is low, and content that is received in part.

use super::*;
use crate::peer::*;
use pocketmq::limits::Limits;
use wasm_bindgen_test::wasm_bindgen_test;

const BLOCKED: (u16, u16) = (10, 60);
const UNBLOCKED: (u16, u16) = (10, 61);

#[wasm_bindgen_test(unsupported = test)]
fn unfinished_content_takes_memory_as_it_arrives_and_frees_it() {
    let limits = Limits { memory_max_bytes: 100_000, ..Limits::default() };
    let mut client = Client::ready_with(limits, 0);
    client.send(&[publish_method("", "q", 0).on(1), frame(2, 1, &content_header(99_000, &[0, 0]))].concat());
    assert!(client.memory_bytes() < 100, "nothing of what is only announced");
    client.send(&frame(3, 1, &[0; 60_000]));
    assert!((60_000..61_000).contains(&client.memory_bytes()));

    client.ask(&open_channel().on(2));
    let refused = client.ask(&publish(2, "q", &[0; 50_000]));
    assert_eq!((refused[0].refusal().0, refused[0].refusal().2), (506, (60, 40)));
    assert_eq!(client.memory_bytes(), 0);

    let mut client = Client::ready();
    client.send(&[publish_method("", "q", 0).on(1), frame(2, 1, &content_header(9, &[0, 0]))].concat());
    client.send(&frame(3, 1, b"half"));
    let id = client.id;
    client.server.disconnected(id);
    assert_eq!(client.memory_bytes(), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn input_waits_while_the_peer_does_not_read_its_replies() {
    let limits = Limits { output_high_bytes: 1000, ..Limits::default() };
    let mut client = Client::ready_with(limits, 0);
    client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", &[b'x'; 400])].concat());
    let id = client.id;
    let many: Vec<u8> = (0..50).flat_map(|_| declare_queue("q", 1).on(1)).collect();
    client.server.receive(id, &many);
    let unread = client.server.output(id).len();
    assert!((1000..1200).contains(&unread) && !client.server.wants_input(id));
    client.turn();
    assert_eq!(client.read().len(), 50, "all went on as the output was taken");
    assert!(client.server.wants_input(id));
}

/// Room for about ten messages before publishers wait.
fn little_memory() -> Limits {
    Limits { memory_max_bytes: 100_000, memory_high_bytes: 50_000, ..Limits::default() }
}

/// Returns a publisher that was blocked in the middle of twenty messages for the queue `q`.
fn blocked(capabilities: &[&str]) -> Client {
    let mut client = Client::connect(little_memory(), true);
    client.join("guest", "/", capabilities);
    client.ask(&[declare_queue("q", 0).on(1), select_confirms().on(1)].concat());
    let twenty: Vec<u8> = (0..20).flat_map(|number| publish(1, "q", &[number; 4_000])).collect();
    client.send(&twenty);
    assert!((50_000..55_000).contains(&client.memory_bytes()));
    assert!(!client.server.wants_input(client.id));
    client
}

#[wasm_bindgen_test(unsupported = test)]
fn a_publisher_waits_while_memory_is_low_and_loses_nothing() {
    let mut client = blocked(&["connection.blocked"]);
    let answers = client.read();
    assert_eq!(ids(&answers), [BLOCKED, ACK], "what was taken is confirmed");
    assert_eq!(answers[0].text_at(4), "low on memory");
    let taken = answers[1].longlong_at(4);
    assert!(taken < 20);

    // A connection that only consumes is served, and so unblocks the publisher.
    let publisher = client.join("guest", "/", &[]);
    let delivered = client.ask(&consume("q", "tag", 2).on(1));
    assert_eq!(bodies(&delivered).len(), 20);
    assert!(bodies(&delivered).iter().zip(0..).all(|(body, number)| body[0] == number));
    client.id = publisher;
    let answers = client.read();
    assert_eq!(ids(&answers), [UNBLOCKED, ACK]);
    assert_eq!((answers[1].longlong_at(4), client.memory_bytes()), (20, 0));
    assert!(client.server.wants_input(client.id));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_publisher_waits_for_memory_of_another_virtual_host() {
    for is_acked_before in [false, true] {
        let mut client = Client::connect(little_memory(), true);
        client.server.add_virtual_host("other");
        client.join("guest", "/", &["connection.blocked"]);
        client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", b"first")].concat());
        let publisher = client.join("guest", "other", &[]);
        client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", &[1; 51_000]), get("q", false).on(1)].concat());
        let holder = client.id;
        if is_acked_before {
            client.write(&ack(1, false).on(1));
        }
        client.id = publisher;
        client.send(&publish(1, "q", b"second"));
        assert_eq!(ids(&client.read()), if is_acked_before { &[][..] } else { &[BLOCKED] });

        if !is_acked_before {
            client.id = holder;
            client.send(&ack(1, false).on(1));
            client.id = publisher;
            assert_eq!(ids(&client.read()), [UNBLOCKED]);
        }
        assert_eq!(bodies(&client.ask(&consume("q", "tag", 2).on(1))), [&b"first"[..], b"second"]);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_publisher_without_the_capability_waits_without_notice() {
    let mut client = blocked(&[]);
    assert_eq!(ids(&client.read()), [ACK]);
    let publisher = client.join("guest", "/", &[]);
    assert_eq!(bodies(&client.ask(&consume("q", "tag", 2).on(1))).len(), 20);
    client.id = publisher;
    assert_eq!(ids(&client.read()), [ACK]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_peer_that_waits_for_memory_does_not_time_out() {
    let mut client = blocked(&["connection.blocked"]);
    for _ in 0..10 {
        client.pass(60_000);
    }
    assert!(!client.is_closed());
    let publisher = client.join("guest", "/", &[]);
    client.ask(&consume("q", "tag", 2).on(1));
    client.id = publisher;
    client.pass(119_000);
    assert!(!client.is_closed(), "its silence counts from when it may speak again");
    client.pass(2_000);
    assert!(client.is_closed());
}

#[wasm_bindgen_test(unsupported = test)]
fn a_peer_that_waits_for_memory_can_be_closed_and_can_leave() {
    let mut client = blocked(&["connection.blocked"]);
    client.server.shutdown();
    client.turn();
    assert_eq!(client.read().last().unwrap().refusal().0, 320);
    client.send(&close_connection_ok().on(0));
    assert!(client.is_closed());

    let mut client = blocked(&["connection.blocked"]);
    let id = client.id;
    client.server.disconnected(id);
    client.join("guest", "/", &[]);
    assert!(bodies(&client.ask(&consume("q", "tag", 2).on(1))).len() < 20);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_message_waits_for_enough_memory() {
    for part in [70_000, 1_000] {
        let mut client = Client::connect(little_memory(), true);
        client.join("guest", "/", &["connection.blocked"]);
        client
            .ask(&[declare_queue("q", 0).on(1), publish(1, "q", &[1; 2_000]), publish(1, "q", &[2; 30_000])].concat());
        client.send(&publish_in_parts(1, "q", 0, &[3; 70_000], part));
        assert_eq!(ids(&client.read()), [BLOCKED]);

        let publisher = client.join("guest", "/", &[]);
        client.ask(&get("q", true).on(1));
        client.id = publisher;
        assert_eq!(client.read(), [], "there is not room enough yet");
        client.join("guest", "/", &[]);
        let rest = client.ask(&consume("q", "tag", 2).on(1));
        assert_eq!(bodies(&rest).concat(), [vec![2; 30_000], vec![3; 70_000]].concat());
        client.id = publisher;
        assert_eq!(ids(&client.read()), [UNBLOCKED]);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_message_may_have_to_wait_in_the_middle() {
    let mut client = Client::connect(little_memory(), true);
    client.join("guest", "/", &["connection.blocked"]);
    client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", &[1; 30_000])].concat());
    let begin = [publish_method("", "q", 0).on(1), frame(2, 1, &content_header(40_000, &[0, 0]))].concat();
    client.send(&begin);
    let other = client.join("guest", "/", &["connection.blocked"]);
    client.send(&[begin, frame(3, 1, &[2; 35_000])].concat());
    let waiting = std::mem::replace(&mut client.id, other);
    client.send(&[3; 4].map(|octet| frame(3, 1, &[octet; 10_000])).concat());
    assert_eq!(ids(&client.read()), [BLOCKED]);
    assert!((95_000..100_000).contains(&client.memory_bytes()));

    client.join("guest", "/", &[]);
    assert_eq!(
        bodies(&client.ask(&consume("q", "tag", 2).on(1))).concat(),
        [vec![1; 30_000], vec![3; 40_000]].concat()
    );
    let consumer = std::mem::replace(&mut client.id, waiting);
    client.send(&frame(3, 1, &[2; 5_000]));
    client.id = consumer;
    assert_eq!(bodies(&client.read()).concat(), [2; 40_000]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_message_that_will_never_fit_is_506() {
    let mut client = Client::ready_with(little_memory(), 0);
    let refused = client.ask(&publish(1, "q", &[1; 100_000]));
    check(&refused[0], (506, "RESOURCE_ERROR - the memory limit of 100000 bytes is reached", (60, 40)));
}
